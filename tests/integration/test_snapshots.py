"""Pictures of cameras: from a key frame, and uploaded by a device to an address that is its right to do so."""

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import httpx
import pytest
from av.video.codeccontext import VideoCodecContext

from hub.domain.picture import inspect
from hub.media.taps.snapshot import jpeg
from tests.integration.gateway_rig import ScriptedGateway, scripted_gateway
from tests.integration.gb_chain import gb_chain
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until
from tests.integration.test_conference_media import Rig as Media
from tests.integration.test_conference_media import _viewers
from tests.integration.test_conference_media import rig as media
from tests.integration.test_devices import CAM, NVR, call, with_camera

__all__ = ["media"]


def picture(width: int = 64, height: int = 48) -> bytes:
    """A JPEG."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame(width, height, "yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


@pytest.fixture
async def gateway(rig: LiveRig) -> AsyncIterator[ScriptedGateway]:
    async with scripted_gateway(rig.redis, TOKEN) as gateway:
        await until(lambda: gateway.told > 0)
        yield gateway


def test_a_key_frame_becomes_a_jpeg_of_its_size() -> None:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 320, 240, "yuv420p", Fraction(1, 25)
    frame = av.VideoFrame(320, 240, "yuv420p")
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    made = jpeg(data, "h264")
    found = inspect(made)
    assert (found.media_type, found.width, found.height) == ("image/jpeg", 320, 240)


async def test_a_device_uploads_what_it_was_asked_for_and_nothing_more(
    rig: LiveRig, gateway: ScriptedGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = await with_camera(rig, gateway)
    asked = await call(rig, "commander", "POST", f"/cameras/{camera}/pictures", 202, json={"count": 2})
    (device, command) = gateway.commands[-1]
    assert (device, command.model_dump()["channel"], command.model_dump()["count"]) == (NVR, CAM, 2)
    second = picture(96, 64)
    path = "/uploads/" + command.model_dump()["upload_url"].rpartition("/")[2]
    async with httpx.AsyncClient(base_url=rig.apis[0].base, trust_env=False) as nobody:
        assert (await nobody.post(path, content=b"no picture")).status_code == 422
        assert (await nobody.post(path, files={"file": ("a.jpg", picture(), "image/jpeg")})).status_code == 204
        assert (await nobody.put(path, content=second)).status_code == 204
        assert (await nobody.post(path, content=picture())).status_code == 404  # two were asked for
        assert (await nobody.post("/uploads/" + "x" * 43, content=picture())).status_code == 404
    found = await call(rig, "commander", "GET", f"/cameras/{camera}/pictures/{asked['session']}", 200)
    assert len(found["items"]) == 2
    sha = found["items"][1]["sha256"]
    got = await call(rig, "commander", "GET", f"/cameras/{camera}/pictures/{asked['session']}/{sha}", 200)
    assert got.content == second
    await call(rig, "water", "GET", f"/cameras/{camera}/pictures/{asked['session']}", 404)  # out of reach
    await call(rig, "commander", "GET", f"/cameras/{camera}/pictures/{asked['session']}/{'0' * 64}", 404)
    assert path.rpartition("/")[2] not in capsys.readouterr().out  # whoever reads the log could upload


async def test_uploads_that_come_together_are_no_more_than_were_asked_for(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    camera = await with_camera(rig, gateway)
    asked = await call(rig, "commander", "POST", f"/cameras/{camera}/pictures", 202, json={"count": 2})
    path = "/uploads/" + gateway.commands[-1][1].model_dump()["upload_url"].rpartition("/")[2]
    async with httpx.AsyncClient(base_url=rig.apis[0].base, trust_env=False) as nobody:
        answers = await asyncio.gather(*(nobody.post(path, content=picture(32 + 16 * n, 32)) for n in range(12)))
    assert sorted(answer.status_code for answer in answers) == [204] * 2 + [404] * 10
    found = await call(rig, "commander", "GET", f"/cameras/{camera}/pictures/{asked['session']}", 200)
    assert len(found["items"]) == 2


async def test_a_camera_that_nobody_watches_gives_a_picture_and_is_let_go(media: Media) -> None:
    running = await media.relay()
    camera = await media.camera()
    got = await media.hub.call("commander", "GET", f"/api/v1/cameras/{camera}/snapshot", 200)
    found = inspect(got.content)
    assert (found.media_type, found.width, found.height) == ("image/jpeg", 320, 240)
    await until(lambda: _viewers(media, running, camera, 0))
    await media.hub.logged("camera.viewed")
    await media.hub.call("water", "GET", f"/api/v1/cameras/{camera}/snapshot", 404)


async def test_a_real_device_of_2022_brings_its_pictures(tmp_path: Path) -> None:
    async with gb_chain(tmp_path) as chain:
        settings = chain.hub.ctx.settings
        settings.__dict__["upload_url"] = chain.hub.apis[0].base  # known only since it listens
        device = await chain.device(edition="2022")
        camera = await chain.camera(device)
        path = f"/cameras/{camera}/pictures"
        asked = await chain.call("POST", path, 202, json={"count": 2, "interval_s": 1})

        async def both() -> bool:
            return len((await chain.call("GET", f"{path}/{asked['session']}"))["items"]) == 2

        await until(both, seconds=30)
        (first, _) = (await chain.call("GET", f"{path}/{asked['session']}"))["items"]
        got = await chain.call("GET", f"{path}/{asked['session']}/{first['sha256']}")
        assert inspect(got.content).media_type == "image/jpeg"
