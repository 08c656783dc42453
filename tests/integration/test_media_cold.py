"""A page's first sight of an idle camera, over /ws: a real api, a relay, RTSP cameras, a client that decrypts."""

import asyncio
import re
from pathlib import Path

from hub.demo.rtsp_camera import CameraFile
from tests.integration.camera_kit import other_film
from tests.integration.first_viewer_kit import X265, Door
from tests.integration.test_conference_media import PATIENCE, Rig, rig
from tests.integration.test_media_subscribe import Page, camera, page

__all__ = ["rig"]  # the fixture


async def h265_camera(rig: Rig, path: str) -> None:
    film = await asyncio.to_thread(other_film, Path(rig.folder) / f"{path}.hevc", "libx265", 50, **X265)
    rig.cameras.cameras[path] = CameraFile(path, film)


def codecs(wall: Page, at: int = -1) -> list[str]:
    return re.findall(r"a=rtpmap:\d+ (H26\d)/", wall.offers[at].sdp)


async def test_a_page_that_knows_h265_is_offered_a_cold_camera_once_and_by_itself(rig: Rig) -> None:
    await rig.relay()
    await h265_camera(rig, "new")
    new = await rig.camera("new")
    async with page(rig, "commander") as wall:
        await wall.want(camera("1", new), h265=True)
        await wall.flows("1")
        await wall.said("1", "live")
        assert codecs(wall, 0) == ["H265"]
        assert len(wall.offers) == 1
        assert [state for key, state, _ in wall.told if key == "1"] == ["waiting", "live"]


async def test_a_cold_camera_that_is_slow_keeps_no_other_tile_of_the_page_waiting(rig: Rig) -> None:
    await rig.relay()
    await h265_camera(rig, "new")
    async with Door(rig.cameras.port).standing() as door:
        body = {"name": "slow", "url": f"rtsp://127.0.0.1:{door.port}/new", "unit": "city"}
        slow = (await rig.hub.call("sysadmin", "POST", "/api/v1/cameras", 201, json=body))["id"]
        quick = await rig.camera("gate")
        async with page(rig, "commander") as wall, asyncio.timeout(2 * PATIENCE):
            await wall.want(camera("1", slow), camera("2", quick), h265=True)
            await wall.flows("2")  # while the other one says nothing
            assert not door.open.is_set()
            assert wall.packets("1") == 0
            door.open.set()
            await wall.flows("1", "2")
            await wall.said("1", "live")
        assert wall.failed == []
