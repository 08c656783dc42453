"""One viewer's sequence numbers and timestamps over a track's packets.

A viewer sees the cached GOP first and then the live packets, and again after a picture loss: each such stretch is a
segment. Outgoing numbers only grow, and which packet a number carries, with which timestamp, is a function of the
segments alone; so a retransmission is the identical plaintext, and no number ever carries two.
"""

import secrets
from collections import deque
from dataclasses import dataclass
from typing import Final

from hub.media.rtp.track import Packet

REPLAY_WINDOW: Final = 1_000  # libsrtp protects again no further back than its window, which is 1024
MAX_SEGMENTS: Final = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """From outgoing number ``first`` on, packet ``n`` carries number ``n + delta``.

    Frames up to ``anchor_frame`` have their timestamps drawn together, ``spacing`` apart and ending at ``anchor``.
    """

    first: int
    delta: int
    anchor_frame: int
    anchor: int
    spacing: int

    def timestamp(self, packet: Packet) -> int:
        """What this viewer is told (32 bit)."""
        behind = self.anchor_frame - packet.frame
        return packet.timestamp if behind < 0 else (self.anchor - behind * self.spacing) & 0xFFFFFFFF


class Numbering:
    """Extended outgoing numbers of one viewer; the low 16 bits are on the wire.

    It starts below 2^14, so that a lost beginning never straddles a rollover (RFC 3711 §3.3.1).
    """

    def __init__(self, first: int | None = None) -> None:
        start = secrets.randbelow(1 << 14) + 1 if first is None else first
        self.highest = start - 1
        self.delta = 0  # of the segment in use
        self.first_index = 0  # the first packet index of the segment in use
        self._segments: deque[Segment] = deque(maxlen=MAX_SEGMENTS)

    @property
    def segment(self) -> Segment:
        """The segment in use. Raises IndexError before ``begin``."""
        return self._segments[-1]

    def begin(self, n: int, *, anchor_frame: int = -1, anchor: int = 0, spacing: int = 0) -> Segment:
        """Go on with packet ``n`` as the next number."""
        first = self.highest + 1
        segment = Segment(first, first - n, anchor_frame, anchor, spacing)
        self._segments.append(segment)
        self.delta, self.first_index = segment.delta, n
        return segment

    def take(self, n: int) -> int:
        """The extended number of packet ``n`` in the segment in use, now counted as sent."""
        number = n + self.segment.delta
        self.highest = max(self.highest, number)
        return number

    def find(self, seq: int) -> tuple[int, Segment] | None:
        """Which packet index a 16-bit number carried; ``None`` when it was not sent or is too old."""
        number = self.highest - ((self.highest - seq) & 0xFFFF)
        if self.highest - number > REPLAY_WINDOW:
            return None
        for segment in reversed(self._segments):
            if number >= segment.first:
                return number - segment.delta, segment
        return None
