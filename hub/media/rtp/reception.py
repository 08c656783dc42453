"""What a receiver of RTP keeps per source: loss and jitter for reports, and what to ask for again."""

from dataclasses import dataclass
from typing import Final

from hub.media.rtp.rtcp import Block

MAX_MISSING: Final = 256
MAX_ASKS: Final = 8
ASK_EVERY_MS: Final = 60
GIVE_UP_MS: Final = 800


@dataclass(slots=True)
class _Missing:
    since: int
    asked_at: int = 0
    asks: int = 0


class Reception:
    """Statistics of one source (RFC 3550 §6.4.1, A.1, A.3, A.8) and its generic NACKs (RFC 4585 §6.2.1)."""

    def __init__(self, ssrc: int, rate: int) -> None:
        self.ssrc = ssrc
        self.rate = rate
        self.received = 0
        self.last_at = 0
        self.gave_up = False  # something is lost for good since this was last looked at
        self._base: int | None = None
        self._highest = 0
        self._jitter = 0.0
        self._transit: float | None = None
        self._before = (0, 0)  # expected, received at the last report
        self._missing: dict[int, _Missing] = {}
        self._sr: tuple[int, int] | None = None  # middle 32 bits of NTP, when it came

    def packet(self, seq: int, timestamp: int, now_ms: int) -> None:
        """Count one packet that came."""
        self.received += 1
        self.last_at = now_ms
        if self._base is None:
            self._base = self._highest = seq
        number = self._highest + ((seq - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if number > self._highest:
            self._note_gap(number, now_ms)
            self._highest = number
        else:
            self._missing.pop(number, None)
        transit = now_ms * self.rate / 1000 - timestamp
        if self._transit is not None and (difference := abs(transit - self._transit)) < self.rate * 10:
            self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def _note_gap(self, number: int, now_ms: int) -> None:
        if number - self._highest > MAX_MISSING:  # too much to mend: a key frame is the better answer
            self._missing.clear()
            self.gave_up = True
            return
        for lost in range(self._highest + 1, number):
            self._missing[lost] = _Missing(now_ms)
        while len(self._missing) > MAX_MISSING:
            del self._missing[next(iter(self._missing))]
            self.gave_up = True

    def ask(self, now_ms: int) -> list[int]:
        """Sequence numbers to ask for now, ascending; what was asked too often is given up."""
        due = []
        for number, missing in list(self._missing.items()):
            if missing.asks >= MAX_ASKS or now_ms - missing.since > GIVE_UP_MS:
                del self._missing[number]
                self.gave_up = True
            elif now_ms - missing.asked_at >= ASK_EVERY_MS:
                missing.asked_at, missing.asks = now_ms, missing.asks + 1
                due.append(number & 0xFFFF)
        return due

    def sender_report(self, ntp: int, now_ms: int) -> None:
        """Remember a sender report for LSR and DLSR."""
        self._sr = (ntp >> 16 & 0xFFFFFFFF, now_ms)

    @property
    def lost(self) -> int:
        """Packets that never came, so far (RFC 3550 A.3)."""
        return 0 if self._base is None else max(0, self._highest - self._base + 1 - self.received)

    def block(self, now_ms: int) -> Block:
        """The report block since the last one."""
        expected = 0 if self._base is None else self._highest - self._base + 1
        lately, came = expected - self._before[0], self.received - self._before[1]
        self._before = (expected, self.received)
        lost = max(lately - came, 0)
        fraction = min(255, lost * 256 // lately) if lately > 0 else 0
        lsr, dlsr = (0, 0) if self._sr is None else (self._sr[0], (now_ms - self._sr[1]) * 65_536 // 1000)
        highest = self._highest & 0xFFFFFFFF
        return Block(self.ssrc, fraction, expected - self.received, highest, int(self._jitter), lsr, dlsr & 0xFFFFFFFF)
