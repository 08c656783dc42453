"""Our RTSP client against a server that does what real cameras do: UDP, losses, quirks, redirections, silence."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import av
import pytest
import uvloop

from hub.demo.rtsp_camera import CameraFile, Faults
from hub.demo.rtsp_server import RtspServer
from hub.domain.clock import system_clock
from hub.domain.source_url import check_url
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.errors import SourceError
from hub.media.sources.rtsp import RtspSource, redirected
from hub.settings import Settings
from hub.tls import self_signed
from signaling.rtsp.auth import Guard
from tests.integration.camera_kit import PATIENCE, h264_film


@contextlib.asynccontextmanager
async def camera(folder: Path, faults: Faults | None = None, **more: Any) -> AsyncIterator[RtspServer]:
    served = CameraFile("gate", h264_film(folder), faults=faults or Faults(), **more)
    async with RtspServer([served]).listening("127.0.0.1", 0) as server:
        yield server


def source(server: RtspServer, user: str = "", **options: Any) -> RtspSource:
    url = f"rtsp://{user}127.0.0.1:{server.port}/gate"
    return RtspSource(check_url(url), clock=system_clock, **options)


async def some(opened: RtspSource, count: int) -> list[AccessUnit]:
    units: list[AccessUnit] = []
    async with asyncio.timeout(PATIENCE):
        while len(units) < count:
            units += await opened.read()
    return units


def pictures(units: Sequence[AccessUnit]) -> int:
    """How many pictures a decoder makes of them without a complaint."""
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.options = {"err_detect": "explode"}
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))] + decoder.decode(None)
    return sum(1 for frame in frames if not frame.is_corrupt)


@pytest.mark.parametrize("way", ["tcp", "udp"])
async def test_pictures_come_and_reports_go_back(tmp_path: Path, way: Any) -> None:
    async with camera(tmp_path) as server, source(server, way=way) as opened:
        units = await some(opened, 30)
        assert pictures(units) == len(units)
        assert opened.facts["transport"] == way
        assert opened.figures.lost == opened.figures.late == opened.figures.dropped == 0
        async with asyncio.timeout(PATIENCE):
            while not server.cameras["gate"].reports:
                await opened.read()
    assert server.cameras["gate"].asked[-1] == "TEARDOWN"
    async with asyncio.timeout(PATIENCE):
        await server.quiet.wait()


@pytest.mark.parametrize("way", ["tcp", "udp"])
def test_it_works_on_the_loop_that_the_hub_runs_on(tmp_path: Path, way: Any) -> None:
    async def pull() -> None:
        async with camera(tmp_path) as server, source(server, way=way) as opened:
            assert len(await some(opened, 5)) >= 5

    uvloop.run(pull())


async def test_udp_is_taken_where_the_camera_refuses_tcp(tmp_path: Path) -> None:
    async with (
        camera(tmp_path, Faults(quirks=frozenset({"udp_only"}))) as server,
        source(server) as opened,
    ):
        await some(opened, 5)
        assert opened.facts["transport"] == "udp"


async def test_disorder_and_duplicates_over_udp_cost_no_picture(tmp_path: Path) -> None:
    async with camera(tmp_path, Faults(reorder=0.3, duplicate=0.1)) as server, source(server, way="udp") as opened:
        units = await some(opened, 40)
        assert pictures(units) == len(units)
        assert opened.figures.late > 0
        assert (opened.figures.lost, opened.figures.dropped) == (0, 0)


async def test_after_a_loss_only_pictures_that_decode_come(tmp_path: Path) -> None:
    async with camera(tmp_path, Faults(loss=0.02)) as server, source(server, way="udp") as opened:
        units: list[AccessUnit] = []
        async with asyncio.timeout(PATIENCE):
            while not (opened.figures.dropped and len(units) > 40 and units[-1].keyframe):
                units += await opened.read()
        assert opened.figures.lost > 0
        assert pictures(units) == len(units)


@pytest.mark.parametrize(
    ("quirk", "noticed"),
    [
        ("no_options", "no_options"),
        ("no_cseq", "no_cseq"),
        ("no_range", "no_range"),
        ("no_session", "no_session"),
        ("odd_channels", "other_channels"),
        ("foreign_base", "foreign_authority"),
        ("transport_without_tcp", "transport_without_tcp"),
        ("annex_b", ""),
        ("markers", ""),
    ],
)
async def test_a_camera_that_gets_it_wrong_plays_all_the_same(tmp_path: Path, quirk: str, noticed: str) -> None:
    async with camera(tmp_path, Faults(quirks=frozenset({quirk}))) as server, source(server) as opened:
        units = await some(opened, 30)
        assert pictures(units) == len(units)
        assert opened.facts.get("quirks", "") == noticed


async def test_bytes_between_frames_are_passed_over(tmp_path: Path) -> None:
    async with camera(tmp_path, Faults(quirks=frozenset({"junk"}))) as server, source(server) as opened:
        units = await some(opened, 30)
        assert pictures(units) == len(units)
        assert opened.figures.lost == 0


@pytest.mark.parametrize(
    "guard",
    [
        Guard("admin", "geheim-1", "basic"),
        Guard("admin", "geheim-1", qop=True),
        Guard("admin", "geheim-1", algorithm="SHA-256", qop=True),
    ],
)
async def test_every_way_to_prove_a_password_opens_the_camera(tmp_path: Path, guard: Guard) -> None:
    async with camera(tmp_path, guard=guard) as server:
        async with source(server, "admin:geheim-1@") as opened:
            await some(opened, 3)
        with pytest.raises(SourceError) as caught:
            async with source(server, "admin:falsch@"):
                pass
    assert caught.value.id == "source.unauthorized"
    assert server.cameras["gate"].playing == 0


async def test_a_session_that_only_requests_keep_alive_lives(tmp_path: Path) -> None:
    """The camera hangs up after 2 s without a request; the client asks every second."""
    faults = Faults(quirks=frozenset({"strict_timeout", "no_get_parameter"}), timeout_s=2)
    async with camera(tmp_path, faults) as server, source(server) as opened:
        await some(opened, 75)  # 3 s of pictures
        assert server.cameras["gate"].plays == 1


async def test_sound_that_webrtc_does_not_carry_is_named(tmp_path: Path) -> None:
    more = b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\na=control:trackID=9\r\n"
    async with camera(tmp_path, Faults(more_sdp=more)) as server, source(server) as opened:
        await some(opened, 3)
        assert opened.facts["left_out"] == "sound in AAC"


async def test_a_redirection_is_followed_to_a_place_that_is_allowed(tmp_path: Path) -> None:
    async with camera(tmp_path) as there:
        faults = Faults(redirect=f"rtsp://127.0.0.1:{there.port}/gate")
        async with camera(tmp_path, faults) as here, source(here) as opened:
            await some(opened, 3)
            assert there.cameras["gate"].plays == 1


@pytest.mark.parametrize(
    ("target", "id"),
    [
        ("rtsp://169.254.169.254/latest", "source.refused"),
        ("rtsp://metadata.google.internal/", "source.refused"),
        ("http://127.0.0.1/x", "source.refused"),
        ("file:///etc/passwd", "source.refused"),
        ("rtsp://[", "source.refused"),
    ],
)
async def test_a_redirection_to_what_is_never_pulled_is_refused(tmp_path: Path, target: str, id: str) -> None:
    async with camera(tmp_path, Faults(redirect=target)) as server:
        with pytest.raises(SourceError) as caught:
            async with source(server):
                pass
    assert caught.value.id == id


async def test_cameras_that_redirect_in_circles_are_given_up(tmp_path: Path) -> None:
    async with camera(tmp_path) as server:
        server.cameras["gate"].faults.redirect = f"rtsp://127.0.0.1:{server.port}/gate"
        with pytest.raises(SourceError) as caught:
            async with source(server):
                pass
        assert "redirections" in caught.value.detail
        assert server.connections == 4


def test_a_password_is_not_carried_to_another_host() -> None:
    start = check_url("rtsps://admin:secret@10.0.0.1/a")
    assert redirected(start, "rtsps://10.0.0.1/b").password == "secret"
    assert redirected(start, "/b").tail == "/b"
    assert redirected(start, "rtsps://10.0.0.2/b").password is None
    assert redirected(start, "rtsp://10.0.0.1/b").password is None


async def test_a_name_is_resolved_once_and_the_checked_number_is_connected_to(tmp_path: Path) -> None:
    """DNS rebinding: whatever the name server says later, nobody asks it again. The name still goes out as SNI."""
    asked: list[str] = []
    names: list[str | None] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    tls = self_signed(Settings(data=tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    served = RtspServer([CameraFile("gate", h264_film(tmp_path))])
    async with served.listening("127.0.0.1", 0, context) as server:
        url = f"rtsps://cam.example:{server.port}/gate"
        async with RtspSource(check_url(url), clock=system_clock, resolve=resolve) as opened:
            await some(opened, 5)
    assert asked == ["cam.example"]
    assert names == ["cam.example"]


async def test_the_next_checked_address_is_tried_where_one_does_not_answer(tmp_path: Path) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.9", "127.0.0.1"]

    async with camera(tmp_path) as server:
        url = f"rtsp://cam.example:{server.port}/gate"
        async with RtspSource(check_url(url), clock=system_clock, resolve=resolve) as opened:
            await some(opened, 2)


async def test_packets_of_strangers_do_not_get_in(tmp_path: Path) -> None:
    import socket

    async with camera(tmp_path) as server, source(server, way="udp") as opened:
        await some(opened, 2)
        connection = opened._connection
        assert connection is not None
        port = connection._udp[0].ports[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.77", 0))
            stranger.sendto(b"\x80\x60" + bytes(60), ("127.0.0.1", port))
        async with asyncio.timeout(PATIENCE):
            while not connection.strangers:
                await opened.read()
        assert opened.figures.malformed == 0


@pytest.mark.parametrize("way", ["tcp", "udp"])
async def test_silence_after_play_is_named_and_nothing_is_left_open(tmp_path: Path, way: Any) -> None:
    async with camera(tmp_path, stalled=True) as server:
        with pytest.raises(SourceError) as caught:
            async with source(server, way=way, read_s=0.4) as opened:
                await some(opened, 1)
        assert caught.value.id == "source.timeout"
        async with asyncio.timeout(PATIENCE):
            await server.quiet.wait()


async def test_who_answers_nothing_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"rtsp://admin:geheim-1@127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    with pytest.raises(SourceError) as caught:
        async with RtspSource(check_url(url), clock=system_clock, open_s=0.3):
            pass
    server.close()
    assert caught.value.id == "source.timeout"
    assert "geheim" not in caught.value.detail


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 70_000, b"SSH-2.0-x\r\n\r\n"])
async def test_who_speaks_something_else_is_no_camera(noise: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    url = f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    with pytest.raises(SourceError) as caught:
        async with RtspSource(check_url(url), clock=system_clock, open_s=2):
            pass
    server.close()
    assert caught.value.id == "source.not_video"


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("rtsps://10.0.0.9:8322/x", "rtsps://10.0.0.9:8322/x"),
        ("rtsp://10.0.0.9/x?y=1", "rtsp://10.0.0.9:554/x?y=1"),
        ("/b", "rtsps://10.0.0.1:322/b"),
        ("b?c=d", "rtsps://10.0.0.1:322/folder/b?c=d"),
    ],
)
def test_a_redirection_is_joined_without_asking_the_library_for_rtsps(location: str, leads_to: str) -> None:
    """Python 3.11.2, which Debian 12 has, joins nothing to an rtsps address."""
    target = redirected(check_url("rtsps://admin:secret@10.0.0.1/folder/a"), location)
    assert f"{target.scheme}://{target.host}:{target.port}{target.tail}" == leads_to
