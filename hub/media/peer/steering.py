"""What goes to a viewer's tiles, or over a leg, as its path allows: one estimate of the path, shared out among all."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from hub.media.peer.publication import Publication
from hub.media.peer.sender import Phase, Sender
from hub.media.peer.viewers import Viewers
from hub.media.rtp import rtcp
from hub.media.rtp.bandwidth import Bandwidth
from hub.media.rtp.layers import Lane, Tile, allot, load, wish
from hub.media.rtp.probe import Prober
from hub.media.rtp.sendlog import SendLog
from hub.media.rtp.twcc import Arrivals

STEER_EVERY_MS: Final = 250
SMALL_TILE: Final = 800  # pixels: what a usual sub stream fills
TELL: Final = 6
REMB_OLD_MS: Final = 5_000

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Seat:
    """One track that a viewer gets. ``name`` is the CNAME of its sender reports, ``width`` that of its tile."""

    stream: Publication
    viewers: Viewers
    sender: Sender
    name: str
    width: int | None = None
    paused: bool = False
    layer: int | None = None  # this one and no other: of a leg
    unwanted: bool = False  # nobody behind the leg has a use for it
    tell: int = 0  # so many times more it is said that it pauses: the line is full just then

    @property
    def video(self) -> bool:
        return self.viewers.track.kind == "video"

    @property
    def ssrc(self) -> int:
        return self.sender.ssrc or self.viewers.track.ssrc


class Steering:
    """Of one session, whose id and seats (by SSRC) it is given. ``send_rtcp`` protects and sends a compound."""

    def __init__(self, session: str, seats: Mapping[int, Seat], send_rtcp: Callable[[bytes], None]) -> None:
        self.bandwidth = Bandwidth()
        self.log = SendLog()
        self.remb: tuple[int, int] | None = None  # bit/s, when it came
        self._session = session
        self._seats = seats
        self._send_rtcp = send_rtcp
        self._prober = Prober()
        self._wish: int | None = None  # bit/s that would allow better pictures
        self._at = 0
        self._narrow = False  # the line to another relay carries less than is wanted there
        self._pauses = 0

    @property
    def searching(self) -> bool:
        """Whether better pictures are wished for, or a probe runs."""
        return self._wish is not None or self._prober.runs

    def due(self, now_ms: int) -> bool:
        """Whether it is time to choose anew."""
        return now_ms - self._at >= STEER_EVERY_MS

    def budget(self, now_ms: int) -> int | None:
        """Bit/s that the viewer's path carries, ``None`` when nothing is known of it."""
        rates = [self.bandwidth.rate(now_ms)] if self.bandwidth.known else []
        if self.remb is not None and now_ms - self.remb[1] < REMB_OLD_MS:
            rates.append(self.remb[0])
        return min(rates, default=None)

    def steer(self, now_ms: int) -> None:
        """Choose the layers of the video anew: one estimate of the path, shared out among all tiles."""
        self._at = now_ms
        budget = self.budget(now_ms)
        if lanes := [seat for seat in self._seats.values() if seat.video and seat.layer is not None]:
            self._steer_lanes(lanes, now_ms)
        seen = [seat for seat in self._seats.values() if seat.video and not seat.paused and seat.layer is None]
        fair = budget if budget is None else budget // max(len(seen), 1)
        for seat in self._seats.values():
            seat.sender.afford(fair)
        if not any(seat.viewers.choice for seat in seen):
            return
        for seat in seen:
            if len(layers := seat.viewers.layers(now_ms)) > 1:
                small = seat.width is not None and seat.width <= SMALL_TILE
                narrow = fair is not None and fair < layers[0].rates[-1]
                seat.stream.prefer(self._session, low=small or narrow)
        tiles = [Tile(seat.viewers.layers(now_ms), seat.viewers.chosen(seat.sender), seat.width) for seat in seen]
        self._wish = wish(tiles)
        for seat, share in zip(seen, allot(tiles, budget), strict=True):
            if seat.viewers.choice:
                seat.viewers.steer(seat.sender, seat.width, share, now_ms)

    def _steer_lanes(self, seats: Sequence[Seat], now_ms: int) -> None:
        """A leg carries as many layers as its line does; where that is less than is wanted, the smaller ones."""
        lanes = [
            Lane(seat.viewers.layers(now_ms)[seat.layer or 0], not seat.unwanted, not seat.paused) for seat in seats
        ]
        budget = self.bandwidth.rate(now_ms) if self.bandwidth.known else None
        found = load(lanes, budget, full=self.bandwidth.full(now_ms), narrow=self._narrow)
        if found.narrow is not self._narrow:
            log.info("peer.leg_narrow" if found.narrow else "peer.leg_wide", session=self._session, budget=budget)
        self._narrow, self._wish = found.narrow, found.wish
        for seat in seats:
            if seat.layer and not seat.viewers.track.published:  # a publisher sends them anyway
                seat.stream.prefer(self._session, low=found.narrow or not seat.unwanted)
            seat.sender.temporal.wanted = found.temporal
            seat.viewers.resettle(seat.sender)
            if (goes := seat.layer in found.layers) is seat.paused:
                self.show(seat, None, paused=not goes, now_ms=now_ms)
                self._pauses += seat.paused
                seat.tell = TELL if seat.paused else 0
            if seat.tell:
                seat.tell -= 1
                self._say_paused(seat)

    def _say_paused(self, seat: Seat) -> None:
        """So that nobody there waits for what does not come (RFC 7728 §6.4); who misses it finds out by himself."""
        highest = seat.sender.numbering.highest
        word = rtcp.flowing(seat.ssrc, seat.ssrc, rtcp.Flow.PAUSED, self._pauses, highest)
        self._send_rtcp(rtcp.receiver_report(seat.ssrc, ()) + word)

    def flow(self, wanted: rtcp.Flowing, now_ms: int) -> None:
        """The relay at the other end has a use for a layer, or no more. Of no other viewer is it believed."""
        seat = self._seats.get(wanted.target)
        if seat is None or not seat.layer or wanted.flow is rtcp.Flow.PAUSED:
            return
        unwanted = wanted.flow is rtcp.Flow.PAUSE
        if seat.unwanted is not unwanted:
            seat.unwanted = unwanted
            self.steer(now_ms)

    def arrived(self, arrivals: Arrivals, now_ms: int) -> None:
        """What feedback says of the path: an estimate that falls, or a probe that came through, counts at once."""
        bursts = self.log.match(arrivals)
        before = self.bandwidth.cut_ms
        self.bandwidth.feedback(bursts, now_ms)
        if self.bandwidth.cut_ms != before:
            self._prober.full(now_ms)
            self.steer(now_ms)
        elif (rate := self._prober.feedback(bursts, now_ms)) is not None:
            self.bandwidth.proved(rate, now_ms)
            self.steer(now_ms)

    def probe(self, now_ms: int) -> None:
        """Find out whether the path carries better pictures, where somebody could have them."""
        if not self.searching:
            return
        seats = (
            s for s in self._seats.values() if s.video and s.sender.repair is not None and s.sender.log is not None
        )
        if (
            self.bandwidth.known
            and (seat := next((s for s in seats if s.sender.phase is Phase.LIVE), None)) is not None
        ):
            octets = self._prober.due(
                now_ms, time.monotonic_ns() // 1_000, rate=self.bandwidth.rate(now_ms), wish=self._wish,
                octets=self.log.octets,
            )  # fmt: skip
            if octets:
                seat.viewers.pad(seat.sender, octets)

    def show(self, seat: Seat, width: int | None, *, paused: bool, now_ms: int) -> None:
        """How wide a tile is, and whether anybody looks at it."""
        seat.width = width
        if seat.paused == paused:
            return
        seat.paused = paused
        if paused:
            seat.viewers.pause(seat.sender)
        else:
            seat.viewers.resume(seat.sender, now_ms)
