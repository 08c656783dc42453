"""RTSP servers that others wrote: GStreamer's, where it is installed (gir1.2-gst-rtsp-server-1.0, python3-gi)."""

import asyncio
import contextlib
import itertools
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import av
import pytest

from hub.domain.clock import system_clock
from hub.domain.source_url import check_url
from hub.media.sources.errors import SourceError
from hub.media.sources.rtsp import RtspSource
from hub.media.transcode.sound import SoundJob
from tests.integration.camera_kit import PATIENCE
from tests.integration.test_codecs import h265_film
from tests.integration.test_rtsp_client import pictures, some
from tests.unit.transcode.test_jobs import tone

PYTHON = "/usr/bin/python3"
SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0"); gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1"); server.set_service("0")
def add(path, launch, protocols=None, guarded=False):
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(launch); factory.set_shared(True)
    if protocols is not None:
        factory.set_protocols(protocols)
    if guarded:
        permissions = GstRtspServer.RTSPPermissions.new()
        for what in ("access", "construct"):
            permissions.add_permission_for_role("user", "media.factory." + what, True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)
picture = f"filesrc location={sys.argv[1]} ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96"
tone = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8"
film, sound = f"( {picture} )", f"( {picture} {tone} )"
add("/cam", film)
add("/sound", sound)
if len(sys.argv) > 2 and sys.argv[2] == "codecs":
    new = f"filesrc location={sys.argv[3]} ! h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96"
    aac = f"filesrc location={sys.argv[4]} ! aacparse ! "
    add("/new", f"( {new} )")
    add("/aac", f"( {picture} {aac} rtpmp4gpay name=pay1 pt=97 )")
    add("/latm", f"( {picture} {aac} rtpmp4apay name=pay1 pt=97 )")
    sys.argv = sys.argv[:2]
add("/udp", film, GstRtsp.RTSPLowerTrans.UDP)
if len(sys.argv) > 2:
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_digest("admin", "geheim-1", token)
    server.set_auth(auth)
    add("/safe", film, guarded=True)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def _missing() -> str:
    try:
        check = 'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer'
        found = subprocess.run([PYTHON, "-c", check], capture_output=True, check=False, timeout=20)
    except OSError as error:
        return str(error)
    return found.stderr.decode(errors="replace")[-200:]


pytestmark = pytest.mark.skipif(bool(why := _missing()), reason=f"no GStreamer RTSP server: {why.strip()[-80:]}")


@contextlib.asynccontextmanager
async def gstreamer(film: str, *more: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", SERVER, film, *more, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            yield int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.fixture
def film(tmp_path: Any) -> str:
    """Long enough that it does not end under the test."""
    from tests.integration.media_kit import encoded

    path = tmp_path / "long.h264"
    path.write_bytes(b"".join(data for data, _ in encoded()) * 30)
    return str(path)


@pytest.mark.parametrize(
    ("path", "way", "came"), [("cam", "tcp", "tcp"), ("cam", "udp", "udp"), ("udp", "auto", "udp")]
)
async def test_gstreamers_camera_plays(film: str, path: str, way: Any, came: str) -> None:
    async with gstreamer(film) as port:
        url = f"rtsp://127.0.0.1:{port}/{path}"
        async with RtspSource(check_url(url), clock=system_clock, way=way) as opened:
            units = await some(opened, 20)
            assert opened.facts["transport"] == came
            assert pictures(units) == len(units)


async def test_gstreamers_sound_comes_along(film: str) -> None:
    async with gstreamer(film) as port:
        url = f"rtsp://127.0.0.1:{port}/sound"
        async with RtspSource(check_url(url), clock=system_clock) as opened:
            units = await some(opened, 60)
            assert {unit.codec for unit in units} == {"h264", "pcma"}


@pytest.fixture
def coded(tmp_path: Any) -> tuple[str, str]:
    """H.265 without reordering, and a tone as AAC."""
    sound = tmp_path / "tone.aac"
    sound.write_bytes(b"".join(data for _, data in tone(16_000, 20.0)))
    return str(h265_film(tmp_path)), str(sound)


@pytest.mark.parametrize("way", ["tcp", "udp"])
async def test_gstreamers_h265_plays(film: str, coded: tuple[str, str], way: Any) -> None:
    async with gstreamer(film, "codecs", *coded) as port:
        async with RtspSource(check_url(f"rtsp://127.0.0.1:{port}/new"), clock=system_clock, way=way) as opened:
            units = await some(opened, 30)
        assert {(unit.codec, unit.passes) for unit in units} == {("h265", True)}
        decoder: Any = av.CodecContext.create("hevc", "r")
        assert sum(len(decoder.decode(av.Packet(unit.data))) for unit in units) >= 29


@pytest.mark.parametrize("path", ["aac", "latm"])
async def test_gstreamers_aac_comes_along_and_decodes(film: str, coded: tuple[str, str], path: str) -> None:
    async with gstreamer(film, "codecs", *coded) as port:
        async with RtspSource(check_url(f"rtsp://127.0.0.1:{port}/{path}"), clock=system_clock) as opened:
            units = [unit for unit in await some(opened, 80) if unit.codec == "aac"]
        assert len(units) > 10
        job = SoundJob()
        packets = [packet for unit in units for packet in job.unit(unit.data, unit.pts)]
        assert len(packets) >= (len(units) - 2) * 3  # 64 ms each, 20 ms each
        assert {b[0] - a[0] for a, b in itertools.pairwise(packets)} == {960}


async def test_gstreamers_digest_is_met(film: str) -> None:
    async with gstreamer(film, "guarded") as port:
        async with RtspSource(check_url(f"rtsp://admin:geheim-1@127.0.0.1:{port}/safe"), clock=system_clock) as opened:
            await some(opened, 5)
        with pytest.raises(SourceError) as caught:
            async with RtspSource(check_url(f"rtsp://admin:falsch@127.0.0.1:{port}/safe"), clock=system_clock):
                pass
        assert caught.value.id == "source.unauthorized"


async def test_what_gstreamer_does_not_have_is_not_found(film: str) -> None:
    async with gstreamer(film) as port:
        with pytest.raises(SourceError) as caught:
            async with RtspSource(check_url(f"rtsp://127.0.0.1:{port}/none"), clock=system_clock):
                pass
        assert caught.value.id == "source.not_found"
