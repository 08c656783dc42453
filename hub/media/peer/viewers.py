"""The viewers of one track: who waits for a key frame, who catches up from the GOP cache, who is live."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Final

from hub.media.peer.counters import Counters
from hub.media.peer.fanout import Fanout, Target
from hub.media.rtp import rtcp
from hub.media.rtp.numbering import Numbering
from hub.media.rtp.track import HISTORY, Packet, Track

CHUNK: Final = 32  # packets of a catching-up viewer per turn: what a browser's receive buffer holds
CHUNK_EVERY_S: Final = 0.002
SQUEEZED_MS: Final = 1  # between the timestamps of cached frames
REPLAY_EVERY_MS: Final = 1_000
STALE_MS: Final = 5_000  # an older GOP is no live picture
YOUNG_FRAMES: Final = 30  # of a publisher: a longer GOP costs more than the key frame that one can ask for
NACK_RATE: Final = 1_000  # packets a second and viewer that are sent again
NACK_BURST: Final = 500


class Phase(Enum):
    """Of one viewer's track."""

    WAITING = auto()  # for a key frame
    CATCHING = auto()  # sent from the history, in portions
    LIVE = auto()


class Sender(Target):
    """One viewer's track: numbers, phase and what it may still ask for."""

    __slots__ = ("allowance", "allowance_at", "cursor", "phase", "replayed_at", "reported_at")

    def __init__(self, srtp: Any, tag: int, payload_type: int, path: bytes, numbering: Numbering | None = None) -> None:
        super().__init__(srtp, tag, payload_type, path, numbering or Numbering())
        self.phase = Phase.WAITING
        self.cursor = 0
        self.allowance = float(NACK_BURST)
        self.allowance_at = 0
        self.replayed_at = -REPLAY_EVERY_MS
        self.reported_at = 0

    def allow(self, wanted: int, now_ms: int) -> int:
        """How many packets may go again now: a bucket of NACK_BURST, filled with NACK_RATE a second."""
        earned = max(now_ms - self.allowance_at, 0) * NACK_RATE / 1000
        self.allowance = min(NACK_BURST, self.allowance + earned)
        self.allowance_at = now_ms
        granted = min(wanted, int(self.allowance))
        self.allowance -= granted
        return granted


class Viewers:
    """All senders of one track. ``later(seconds, call)`` schedules a turn; ``ask`` wants a key frame of a publisher."""

    def __init__(
        self,
        track: Track,
        fanout: Fanout,
        counters: Counters,
        *,
        later: Callable[[float, Callable[[], None]], object],
        ask: Callable[[], None],
    ) -> None:
        self.track = track
        self._fanout = fanout
        self._counters = counters
        self._later = later
        self._ask = ask
        self._live: dict[int, list[Sender]] = {}
        self._catching: list[Sender] = []
        self._waiting: list[Sender] = []
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._catching) + sum(map(len, self._live.values()))

    def add(self, sender: Sender, now_ms: int) -> None:
        """Let a viewer in: the cached GOP at once where there is one, else the next key frame."""
        track = self.track
        if track.kind == "audio":
            sender.numbering.begin(track.head + 1)
            self._go_live(sender)
            return
        start = track.gop_start()
        fresh = track.last_at is not None and now_ms - track.last_at <= STALE_MS
        if start is not None and fresh and not (track.published and self._frames(start) > YOUNG_FRAMES):
            self._catch_up(sender, start, squeeze=not track.published)
            return
        self._waiting.append(sender)
        if track.published:
            self._ask()

    def remove(self, sender: Sender) -> None:
        """A viewer left."""
        for senders in (self._waiting, self._catching, *self._live.values()):
            if sender in senders:
                senders.remove(sender)

    def packets(self, packets: Sequence[Packet]) -> None:
        """New packets of the track; each is given to every viewer exactly once."""
        fresh = packets
        first, last = packets[0].n, packets[-1].n
        if last != self.track.head or last - first != len(packets) - 1 or self._has_late(packets):
            self._one_by_one(packets)
        elif self._live:
            self._fanout.live(self._live, fresh)
        if self._waiting and (key := next((p for p in packets if p.key), None)) is not None:
            waiting, self._waiting = self._waiting, []
            for sender in waiting:
                self._catch_up(sender, key.n, squeeze=False)

    def _has_late(self, packets: Sequence[Packet]) -> bool:
        """Whether any live viewer began later than the first of these."""
        first = packets[0].n
        return any(sender.numbering.first_index > first for senders in self._live.values() for sender in senders)

    def _one_by_one(self, packets: Sequence[Packet]) -> None:
        """Packets of a publisher that came late or with gaps: each viewer gets those of its own segment."""
        for senders in self._live.values():
            for sender in senders:
                self._out(sender, [p for p in packets if p.n >= sender.numbering.first_index])
        for sender in self._catching:  # what lies before its cursor it would never see
            self._out(sender, [p for p in packets if sender.numbering.first_index <= p.n < sender.cursor])

    def _out(self, sender: Sender, packets: Sequence[Packet]) -> None:
        numbering = sender.numbering
        if packets:
            stamp = numbering.segment.timestamp
            self._fanout.exact(sender, [(p, numbering.take(p.n) & 0xFFFF, stamp(p)) for p in packets])

    # catching up -------------------------------------------------------------------------------------

    def _frames(self, start: int) -> int:
        first = self.track.get(start)
        return 0 if first is None else self.track.frame - first.frame + 1

    def _catch_up(self, sender: Sender, start: int, *, squeeze: bool) -> None:
        """Begin with packet ``start``; cached frames end at the newest one's own timestamp, drawn together."""
        track = self.track
        if squeeze:
            spacing = SQUEEZED_MS * track.rate // 1000
            sender.numbering.begin(start, anchor_frame=track.frame, anchor=track.timestamp, spacing=spacing)
        else:
            sender.numbering.begin(start)
        self._begin_turns(sender, start)

    def _begin_turns(self, sender: Sender, start: int) -> None:
        sender.cursor, sender.phase = start, Phase.CATCHING
        self._catching.append(sender)
        self._turn(sender)
        self._settle()

    def _turn(self, sender: Sender) -> None:
        """Send the next portion from the history."""
        track = self.track
        portion: list[Packet] = []
        while sender.cursor <= track.head and len(portion) < CHUNK:
            if sender.cursor <= track.head - HISTORY:  # overtaken: only a new key frame helps
                sender.phase = Phase.WAITING
                return
            if (packet := track.get(sender.cursor)) is not None:
                portion.append(packet)
            sender.cursor += 1
        self._out(sender, portion)
        if sender.cursor > track.head:
            sender.phase = Phase.LIVE

    def _settle(self) -> None:
        """Sort the catching ones by what became of them, and come back while any are left."""
        for sender in [s for s in self._catching if s.phase is not Phase.CATCHING]:
            self._catching.remove(sender)
            if sender.phase is Phase.LIVE:
                self._go_live(sender)
            else:
                self._waiting.append(sender)
        if self._catching and not self._scheduled:
            self._scheduled = True
            self._later(CHUNK_EVERY_S, self._next)

    def _next(self) -> None:
        self._scheduled = False
        for sender in self._catching:
            self._turn(sender)
        self._settle()

    def _go_live(self, sender: Sender) -> None:
        sender.phase = Phase.LIVE
        self._live.setdefault(sender.tag, []).append(sender)

    # feedback ----------------------------------------------------------------------------------------

    def nack(self, sender: Sender, lost: Sequence[int], now_ms: int) -> None:
        """Send the identical packets again under their own numbers."""
        self._counters.nacks += 1
        granted = sender.allow(len(lost), now_ms)
        items = []
        for seq in lost[:granted]:
            found = sender.numbering.find(seq)
            packet = None if found is None else self.track.get(found[0])
            if found is not None and packet is not None:
                items.append((packet, seq, found[1].timestamp(packet)))
        self._counters.retransmitted += len(items)
        self._counters.retransmit_missed += len(lost) - len(items)
        if items:
            self._fanout.exact(sender, items)

    def picture_lost(self, sender: Sender, now_ms: int) -> None:
        """PLI or FIR: a publisher is asked for a key frame; of a camera the cached GOP is sent once more.

        The frames of the replay get new sequence numbers, and timestamps between the newest one sent and the next.
        """
        self._counters.pli += 1
        if self.track.published:
            self._ask()
            return
        if sender.phase is not Phase.LIVE or now_ms - sender.replayed_at < REPLAY_EVERY_MS:
            return
        start = self.track.gop_start()
        newest = self.track.get(self.track.head)
        if start is None or newest is None:
            return
        frames = self._frames(start)
        spacing = max(1, min(SQUEEZED_MS * self.track.rate // 1000, 1_800 // max(frames, 1)))
        anchor = (sender.numbering.segment.timestamp(newest) + spacing * frames) & 0xFFFFFFFF
        sender.replayed_at = now_ms
        self._counters.replays += 1
        self.remove(sender)
        sender.numbering.begin(start, anchor_frame=self.track.frame, anchor=anchor, spacing=spacing)
        self._begin_turns(sender, start)

    def report(self, sender: Sender, name: str, now_ms: int) -> bytes | None:
        """A sender report and CNAME for this viewer; ``None`` while nothing was sent."""
        if sender.packets == 0 or (timestamp := self.track.timestamp_at(now_ms)) is None:
            return None
        ssrc, ntp = self.track.ssrc, rtcp.ntp_of(now_ms)
        return rtcp.sender_report(ssrc, ntp, timestamp, sender.packets, sender.octets) + rtcp.cname(ssrc, name)
