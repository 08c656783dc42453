"""Packets of one RTP source in their order again: a bounded window for UDP, and how many are missing (RFC 3550 A.1)."""

from dataclasses import dataclass
from typing import Final

from hub.media.rtp.packet import RtpPacket

WINDOW: Final = 128  # packets held back at most
PATIENCE_MS: Final = 150
MAX_JUMP: Final = 3_000  # RFC 3550 A.1: further away it is another sequence, if it goes on


@dataclass(slots=True)
class Ordered:
    """One packet in its turn. ``lost`` packets before it never came."""

    packet: RtpPacket
    lost: int


class Reorder:
    """``window`` 0 is for TCP, where order is given: nothing is held, gaps are counted."""

    def __init__(self, window: int = WINDOW, patience_ms: int = PATIENCE_MS) -> None:
        self.lost = 0
        self.late = 0  # came after their turn, or twice
        self._window = window
        self._patience_ms = patience_ms
        self._next: int | None = None  # extended sequence number
        self._held: dict[int, tuple[RtpPacket, int]] = {}
        self._stray: int | None = None  # what would follow a packet from far away

    def awaits(self, seq: int) -> bool:
        """Whether this is the number that comes next."""
        return self._next is not None and self._next & 0xFFFF == seq

    def in_turn(self, seq: int) -> bool:
        """Whether this packet is just the next; then it counts as taken. Else it has to be pushed."""
        if self._held or self._next is None or self._next & 0xFFFF != seq:
            return False
        self._next += 1
        return True

    def push(self, packet: RtpPacket, now_ms: int) -> list[Ordered]:
        """Take one packet; what can go on now, in order."""
        if self._next is None:
            self._next = packet.seq + 65_536
        number = self._next + ((packet.seq - self._next + 0x8000) & 0xFFFF) - 0x8000
        ahead = number - self._next
        if ahead == 0 and not self._held:
            self._next += 1
            return [Ordered(packet, 0)]
        if abs(ahead) > MAX_JUMP:
            return self._far(packet)
        if ahead < 0 or number in self._held:
            self.late += 1
            return []
        self._held[number] = (packet, now_ms)
        return self._release(now_ms)

    def flush(self, now_ms: int) -> list[Ordered]:
        """What has waited long enough; call it now and then, for when packets stop."""
        return self._release(now_ms) if self._held else []

    def _release(self, now_ms: int) -> list[Ordered]:
        out: list[Ordered] = []
        held = self._held
        while held:
            assert self._next is not None
            if (found := held.pop(self._next, None)) is not None:
                out.append(Ordered(found[0], 0))
                self._next += 1
                continue
            first = min(held)
            if len(held) <= self._window and now_ms - min(at for _, at in held.values()) < self._patience_ms:
                break
            lost = first - self._next
            self.lost += lost
            out.append(Ordered(held.pop(first)[0], lost))
            self._next = first + 1
        return out

    def _far(self, packet: RtpPacket) -> list[Ordered]:
        """Two neighbours from far away are a new sequence; a single one is an error."""
        if self._stray != packet.seq:
            self._stray = (packet.seq + 1) & 0xFFFF
            self.late += 1
            return []
        self._stray = None
        out = [Ordered(packet, 1)]
        rest = [self._held.pop(number)[0] for number in sorted(self._held)]
        out = [Ordered(each, 1) for each in rest] + out
        self.lost += 1
        self._next = packet.seq + 65_536 + 1
        return out
