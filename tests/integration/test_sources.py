"""Cameras pulled over real sockets: what comes, what fails and how it is named, and that it comes back."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.bus.relay_wire import StreamConfig
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.domain.clock import system_clock
from hub.domain.source_url import check_url
from hub.media.node.feed import Feed
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.errors import SourceError
from hub.media.sources.opening import OpenSource, open_source
from hub.settings import Settings
from hub.tls import self_signed
from signaling.rtsp.auth import Guard
from tests.integration.camera_kit import PATIENCE, Watched, h264_film, other_film, with_sound

SECRET = "geheim-123"


@contextlib.asynccontextmanager
async def cameras(folder: Path) -> AsyncIterator[RtspServer]:
    """gate, yard: alike; safe: with a password; new: H.265; reordered: with B-frames."""
    film = h264_film(folder)
    served = [
        CameraFile("gate", film),
        CameraFile("yard", film),
        CameraFile("safe", film, Guard("admin", SECRET)),
        CameraFile(
            "new", other_film(folder / "f.hevc", "libx265", preset="ultrafast", x265_params="log-level=0:bframes=0")
        ),
        CameraFile("reordered", other_film(folder / "b.mp4", "libx264", b=2, x264_params="b-adapt=0:scenecut=0")),
    ]
    async with RtspServer(served).listening("127.0.0.1", 0) as server:
        yield server


def pull(url: str, **options: Any) -> AbstractAsyncContextManager[OpenSource]:
    return open_source(check_url(url, files=True), clock=system_clock, **options)


async def take(opening: AbstractAsyncContextManager[OpenSource], count: int) -> list[AccessUnit]:
    units: list[AccessUnit] = []
    async with asyncio.timeout(PATIENCE), opening as source:
        while len(units) < count:
            units += await source.read()
    return units


async def fails(url: str, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await take(pull(url, **options), 10_000)
    return caught.value


@contextlib.asynccontextmanager
async def answering(bodies: dict[str, bytes], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A tiny HTTP server: path to the whole response; what is not named is 404. Yields its port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            body = bodies.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if body == b"silence":
                await reader.read()
            writer.write(body)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def ok(body: bytes, kind: str = "application/octet-stream") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), len(body)) + body


async def test_units_are_complete_and_their_times_grow_from_loop_to_loop(tmp_path: Path) -> None:
    short = other_film(tmp_path / "short.mp4", "libx264", frames=10, preset="ultrafast")
    async with RtspServer([CameraFile("loop", short)]).listening("127.0.0.1", 0) as server:
        units = await take(pull(f"rtsp://127.0.0.1:{server.port}/loop"), 35)
    assert units[0].keyframe
    assert units[0].data[4] & 0x1F == 7
    times = [unit.pts for unit in units]
    assert [b - a for a, b in itertools.pairwise(times)] == [3_600] * (len(times) - 1)


async def test_a_guarded_camera_opens_with_its_password(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server:
        assert len(await take(pull(f"rtsp://admin:{SECRET}@localhost:{server.port}/safe"), 5)) >= 5


@pytest.mark.parametrize(
    ("address", "reason", "detail"),
    [
        ("admin:falsch-456@{}/safe", "source.unauthorized", "401"),
        ("{}/safe", "source.unauthorized", "401"),
        ("{}/nowhere", "source.not_found", "404"),
    ],
)
async def test_a_camera_that_does_not_come_says_why(tmp_path: Path, address: str, reason: str, detail: str) -> None:
    async with cameras(tmp_path) as server:
        error = await fails("rtsp://" + address.format(f"127.0.0.1:{server.port}"))
    assert error.id == reason
    assert detail in error.detail
    assert "falsch-456" not in error.detail + error.message


async def test_h265_and_reordered_pictures_come_and_are_marked(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server:
        base = f"rtsp://127.0.0.1:{server.port}"
        new, reordered = await take(pull(f"{base}/new"), 30), await take(pull(f"{base}/reordered"), 30)
        plain = await take(pull(f"{base}/gate"), 30)
    assert {(unit.codec, unit.passes) for unit in new} == {("h265", True)}
    assert {(unit.codec, unit.passes) for unit in reordered} == {("h264", False)}
    assert {(unit.codec, unit.passes) for unit in plain} == {("h264", True)}
    times = [unit.pts for unit in reordered]
    assert times != sorted(times)
    steps = [b - a for a, b in itertools.pairwise(sorted(times)[3:-3])]
    assert set(steps) == {3_600}


async def test_nobody_at_the_address_is_unreachable() -> None:
    for scheme in ("rtsp", "http", "rtmp"):
        assert (await fails(f"{scheme}://admin:{SECRET}@127.0.0.1:9/x")).id == "source.unreachable"


async def test_who_answers_nothing_is_a_timeout_and_keeps_the_password_to_itself() -> None:
    async with answering({"/x": b"silence", "rtsp": b"silence"}) as port:
        error = await fails(f"http://admin:{SECRET}@127.0.0.1:{port}/x", open_s=0.5)
    assert error.id == "source.timeout"
    assert SECRET not in error.detail


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://%s\n#EXT-X-ENDLIST\n"


async def test_what_is_not_video_over_http_is_named(tmp_path: Path) -> None:
    film = h264_film(tmp_path)
    bodies = {
        "/text": ok(b"this is a text about cameras\n" * 400, "text/plain"),
        "/page": ok(b"<!doctype html><html><body>login</body></html>" * 50, "text/html"),
        "/list.m3u8": ok(PLAYLIST % str(film).encode(), "application/vnd.apple.mpegurl"),
        "/door": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "/away": b"HTTP/1.1 302 Found\r\nLocation: /film.h264\r\nContent-Length: 0\r\n\r\n",
        "/film.h264": ok(film.read_bytes()),
    }
    async with answering(bodies) as port:
        seen = {path: (await fails(f"http://127.0.0.1:{port}{path}")).id for path in [*bodies, "/none"]}
    assert seen == {
        "/text": "source.not_video",
        "/page": "source.not_video",
        "/list.m3u8": "source.not_video",
        "/door": "source.unauthorized",
        "/away": "source.unreachable",
        "/film.h264": "source.lost",  # it plays, and ends
        "/none": "source.not_found",
    }


@pytest.mark.parametrize("name", ["f.mp4", "f.flv", "f.ts", "f.mkv"])
async def test_containers_over_http_come_as_annex_b_at_the_speed_of_time(tmp_path: Path, name: str) -> None:
    film = other_film(tmp_path / name, "libx264", preset="ultrafast")
    async with answering({f"/{name}": ok(film.read_bytes())}) as port:
        units = await take(pull(f"http://localhost:{port}/{name}"), 20)
    assert units[0].keyframe
    assert all(unit.data.startswith(b"\0\0\0\1") for unit in units)
    assert units[-1].at_ms - units[0].at_ms >= 100  # not all in one breath


@pytest.mark.parametrize(
    ("encoder", "rate", "codec", "clock"),
    [("pcm_alaw", 8_000, "pcma", 8_000), ("pcm_mulaw", 8_000, "pcmu", 8_000), ("libopus", 48_000, "opus", 48_000)],
)
async def test_sound_that_webrtc_carries_comes_along(
    tmp_path: Path, encoder: str, rate: int, codec: str, clock: int
) -> None:
    name = "f.mkv" if codec == "opus" else "f.flv"
    film = with_sound(other_film(tmp_path / name, "libx264", preset="ultrafast"), encoder, rate)
    async with answering({f"/{name}": ok(film.read_bytes())}) as port:
        units = await take(pull(f"http://localhost:{port}/{name}"), 40)
    sound = [unit for unit in units if unit.kind == "audio"]
    assert {unit.codec for unit in sound} == {codec}
    seconds = (sound[-1].pts - sound[0].pts) / clock
    assert 0.2 < seconds < 2


@pytest.mark.parametrize("name", ["f.mkv", "f.flv", "f.ts"])
async def test_aac_comes_along_with_a_header_whatever_held_it(tmp_path: Path, name: str) -> None:
    film = with_sound(other_film(tmp_path / name, "libx264", preset="ultrafast"), "aac", 44_100)
    async with answering({f"/{name}": ok(film.read_bytes())}) as port:
        units = await take(pull(f"http://localhost:{port}/{name}"), 40)
    sound = [unit for unit in units if unit.kind == "audio"]
    assert {unit.codec for unit in sound} == {"aac"}
    assert {(unit.data[0], unit.data[1] & 0xF6) for unit in sound} == {(0xFF, 0xF0)}
    assert 0.2 < (sound[-1].pts - sound[0].pts) / 90_000 < 2


async def test_sound_that_nobody_knows_is_left_out(tmp_path: Path) -> None:
    film = with_sound(other_film(tmp_path / "f.mkv", "libx264", preset="ultrafast"), "mp2", 44_100)
    async with answering({"/f.mkv": ok(film.read_bytes())}) as port:
        units = await take(pull(f"http://localhost:{port}/f.mkv"), 20)
    assert {unit.kind for unit in units} == {"video"}


def own_certificate(folder: Path) -> ssl.SSLContext:
    tls = self_signed(Settings(data=folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


async def test_rtsp_and_http_come_over_tls_and_http_names_its_host(tmp_path: Path) -> None:
    context, asked = own_certificate(tmp_path), set[str | None]()
    context.sni_callback = lambda _socket, name, _context: asked.add(name)
    film = h264_film(tmp_path)
    async with (
        RtspServer([CameraFile("gate", film)]).listening("127.0.0.1", 0, context) as server,
        answering({"/f.h264": ok(film.read_bytes())}, context) as port,
    ):
        assert len(await take(pull(f"rtsps://localhost:{server.port}/gate"), 5)) >= 5
        assert asked == {"localhost"}
        asked.clear()
        assert len(await take(pull(f"https://localhost:{port}/f.h264"), 5)) >= 5
        assert asked == {"localhost"}


async def test_a_file_is_pulled_only_from_the_demo_folder(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    demo.mkdir()
    film = h264_film(demo)
    assert len(await take(pull(f"file://{film}", files=demo), 5)) >= 5
    assert (await fails(f"file://{film}")).id == "source.refused"
    assert (await fails(f"file://{h264_film(tmp_path)}", files=demo)).id == "source.refused"


# the life of a stream --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def feeding(url: str, *, linger_s: float = 0.2, read_s: float = 8.0, **options: Any) -> AsyncIterator[Watched]:
    """A feed that runs, and the place to wait for its states."""
    watched = Watched()
    feed = watched.feed = Feed(
        "cam-1",
        StreamConfig(url=url),
        clock=system_clock,
        opener=partial(pull, read_s=read_s, open_s=3.0),
        on_change=watched,
        linger_s=linger_s,
        retry=lambda failures: 0.1,
        **options,
    )
    task = asyncio.create_task(feed.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert feed.stream.ended


async def test_two_subscribers_open_the_camera_once_and_the_last_closes_it(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server, feeding(f"rtsp://127.0.0.1:{server.port}/gate") as watched:
        assert watched.feed is not None
        stream, camera = watched.feed.stream, server.cameras["gate"]
        async with asyncio.timeout(PATIENCE):
            async with stream.units("one") as one, stream.units("two") as two:
                first, second = await anext(one), await anext(two)
                assert first.keyframe
                assert second.keyframe
                await watched.until_state("live")
            assert watched.feed.state("n").state == "live"  # it lingers
            await watched.until_state("idle")
            await server.quiet.wait()
        assert (camera.plays, server.connections) == (1, 1)
        assert watched.states == ["idle", "connecting", "live", "idle"]


async def test_who_comes_back_within_the_linger_time_finds_the_same_connection(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server, feeding(f"rtsp://127.0.0.1:{server.port}/gate", linger_s=60) as watched:
        assert watched.feed is not None
        for _ in range(3):
            async with asyncio.timeout(PATIENCE), watched.feed.stream.units("viewer") as reader:
                await anext(reader)
        assert server.cameras["gate"].plays == 1


async def test_a_camera_that_vanishes_is_live_again_when_it_is_back(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server, feeding(f"rtsp://127.0.0.1:{server.port}/gate") as watched:
        assert watched.feed is not None
        async with watched.feed.stream.units("viewer", 4_096) as reader:
            await watched.until_state("live")
            server.unplug("gate")
            await watched.until_state("failed")
            state = watched.feed.state("n")
            assert state.reason == "source.lost"
            assert state.retry_at is not None
            server.plug("gate")
            await watched.until_state("live")
            state = watched.feed.state("n")
            assert (state.reason, state.retry_at) == (None, None)
            assert (state.codec, state.width, state.height) == ("h264", 320, 240)
            seen = server.cameras["gate"].plays
            async with asyncio.timeout(PATIENCE):
                for _ in range(20):
                    await anext(reader)
            assert seen == 2


async def test_a_camera_that_falls_silent_is_frozen_then_live_when_it_goes_on(tmp_path: Path) -> None:
    url = "rtsp://127.0.0.1:{}/gate"
    async with cameras(tmp_path) as server, feeding(url.format(server.port), freeze_s=0.5) as watched:
        assert watched.feed is not None
        async with watched.feed.stream.units("viewer"):
            await watched.until_state("live")
            server.cameras["gate"].stalled = True
            await watched.until_state("frozen")
            server.cameras["gate"].stalled = False
            await watched.until_state("live")
        assert server.cameras["gate"].plays == 1


async def test_a_camera_that_stays_silent_is_given_up_and_connected_anew(tmp_path: Path) -> None:
    url = "rtsp://127.0.0.1:{}/gate"
    async with cameras(tmp_path) as server, feeding(url.format(server.port), freeze_s=0.3, read_s=1.0) as watched:
        assert watched.feed is not None
        async with watched.feed.stream.units("viewer"):
            await watched.until_state("live")
            server.cameras["gate"].stalled = True
            await watched.until_state("failed")
            assert watched.feed.state("n").reason == "source.lost"
            server.cameras["gate"].stalled = False
            await watched.until_state("live")
        assert watched.states[-4:] == ["frozen", "failed", "connecting", "live"]


async def test_another_address_opens_anew_and_the_same_one_changes_nothing(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server, feeding(f"rtsp://127.0.0.1:{server.port}/gate") as watched:
        feed = watched.feed
        assert feed is not None
        async with feed.stream.units("viewer"):
            await watched.until_state("live")
            feed.reconfigure(StreamConfig(url=feed.config.url))
            feed.reconfigure(StreamConfig(url=f"rtsp://127.0.0.1:{server.port}/yard"))
            await watched.until(lambda: server.cameras["yard"].plays == 1 and feed.state("n").state == "live")
            assert server.cameras["gate"].plays == 1


async def test_one_bad_camera_leaves_the_others_alone(tmp_path: Path) -> None:
    async with (
        cameras(tmp_path) as server,
        feeding(f"rtsp://admin:x@127.0.0.1:{server.port}/safe") as bad,
        feeding(f"rtsp://127.0.0.1:{server.port}/gate") as good,
    ):
        assert bad.feed is not None
        assert good.feed is not None
        async with bad.feed.stream.units("viewer"), good.feed.stream.units("viewer"):
            await bad.until_state("failed")
            await good.until_state("live")
            await bad.until(lambda: bad.feed is not None and bad.feed.opened >= 4)
            assert good.states == ["idle", "connecting", "live"]
            assert bad.feed.state("n").reason == "source.unauthorized"


async def test_keep_open_needs_no_subscriber(tmp_path: Path) -> None:
    async with cameras(tmp_path) as server, feeding(f"rtsp://127.0.0.1:{server.port}/gate") as watched:
        assert watched.feed is not None
        url = watched.feed.config.url
        watched.feed.reconfigure(StreamConfig(url=url, keep_open=True))
        await watched.until_state("live")
        watched.feed.reconfigure(StreamConfig(url=url))
        await watched.until_state("idle")
