"""One peer connection: its states, its transport, and what it watches or publishes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import pylibsrtp
import structlog

from hub.domain.clock import Clock
from hub.domain.errors import IllegalTransition
from hub.media.peer.counters import Counters
from hub.media.peer.dtls import Dtls, DtlsFailed
from hub.media.peer.fanout import Repair
from hub.media.peer.intake import Intake
from hub.media.peer.negotiate import Wanted
from hub.media.peer.publication import Publication
from hub.media.peer.publisher import Publisher
from hub.media.peer.sender import Sender
from hub.media.peer.steering import Seat, Steering
from hub.media.peer.viewers import Viewers
from hub.media.rtp import rtcp, twcc
from hub.media.rtp.unit import Kind
from signaling.ice import IceLite

if TYPE_CHECKING:
    from hub.media.peer.subscriber import Subscriber

COMPOUND: Final = 1_100  # octets of sender reports that leave together

log = structlog.get_logger(__name__)


class State(Enum):
    """Of a session."""

    NEW = auto()  # answered, nobody has come yet
    SHAKING = auto()  # a checked path, DTLS runs
    LIVE = auto()
    ENDED = auto()


class Event(Enum):
    """What moves a session."""

    CHECKED = auto()
    SECURED = auto()
    FINISHED = auto()


NEXT: Final[Mapping[tuple[State, Event], State]] = {
    (State.NEW, Event.CHECKED): State.SHAKING,
    (State.SHAKING, Event.SECURED): State.LIVE,
    (State.NEW, Event.FINISHED): State.ENDED,
    (State.SHAKING, Event.FINISHED): State.ENDED,
    (State.LIVE, Event.FINISHED): State.ENDED,
}


def step(state: State, event: Event) -> State:
    """The state after an event. Raises IllegalTransition."""
    if (after := NEXT.get((state, event))) is None:
        raise IllegalTransition("session", state, event.name)
    return after


class Session:
    """A viewer, a publisher, or a subscriber to many streams (``stream`` is ``None``).

    ``run`` is its whole life and is owned by the server's task group.
    """

    def __init__(
        self,
        id: str,
        stream: Publication | None,
        *,
        owner: str,
        label: str,
        ice: IceLite,
        dtls: Dtls,
        fingerprints: tuple[tuple[str, str], ...],
        clock: Clock,
        counters: Counters,
        on_end: Callable[[str, str], None] | None,
    ) -> None:
        self.id = id
        self.stream = stream
        self.owner = owner
        self.label = label
        self.ice = ice
        self.dtls = dtls
        self.intake = Intake()
        self.state = State.NEW
        self.reason = ""
        self.turned_away = ""  # why it ends as soon as the client can be told
        self.publisher: Publisher | None = None
        self.subscriber: Subscriber | None = None
        self.wanted: list[Wanted] = []  # a viewer's tracks
        self.mid = ""  # of the first section
        self.zone = ""  # the network that the client sits in, as far as it is known
        self.width: int | None = None  # of a viewer's tile
        self.takes: frozenset[Kind] = frozenset()  # a relay: what it has sections for
        self.wants_low = False  # a relay: the layers after the first, too
        self._paused = False
        self.seats: dict[int, Seat] = {}  # by SSRC
        self.steering = Steering(id, self.seats, self.send_rtcp)
        self.early: list[bytes] | None = None  # media before there are keys, where we open DTLS ourselves
        self.loss: float | None = None  # of the viewer's last report, 0..1
        self.checked = asyncio.Event()
        self.finished = asyncio.Event()
        self.gone = asyncio.Event()  # everything is cleaned up
        self.fingerprints = fingerprints
        self._clock = clock
        self._counters = counters
        self._on_end = on_end
        self._reported_at = 0

    @property
    def stream_id(self) -> str:
        return "" if self.stream is None else self.stream.id

    @property
    def stale(self) -> bool:
        """Whether a track that a viewer was promised has become another one. Sound that ceased is only silence.

        For a relay, whose session serves many and long, also whether there is one that it would take and does not have.
        """
        whole = self.stream
        if whole is None or self.publisher is not None:
            return False
        if self.takes & whole.tracks.keys() - {wanted.kind for wanted in self.wanted}:
            return True
        return any(
            (wanted.of or whole).tracks.get(wanted.kind, wanted.track) is not wanted.track for wanted in self.wanted
        )

    @property
    def publishes(self) -> bool:
        return self.publisher is not None

    def finish(self, reason: str) -> None:
        """Ask for the end; the first reason counts."""
        if not self.finished.is_set():
            self.reason = reason
            self.finished.set()

    def turn_away(self, reason: str) -> None:
        """The client has to come again. It hears of that by DTLS alone: where there are no keys yet, once there are."""
        if self.state is State.LIVE:
            self.finish(reason)
        else:
            self.turned_away = self.turned_away or reason

    async def run(
        self, handshake_s: float, on_live: Callable[["Session"], None], *, shake_s: float | None = None
    ) -> None:
        """Wait for a path, shake hands (``shake_s`` at most), stay until the end. Raises nothing but cancellation."""
        try:
            await self._connect(handshake_s, handshake_s if shake_s is None else shake_s)
            if not self.finished.is_set():
                self.dtls.on_closed(lambda: self.finish("closed"))
                self.state = step(self.state, Event.SECURED)
                on_live(self)
                await self.finished.wait()
        except TimeoutError:
            self.finish("ice.timeout")
        except DtlsFailed as error:
            self._counters.dtls_failed += 1
            log.info("peer.dtls_failed", session=self.id, reason=str(error))
            self.finish("dtls.failed")
        except Exception:
            self._counters.internal_errors += 1
            log.exception("peer.session_failed", session=self.id)
            self.finish("internal")

    async def _connect(self, path_s: float, shake_s: float) -> None:
        """Until there are keys, or the session is finished. Raises what the handshake raises."""
        shaking = asyncio.create_task(self._shake(path_s, shake_s), name=f"{self.id}/dtls")
        ending = asyncio.create_task(self.finished.wait(), name=f"{self.id}/ending")
        try:
            await asyncio.wait((shaking, ending), return_when=asyncio.FIRST_COMPLETED)
            if shaking.done():
                shaking.result()
        finally:
            for task in (shaking, ending):
                task.cancel()
            await asyncio.gather(shaking, ending, return_exceptions=True)

    async def _shake(self, path_s: float, shake_s: float) -> None:
        async with asyncio.timeout(path_s):
            await self.checked.wait()
        self.state = step(self.state, Event.CHECKED)
        await self.dtls.shake(self.fingerprints, shake_s)

    async def close(self) -> None:
        """Say goodbye; the server has taken us off its tables by then."""
        was_live = self.state is State.LIVE
        self.state = step(self.state, Event.FINISHED)
        sources = tuple(self.seats)
        for seat in self.seats.values():
            seat.viewers.remove(seat.sender)
        self.seats.clear()
        if was_live and sources:
            self._say_bye(sources)
        try:
            await self.dtls.stop()
        except Exception:  # OpenSSL's state is no reason to keep a session
            log.debug("peer.dtls_stop", session=self.id, exc_info=True)
        self.gone.set()

    def tell_end(self) -> None:
        """Call ``on_end``, last of all."""
        if self._on_end is not None:
            self._on_end(self.id, self.reason or "ended")

    # packets -----------------------------------------------------------------------------------------

    def feedback(self, data: bytes, now_ms: int) -> None:
        """Take one plain RTCP compound. Raises WireError."""
        items = rtcp.parse_rtcp(data)
        if self.publisher is not None:
            self.publisher.feedback(items, now_ms)
            return
        lost: set[int] = set()
        for item in items:
            if isinstance(item, twcc.Arrivals):
                self._counters.feedback_in += 1
                self.steering.arrived(item, now_ms)
            elif isinstance(item, rtcp.Nack):
                if (seat := self.seats.get(item.media)) is not None:
                    seat.viewers.nack(seat.sender, item.lost, now_ms)
            elif isinstance(item, rtcp.KeyframeRequest):
                lost.add(item.media)
            elif isinstance(item, rtcp.Flowing):
                self.steering.flow(item, now_ms)
            elif isinstance(item, rtcp.Report):
                self._read_report(item)
            elif isinstance(item, rtcp.Remb):
                self.steering.remb = (item.rate, now_ms)
        for media in lost:
            if (seat := self.seats.get(media)) is not None and seat.video:
                seat.viewers.picture_lost(seat.sender, now_ms)

    def _read_report(self, report: rtcp.Report) -> None:
        for block in report.blocks:
            if (seat := self.seats.get(block.ssrc)) is not None and seat.video:
                self.loss = block.fraction_lost / 256

    # what a viewer gets ------------------------------------------------------------------------------

    def attach(
        self,
        stream: Publication,
        wanted: Wanted,
        viewers: Viewers,
        path: bytes,
        *,
        width: int | None = None,
        paused: bool = False,
        ssrcs: tuple[int, int] | None = None,
        layer: int | None = None,
    ) -> Seat:
        """Begin one track of a viewer; there are keys and a path.

        ``ssrcs`` are the track's and its retransmissions' on this connection, where they are not those of the stream;
        with ``layer`` it is this layer and stays it.
        """
        layout, now = wanted.layout, self._clock()
        ssrc, rtx_ssrc = ssrcs or (0, wanted.track.rtx_ssrc)
        sender = Sender(
            self.dtls.tx, self.dtls.tag, wanted.payload_type, path, layout=layout,
            log=self.steering.log if layout.transport_at else None,
            repair=Repair(wanted.rtx, rtx_ssrc) if wanted.rtx is not None else None, ssrc=ssrc,
        )  # fmt: skip
        idle = paused and wanted.kind == "video"
        seat = Seat(stream, viewers, sender, stream.id, width, idle, layer, unwanted=idle and layer is not None)
        self.seats[seat.ssrc] = seat
        if layer is None:
            viewers.steer(sender, width, None, now)
        else:
            sender.aim = layer
        if seat.paused:
            viewers.pause(sender)
        else:
            viewers.add(sender, now)
        return seat

    def detach(self, seat: Seat) -> None:
        """End one track; the others go on. Its SSRC must not come back on this connection."""
        seat.viewers.remove(seat.sender)
        if self.seats.pop(seat.ssrc, None) is None or self.state is not State.LIVE:
            return
        self._say_bye((seat.ssrc,))
        self.dtls.forget(seat.ssrc, *((seat.sender.repair.ssrc,) if seat.sender.repair is not None else ()))

    def _say_bye(self, sources: Sequence[int]) -> None:
        for at in range(0, len(sources), 31):  # as many as the header can count
            part = tuple(sources[at : at + 31])
            self.send_rtcp(rtcp.receiver_report(part[0], ()) + rtcp.bye(part))

    def look(self, *, paused: bool, now_ms: int) -> None:
        """Whether anybody looks at the picture; sound goes on."""
        self._paused = paused
        for seat in self.seats.values():
            if seat.video:
                self.steering.show(seat, seat.width, paused=paused, now_ms=now_ms)

    @property
    def paused(self) -> bool:
        """Whether the picture of a single stream is not looked at."""
        return self._paused

    def tick(self, now_ms: int) -> bool:
        """Send the RTCP that is due. Whether to come back soon; else ``STEER_EVERY_MS`` will do."""
        if self.state is not State.LIVE:
            return True
        if self.publisher is not None:
            if data := self.publisher.due(now_ms):
                self.send_rtcp(data)
            return True
        if self.steering.due(now_ms):
            if self.subscriber is not None:
                self.subscriber.look()
            self.steering.steer(now_ms)
        self.steering.probe(now_ms)
        if now_ms - self._reported_at >= 1_000:
            self._report(now_ms)
        return self.steering.searching

    def _report(self, now_ms: int) -> None:
        """A sender report of every track that sends, together in as few packets as they fit."""
        compound = b""
        for seat in self.seats.values():
            if seat.paused or not (data := seat.viewers.report(seat.sender, seat.name, now_ms)):
                continue
            self._reported_at = now_ms
            if compound and len(compound) + len(data) > COMPOUND:
                self.send_rtcp(compound)
                compound = b""
            compound += data
        if compound:
            self.send_rtcp(compound)

    def send_rtcp(self, plain: bytes) -> None:
        """Protect and send one compound."""
        try:
            self.dtls.send(self.dtls.protect_rtcp(plain))
        except (pylibsrtp.Error, ValueError, AttributeError):
            self._counters.protect_failed += 1

    def move(self, path: bytes) -> None:
        """The other side nominated another address."""
        for seat in self.seats.values():
            seat.sender.move(path)
            seat.viewers.resettle(seat.sender)
