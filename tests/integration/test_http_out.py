"""Cameras over HTTP as MPEG-TS: a player decodes them, with the same rights, and loses them within two seconds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from hub.bus.relays import Relays
from hub.demo.rtsp_camera import CameraFile
from hub.domain.errors import NotFound, TooMany, Unavailable
from hub.media.node import outlets
from tests.integration.live_rig import until
from tests.integration.test_conference_media import PATIENCE, Rig, _viewers, rig
from tests.integration.test_relay_node import relay

__all__ = ["rig"]


def decoded(url: str, count: int, **options: str) -> list[tuple[int, int]]:
    """Sizes of the first pictures that FFmpeg makes of an address."""
    container: Any = av.open(url, options=options, timeout=(10.0, 10.0))
    with container:
        sizes = []
        for frame in container.decode(video=0):
            sizes.append((frame.width, frame.height))
            if len(sizes) == count:
                break
        return sizes


@contextlib.asynccontextmanager
async def reading(base: str, path: str, token: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body of a stream that runs."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as http,
        http.stream("GET", path) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "video/mp2t"
        yield answer.aiter_raw()


async def ends(body: AsyncIterator[bytes]) -> float:
    """Read to the end; how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        async for _ in body:
            pass
    return time.monotonic() - began


async def test_a_player_decodes_a_camera_and_is_seen_as_a_viewer(rig: Rig) -> None:
    running = await rig.relay()
    camera = await rig.camera()
    token = await rig.hub.token("commander")
    host = rig.hub.apis[0].base.removeprefix("http://")
    url = f"http://x:{token}@{host}/streams/{camera}.ts"  # as a person gives it to VLC
    assert await asyncio.to_thread(decoded, url, 15) == [(320, 240)] * 15
    await until(lambda: _viewers(rig, running, camera, 0))
    async with reading(rig.hub.apis[0].base, f"/streams/{camera}.ts", token) as body:
        assert (await anext(body))[:1] == b"G"
        await until(lambda: _viewers(rig, running, camera, 1))
        assert rig.cameras.cameras["gate"].plays >= 1
    await until(lambda: _viewers(rig, running, camera, 0))
    await rig.hub.logged("camera.viewed")


async def test_who_may_not_see_it_gets_nothing(rig: Rig) -> None:
    await rig.relay()
    camera = await rig.camera()
    base = rig.hub.apis[0].base
    await rig.hub.call("auditor", "GET", f"/streams/{camera}.ts", 403)
    await rig.hub.call("commander", "GET", "/streams/cam-unknown.ts", 404)
    async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
        refused = await http.get(f"/streams/{camera}.ts")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="sharpeyes"')
        for password in ("", "wrong", "x" * 500):
            assert (await http.get(f"/streams/{camera}.ts", auth=("x", password))).status_code == 401
        token = await rig.hub.token("commander")
        elsewhere = await http.get("/api/v1/cameras", auth=("x", token))
        assert elsewhere.status_code == 401  # only players are let in that way


@pytest.mark.parametrize("how", ["sign_out", "camera"])
async def test_a_right_that_is_withdrawn_ends_the_stream_within_two_seconds(rig: Rig, how: str) -> None:
    await rig.relay()
    camera = await rig.camera()
    token = await rig.hub.token("commander")
    async with reading(rig.hub.apis[0].base, f"/streams/{camera}.ts", token) as body:
        await anext(body)
        if how == "sign_out":
            await rig.hub.call("commander", "DELETE", "/api/v1/sessions/current", 204)
        else:
            await rig.hub.call("sysadmin", "DELETE", f"/api/v1/cameras/{camera}", 204)
        assert await ends(body) < 2.0


async def test_a_reader_who_is_ended_takes_no_other_along(tmp_path: Path) -> None:
    async with relay(tmp_path) as one, Relays("token-of-this-installation") as relays:
        await one.put("cam-1")
        stuck = await relays.transport_stream(one.url, "cam-1", owner="u-1")
        good = await relays.transport_stream(one.url, "cam-1", owner="u-2")
        taken, body = 0, good.chunks()
        async with asyncio.timeout(PATIENCE):
            while taken < 200_000:
                taken += len(await anext(body))
        state = await one.until("cam-1", lambda state: state.viewers == 2)
        assert state.state == "live"
        await relays.end_owner(one.url, "u-1")  # also while it takes nothing
        await one.until("cam-1", lambda state: state.viewers == 1)
        reports = await one.reports(1)
        assert [(report.owner, report.reason) for report in reports] == [("u-1", "withdrawn")]
        await stuck.close()
        await good.close()
        await one.until("cam-1", lambda state: state.viewers == 0)


async def test_what_cannot_be_served_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "FIRST_S", 0.3)
    monkeypatch.setattr(outlets, "MAX_OUTLETS", 1)
    async with relay(tmp_path) as one, Relays("token-of-this-installation") as relays:
        with pytest.raises(NotFound):
            await relays.transport_stream(one.url, "cam-9", owner="u-1")
        await one.put("cam-1", url=one.camera("nowhere"))
        with pytest.raises(Unavailable) as caught:
            await relays.transport_stream(one.url, "cam-1", owner="u-1")
        assert caught.value.id == "stream.not_live"
        assert isinstance(one.cameras.cameras["gate"], CameraFile)
        monkeypatch.setattr(outlets, "FIRST_S", 10.0)
        await one.put("cam-2")
        opened = await relays.transport_stream(one.url, "cam-2", owner="u-1")
        with pytest.raises(TooMany):
            await relays.transport_stream(one.url, "cam-2", owner="u-1")
        await opened.close()


async def test_a_relay_that_ends_ends_its_streams_in_time(tmp_path: Path) -> None:
    async with relay(tmp_path) as one, Relays("token-of-this-installation") as relays:
        await one.put("cam-1")
        opened = await relays.transport_stream(one.url, "cam-1", owner="u-1")
        body = opened.chunks()
        await anext(body)
        one.task.cancel()
        done, _ = await asyncio.wait([one.task], timeout=3)
        assert done == {one.task}
        await ends(body)
        await opened.close()
