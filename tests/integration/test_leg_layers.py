"""Layers over a leg: a member's simulcast as it comes, a camera's sub stream once somebody behind the leg wants it."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from hub.domain.clock import system_clock
from hub.media.peer.dial import Reply, publishing
from hub.media.peer.server import PeerServer
from hub.media.peer.session import Session
from hub.media.peer.subscriber import Wish
from hub.media.sources.leg import watch_leg
from hub.media.stream import Stream
from tests.integration.layered import Layered
from tests.integration.live_rig import until
from tests.integration.narrow_path import NarrowPath
from tests.integration.subscriber_kit import subscribing
from tests.integration.test_substream import Camera, feeding
from tests.integration.test_whep import serving

MAIN, SUB = "rtsp://camera/main", "rtsp://camera/sub"


@contextlib.asynccontextmanager
async def leg(
    a: PeerServer, source: Stream, b: PeerServer, copy: Stream, *, asks: bool, side: str, path: NarrowPath | None = None
) -> AsyncIterator[None]:
    """A leg from the relay with the stream to the other one, which one of them dials. ``path``: what it goes by."""

    async def watch(offer: str) -> Reply:
        sdp = (await a.whep(source, offer, owner="leg-b", each_layer=True, low=asks)).sdp
        return Reply(sdp if path is None else path.rewrite(sdp), asks)

    async def publish(offer: str) -> Reply:
        sdp = (await b.whip(copy, offer, owner="leg-a", asks=asks, each_layer=True)).sdp
        return Reply(sdp if path is None else path.rewrite(sdp))

    if side == "pulled":
        async with watch_leg(copy, "http://127.0.0.1:1", watch, clock=system_clock, on_changed=lambda: None):
            yield
    else:
        source.hold("push-b")
        async with publishing(source, publish, near="", clock=system_clock, low=asks):
            yield
        source.release("push-b")


def viewer_of(server: PeerServer) -> Session:
    """The one that is no leg."""
    return next(session for session in server.sessions if session.subscriber is not None)


SIDES = pytest.mark.parametrize("side", ["pulled", "pushed"])


@SIDES
async def test_every_layer_of_a_member_comes_by_the_leg_and_its_viewers_choose_among_them(side: str) -> None:
    source, copy = Stream("mem-1", clock=system_clock), Stream("mem-1", clock=system_clock)
    publisher = Layered(source)
    async with serving() as a, serving() as b, publisher.playing(), leg(a, source, b, copy, asks=True, side=side):
        await until(lambda: len(copy.layers("video")) == 2)
        await until(lambda: [track.size for track in copy.layers("video")] == [(320, 240), (1_280, 720)])
        asked = list(publisher.asked)
        async with subscribing(b, Wish(copy, width=320)) as (session, _):
            await until(lambda: len(viewer_of(b).seats) == 1)
            (seat,) = viewer_of(b).seats.values()
            await until(lambda: seat.sender.packets > 10)
            assert seat.sender.layer == 0
            b.wish(session, [Wish(copy, width=1_280)])
            await until(lambda: seat.sender.layer == 1)
            before = seat.sender.packets
            await until(lambda: seat.sender.packets > before + 20)
            assert publisher.asked[1] > asked[1]  # the key frame to switch by was asked for through the leg
        assert a.counters["protect_failed"] == a.counters["internal_errors"] == b.counters["internal_errors"] == 0


@SIDES
async def test_a_camera_s_sub_stream_is_opened_for_a_small_tile_behind_the_leg_and_closed_after_it(side: str) -> None:
    camera, copy = Camera(), Stream("cam-1", clock=system_clock)
    async with feeding(camera) as feed, serving() as a, serving() as b:
        async with leg(a, feed.stream, b, copy, asks=False, side=side):
            await until(lambda: copy.layers("video") and copy.layers("video")[0].size == (1_280, 720))
            async with subscribing(b, Wish(copy, width=1_280)) as (session, _):
                await until(lambda: len(viewer_of(b).seats) == 1)
                (seat,) = viewer_of(b).seats.values()
                await until(lambda: seat.sender.packets > 20)
                assert (camera.open, seat.sender.layer) == ([MAIN], 0)
                b.wish(session, [Wish(copy, width=320)])
                await until(lambda: seat.sender.layer == 1)
                assert sorted(camera.open) == [MAIN, SUB]
                before = seat.sender.packets
                await until(lambda: seat.sender.packets > before + 20)
                b.wish(session, [Wish(copy, width=1_280)])
                await until(lambda: seat.sender.layer == 0)
                await until(lambda: camera.open == [MAIN])
        await until(lambda: camera.open == [])
        assert a.counters["protect_failed"] == a.counters["internal_errors"] == b.counters["internal_errors"] == 0


@SIDES
async def test_a_leg_that_ends_wants_no_sub_stream_any_more(side: str) -> None:
    camera, copy = Camera(), Stream("cam-1", clock=system_clock)
    async with (
        feeding(camera) as feed,
        serving() as a,
        serving() as b,
        subscribing(a, Wish(feed.stream, width=1_280)),
    ):
        async with leg(a, feed.stream, b, copy, asks=False, side=side), subscribing(b, Wish(copy, width=320)):
            await until(lambda: sorted(camera.open) == [MAIN, SUB])
        await until(lambda: camera.open == [MAIN])
