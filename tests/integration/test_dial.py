"""One relay's session at another: over real sockets, in both directions, with loss, and when the other side dies."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator

import pytest

from hub.domain.clock import system_clock
from hub.domain.errors import NotFound
from hub.media.peer.dial import CONSENT_MS, Dialed, DialFailed, Reply, publishing, watching
from hub.media.peer.server import PeerServer
from hub.media.stream import Stream
from tests.integration.media_kit import encoded, feeding
from tests.integration.narrow_path import narrow_path
from tests.integration.test_whep import PATIENCE, client, first_track, h264, serving, view
from tests.integration.test_whep_abuse import garbage


@contextlib.asynccontextmanager
async def leg(origin: PeerServer, source: Stream, copy: Stream) -> AsyncIterator[Dialed]:
    async def post(offer: str) -> Reply:
        return Reply((await origin.whep(source, offer, owner="leg-b")).sdp, asks=False)

    async with watching(copy, post, near="127.0.0.1", clock=system_clock) as dialed:
        yield dialed


async def until_units(stream: Stream, count: int) -> None:
    """Return once so many packets have come."""
    async with asyncio.timeout(PATIENCE):
        while stream.counters.units < count:  # noqa: ASYNC110 - a stream has no event for it
            await asyncio.sleep(0.02)


async def test_a_viewer_behind_a_leg_decodes_the_camera_and_begins_with_the_cached_gop() -> None:
    async with serving() as a, serving() as b, client() as pc:
        source, copy = h264(), Stream("cam-1", clock=system_clock)
        async with feeding(source), leg(a, source, copy) as dialed:
            await until_units(copy, 30)
            assert not copy.tracks["video"].published  # its viewers begin with the GOP, and ask nobody
            async with asyncio.timeout(PATIENCE):
                track = first_track(pc, "video")
                await view(b, copy, pc)
                seen = [await (await track).recv() for _ in range(30)]
            assert {(frame.width, frame.height) for frame in seen} == {(320, 240)}  # type: ignore[union-attr]
            stamps = [frame.pts or 0 for frame in seen]
            assert stamps == sorted(set(stamps))
            assert (source.viewers, copy.viewers) == (1, 1)
            assert dialed.totals.keyframe_requests == dialed.totals.internal_errors == 0
        assert (await gone(a), copy.subscribers) == (True, 1)


async def gone(server: PeerServer) -> bool:
    """Whether the other side forgets the session."""
    async with asyncio.timeout(PATIENCE):
        while server.sessions:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.02)
    return True


async def test_a_relay_publishes_its_stream_at_another() -> None:
    async with serving() as a, serving() as b, client() as pc:
        source, copy = h264(), Stream("cam-1", clock=system_clock)

        async def post(offer: str) -> Reply:
            return Reply((await b.whip(copy, offer, owner="leg-a", asks=False)).sdp)

        async with feeding(source), publishing(source, post, near="127.0.0.1", clock=system_clock) as dialed:
            await until_units(copy, 30)
            async with asyncio.timeout(PATIENCE):
                track = first_track(pc, "video")
                await view(b, copy, pc)
                assert [(await (await track).recv()).pts for _ in range(10)]
            assert dialed.totals.packets_out >= 30
            assert a.sessions == ()  # the socket is the leg's own
        assert len(source._listeners["video"]) == 0


async def test_lost_packets_of_a_leg_come_again() -> None:
    async with serving() as a:
        source, copy = h264(), Stream("cam-1", clock=system_clock)

        async def post(offer: str) -> Reply:
            return Reply(path.rewrite((await a.whep(source, offer, owner="leg-b")).sdp), asks=False)

        async with (
            narrow_path(a.port) as path,
            feeding(source, every_s=0.01, loop=lambda: encoded(rate=4_000_000)),
            watching(copy, post, near="", clock=system_clock) as dialed,
        ):
            path.loss = 0.05
            await until_units(copy, 1_500)
            publisher = dialed.session.publisher
            assert publisher is not None
            lost = sum(each.block(0).lost for each in publisher._sources.values())
            assert path.lost > 30
        assert a.counters["retransmitted"] > 10
        assert lost < 20  # the youngest ones are still on their way


async def test_a_leg_ends_soon_after_the_other_relay_is_dead() -> None:
    async with serving() as a:
        source, copy = h264(), Stream("cam-1", clock=system_clock)
        async with feeding(source), leg(a, source, copy) as dialed:
            await until_units(copy, 5)
            asyncio.get_running_loop().remove_reader(a._fd)  # it hears nothing more, and says no good-bye
            began = system_clock()
            async with asyncio.timeout(PATIENCE):
                await dialed.session.finished.wait()
            assert dialed.session.reason == "consent.lost"
            assert system_clock() - began >= CONSENT_MS - 400


async def test_a_relay_that_refuses_or_does_not_listen_is_one_plain_error() -> None:
    copy = Stream("cam-1", clock=system_clock)

    async def refuse(_: str) -> Reply:
        raise NotFound("stream.unknown", "no")

    with pytest.raises(NotFound):
        async with watching(copy, refuse, near="127.0.0.1", clock=system_clock):
            pass
    async with serving(handshake_s=0.2) as a:
        source = h264()

        async def post(offer: str) -> Reply:
            return Reply((await a.whep(source, offer, owner="leg-b")).sdp.replace(f" {a.port} ", " 9 "))

        with pytest.raises(DialFailed, match="ice"):
            async with watching(copy, post, near="", clock=system_clock):
                pass


async def test_a_stranger_with_another_certificate_gets_no_session() -> None:
    async with serving() as a:
        source, copy = h264(), Stream("cam-1", clock=system_clock)

        async def post(offer: str) -> Reply:
            sdp = (await a.whep(source, offer, owner="leg-b")).sdp
            where = sdp.index("a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
            return Reply(sdp[:where] + ":".join(["AB"] * 32) + sdp[where + 95 :])

        with pytest.raises(DialFailed, match="dtls"):
            async with watching(copy, post, near="127.0.0.1", clock=system_clock):
                pass
        assert copy.counters.units == 0


async def test_garbage_at_a_legs_own_port_is_counted_and_costs_no_picture() -> None:
    """The socket that dialled has a port that anybody may guess."""
    async with serving() as server, asyncio.timeout(PATIENCE):
        source, copy = h264(), Stream("cam-1", clock=system_clock)
        async with feeding(source), leg(server, source, copy) as dialed:
            await until_units(copy, 5)
            port = dialed._sock.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for data in garbage(random.Random(9)):
                    stranger.sendto(data, ("127.0.0.1", port))
                    await asyncio.sleep(0)
            await until_units(copy, copy.counters.units + 20)
            totals, publisher = dialed.totals, dialed.session.publisher
            assert min(totals.stun_bad, totals.unknown_path, totals.malformed) > 0
            assert totals.internal_errors == 0
            assert publisher is not None
            assert publisher.totals()[1] == 0  # nothing lost
