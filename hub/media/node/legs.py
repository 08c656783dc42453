"""Legs between relays: streams of others that we carry for our viewers, and streams of ours that we publish at others.

A leg leads to the relay that opened the source, never to one that has it by a leg itself: there are no chains and no
loops. Either side may open it, since zones of a network often open one way only.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeAlias

import structlog

from hub.bus.relay_wire import LEG_OWNER, AnswerOut, OfferIn, StreamConfig
from hub.bus.relays import Relays
from hub.domain.clock import Clock
from hub.domain.errors import Conflict, HubError, NotFound
from hub.media.peer.counters import Tally
from hub.media.peer.dial import KNOWN, Dialed, DialFailed, Reply, outline, parts_of, publishing
from hub.media.peer.publication import Publication
from hub.media.peer.server import PeerServer
from hub.media.sources.leg import PUSHED, Landing, Passing, land_leg, near_of, watch_leg
from hub.media.stream import Stream

log: Final = structlog.get_logger(__name__)

MAX_PUSHES: Final = 1_024
MAX_TRIES: Final = 6
LOOK_S: Final = 0.5
EXPECTED_S: Final = 5.0  # a pushed leg is kept open so long for its first viewer
WAITING: Final = "-leg"  # holds a stream until its leg stands

Ready: TypeAlias = Callable[[], Awaitable[object]]


def leg_owner(node: str) -> str:
    """The owner of a relay's sessions at another."""
    return LEG_OWNER + node


def rendition_of(stream: Stream) -> Publication:
    """What goes over a leg: pictures as they came. Raises Unavailable ``transcode.full``."""
    return stream.rendition(KNOWN)


class Legs:
    """All legs of one relay. ``group`` owns the tasks that push."""

    def __init__(self, *, node: str, relays: Relays, clock: Clock, peers: PeerServer, group: asyncio.TaskGroup) -> None:
        self.pushed = 0  # sessions at other relays so far
        self.tally = Tally()  # of the sessions that we dialled
        self._node = node
        self._relays = relays
        self._clock = clock
        self._peers = peers
        self._group = group
        self._landings: dict[str, Landing] = {}
        self._expected: dict[str, asyncio.TimerHandle] = {}
        self._pushes: dict[tuple[str, str], asyncio.Task[None]] = {}

    @property
    def pushes(self) -> int:
        """Streams that we publish at others now."""
        return len(self._pushes)

    # streams of others ------------------------------------------------------------------------------

    def source(self, stream: Stream, url: str) -> AbstractAsyncContextManager[Passing]:
        """The leg of a stream as a source."""
        if url.startswith(PUSHED):
            return land_leg(stream, self._landing(stream), lambda id: self._peers.end(id, "unwanted"))

        async def post(sdp: str) -> Reply:
            offer = OfferIn(sdp=sdp, owner=leg_owner(self._node), label="leg")
            out = await self._relays.whep(url, stream.id, offer)
            return Reply(out.sdp, out.asks)

        def changed() -> None:
            self._peers.call_again(stream)

        return watch_leg(stream, url, post, clock=self._clock, on_changed=changed, tally=self.tally)

    def expect(self, stream: Stream) -> None:
        """Another relay is about to publish this stream: want it for a while, until its viewers come."""
        self._landing(stream)
        if (before := self._expected.pop(stream.id, None)) is not None:
            before.cancel()
        stream.watch(WAITING, hears=False)
        self._expected[stream.id] = asyncio.get_running_loop().call_later(EXPECTED_S, self._waited, stream)

    def _waited(self, stream: Stream) -> None:
        self._expected.pop(stream.id, None)
        stream.release(WAITING)

    async def land(self, stream: Stream, config: StreamConfig, offer: OfferIn) -> AnswerOut:
        """The other relay publishes a stream here. Raises Conflict ``stream.unwanted``, ``stream.is_camera``."""
        if config.kind != "leg" or config.url != PUSHED + offer.owner.removeprefix(LEG_OWNER):
            raise Conflict("stream.is_camera", "this stream is not published by that relay")
        if not stream.subscribers:
            raise Conflict("stream.unwanted", "nobody here watches this stream")
        landing = self._landing(stream)
        answer = await self._peers.whip(
            stream,
            offer.sdp,
            owner=offer.owner,
            label="leg",
            asks=offer.asks,
            each_layer=True,
            into=landing.relayed,
            on_end=lambda session, _: landing.went(session),
        )
        landing.came(answer.session_id)
        return AnswerOut(sdp=answer.sdp, session=answer.session_id)

    def _landing(self, stream: Stream) -> Landing:
        return self._landings.setdefault(stream.id, Landing(stream))

    def forget(self, id: str) -> None:
        """The stream is gone, and with it what leads to and from it."""
        self._landings.pop(id, None)
        if (timer := self._expected.pop(id, None)) is not None:
            timer.cancel()
        for (stream, _), task in list(self._pushes.items()):
            if stream == id:
                task.cancel()

    # streams of ours --------------------------------------------------------------------------------

    def push(self, stream: Stream, node: str, base: str, *, asks: bool, ready: Ready) -> None:
        """Publish a stream at another relay until nobody there wants it; again the same is nothing.

        ``ready`` waits until the codecs are known. Raises Conflict ``relay.full``.
        """
        key = (stream.id, node)
        if key in self._pushes:
            return
        if len(self._pushes) >= MAX_PUSHES:
            raise Conflict("relay.full", f"this relay publishes at most {MAX_PUSHES} streams elsewhere")
        work = self._push(stream, node, base, asks, ready)
        task = self._pushes[key] = self._group.create_task(work, name=f"{stream.id}/push/{node}")
        task.add_done_callback(lambda _: self._pushes.pop(key, None))

    def unpush(self, id: str, node: str) -> None:
        """Do so no more. Raises NotFound ``stream.unknown``."""
        if (task := self._pushes.get((id, node))) is None:
            raise NotFound("stream.unknown", "this stream is not published there")
        task.cancel()

    async def _push(self, stream: Stream, node: str, base: str, asks: bool, ready: Ready) -> None:
        async def post(sdp: str) -> Reply:
            offer = OfferIn(sdp=sdp, owner=leg_owner(self._node), label="leg", asks=asks)
            return Reply((await self._relays.whip(base, stream.id, offer)).sdp)

        name, failures = f"push-{node}", 0
        stream.watch(name, hears=False)
        try:
            while not stream.ended and failures < MAX_TRIES:
                try:
                    await ready()
                    sent = rendition_of(stream)
                    sent.hold(name)
                    async with publishing(
                        sent, post, near=near_of(base), clock=self._clock, low=asks, tally=self.tally, whole=stream
                    ) as dialed:
                        self.pushed, failures = self.pushed + 1, 0
                        await self._while_it_lasts(stream, sent, dialed)
                except (Conflict, NotFound):
                    return  # not wanted any more
                except (DialFailed, HubError) as error:
                    failures += 1
                    log.info("leg.push_failed", stream=stream.id, relay=node, reason=str(error))
                finally:
                    stream.release(name)
                    stream.watch(name, hears=False)
                await asyncio.sleep(0.2 * 2**failures)
        finally:
            stream.release(name)

    async def _while_it_lasts(self, whole: Stream, stream: Publication, dialed: Dialed) -> None:
        """Until the session ends, or the stream's tracks are others than those it sends: sound may join later."""
        sends = outline(dialed.sends)
        while not stream.ended and outline(parts_of(stream, whole)) == sends:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await dialed.session.finished.wait()
                    return
