"""A camera's main and sub stream are two layers of one picture; the sub stream is open only while somebody wants it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from hub.bus.relay_wire import StreamConfig
from hub.domain.clock import system_clock
from hub.media.node.feed import Feed
from hub.media.peer.subscriber import Wish
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.errors import SourceError
from hub.media.sources.units import Figures
from tests.integration.live_rig import until
from tests.integration.media_kit import encoded
from tests.integration.subscriber_kit import subscribing
from tests.integration.test_whep import serving


class Camera:
    """Two films, large and small, in real time; the small one fails where it is told to."""

    def __init__(self, *, small_fails: bool = False) -> None:
        self.open: list[str] = []
        self.small_fails = small_fails

    @contextlib.asynccontextmanager
    async def __call__(self, url: str) -> AsyncIterator["Film"]:
        small = url.endswith("sub")
        if small and self.small_fails:
            raise SourceError("source.unreachable", "nobody is there")
        self.open.append(url)
        try:
            yield Film(encoded() if small else encoded(width=1_280, height=720, rate=1_500_000))
        finally:
            self.open.remove(url)


class Film:
    def __init__(self, units: tuple[tuple[bytes, bool], ...]) -> None:
        self.figures = Figures()
        self._units, self._at = units, 0

    async def read(self) -> list[AccessUnit]:
        await asyncio.sleep(0.04)
        data, key = self._units[self._at % len(self._units)]
        self._at += 1
        return [AccessUnit("video", "h264", data, self._at * 3_600, key, system_clock())]


@contextlib.asynccontextmanager
async def feeding(camera: Camera, *, sub: bool = True) -> AsyncIterator[Feed]:
    config = StreamConfig(url="rtsp://camera/main", sub_url="rtsp://camera/sub" if sub else None)
    feed = Feed("cam-1", config, clock=system_clock, opener=camera, linger_s=0.1, retry=lambda failures: 0.1)
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_small_tile_gets_the_sub_stream_and_a_large_one_the_main_stream() -> None:
    camera = Camera()
    async with (
        feeding(camera) as feed,
        serving() as server,
        subscribing(server, Wish(feed.stream, width=1_280)) as (session, _),
    ):
        await until(lambda: len(server.sessions[0].seats) == 1)
        (seat,) = server.sessions[0].seats.values()
        await until(lambda: seat.sender.packets > 20)
        assert camera.open == ["rtsp://camera/main"]
        assert server.wish(session, [Wish(feed.stream, width=320)]) is None
        await until(lambda: seat.sender.layer == 1)
        assert len(camera.open) == 2
        before = seat.sender.packets
        await until(lambda: seat.sender.packets > before + 20)
        assert server.wish(session, [Wish(feed.stream, width=1_280)]) is None
        await until(lambda: seat.sender.layer == 0)
        await until(lambda: camera.open == ["rtsp://camera/main"])
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0


async def test_a_sub_stream_may_come_to_and_go_from_a_picture_that_is_watched() -> None:
    camera = Camera()
    async with (
        feeding(camera, sub=False) as feed,
        serving() as server,
        subscribing(server, Wish(feed.stream, width=320)),
    ):
        await until(lambda: len(server.sessions[0].seats) == 1)
        (seat,) = server.sessions[0].seats.values()
        await until(lambda: seat.sender.packets > 20)
        main_only = feed.config
        feed.reconfigure(main_only.model_copy(update={"sub_url": "rtsp://camera/sub"}))
        await until(lambda: seat.sender.layer == 1)
        assert camera.open == ["rtsp://camera/main", "rtsp://camera/sub"]
        feed.reconfigure(main_only)
        await until(lambda: camera.open == ["rtsp://camera/main"])
        await until(lambda: seat.sender.layer == 0)
        before = seat.sender.packets
        await until(lambda: seat.sender.packets > before + 20)
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0


async def test_a_sub_stream_that_cannot_be_had_costs_no_picture() -> None:
    camera = Camera(small_fails=True)
    async with (
        feeding(camera) as feed,
        serving() as server,
        subscribing(server, Wish(feed.stream, width=320)),
    ):
        await until(lambda: len(server.sessions[0].seats) == 1)
        (seat,) = server.sessions[0].seats.values()
        sub = feed.sub
        assert sub is not None
        await until(lambda: sub.opened > 1)
        before = seat.sender.packets
        await until(lambda: seat.sender.packets > before + 40)
        assert seat.sender.layer == 0


async def test_two_tiles_share_one_sub_stream_until_the_last_is_hidden() -> None:
    camera = Camera()
    small = partial(Wish, width=320)
    async with feeding(camera) as feed, serving() as server, subscribing(server, small(feed.stream)) as (first, _):
        async with subscribing(server, small(feed.stream)):
            await until(lambda: len(camera.open) == 2)
            server.wish(first, [])
            await asyncio.sleep(0.3)  # longer than it lingers
            assert len(camera.open) == 2
        await until(lambda: camera.open == [])
