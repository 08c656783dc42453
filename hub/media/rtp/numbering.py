"""One viewer's sequence numbers, timestamps and picture ids over the layers of a track.

A viewer sees the cached GOP first and then the live packets, again after a picture loss, another layer when its
tile grows, and gaps where temporal layers are left out: each such stretch is a segment. Outgoing numbers only grow,
and which packet a number carries, and how it is rewritten, is a function of the segments alone; so a retransmission
is the identical plaintext, and no number ever carries two.
"""

import secrets
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Final

from hub.media.rtp.track import Packet

REPLAY_WINDOW: Final = 1_000  # libsrtp protects again no further back than its window, which is 1024
MAX_SEGMENTS: Final = 128


@dataclass(frozen=True, slots=True)
class Segment:
    """From outgoing number ``first`` on, packet ``n`` of a layer carries number ``n + delta``.

    Frames up to ``anchor_frame`` have their timestamps drawn together, ``spacing`` apart and ending at ``anchor``.
    The others are ``shift`` later than their layer says; VP8 picture ids are ``picture`` higher (15 or 7 bit),
    TL0PICIDX ``base`` (8 bit).
    """

    first: int
    delta: int
    anchor_frame: int
    anchor: int
    spacing: int
    layer: int = 0
    shift: int = 0
    picture: int = 0
    base: int = 0
    end: int | None = None  # packets from this index on are not of this segment

    @property
    def plain(self) -> bool:
        """Whether its packets past the anchor leave as they are but for their number."""
        return not (self.shift or self.picture or self.base)

    def timestamp(self, packet: Packet) -> int:
        """What this viewer is told (32 bit)."""
        behind = self.anchor_frame - packet.frame
        if behind < 0:
            return (packet.timestamp + self.shift) & 0xFFFFFFFF
        return (self.anchor - behind * self.spacing) & 0xFFFFFFFF

    def picture_of(self, packet: Packet) -> int:
        """Picture id as it leaves, -1 when the packet has none."""
        if packet.vp8 is None or packet.vp8.picture < 0:
            return -1
        return packet.vp8.picture + self.picture & (0x7F if packet.vp8.narrow else 0x7FFF)

    def base_of(self, packet: Packet) -> int:
        """TL0PICIDX as it leaves, -1 when the packet has none."""
        if packet.vp8 is None or packet.vp8.base < 0:
            return -1
        return packet.vp8.base + self.base & 0xFF


class Numbering:
    """Extended outgoing numbers of one viewer; the low 16 bits are on the wire.

    It starts below 2^14, so that a lost beginning never straddles a rollover (RFC 3711 §3.3.1).
    """

    def __init__(self, first: int | None = None) -> None:
        start = secrets.randbelow(1 << 14) + 1 if first is None else first
        self.highest = start - 1
        self.delta = 0  # of the segment in use
        self.first_index = 0  # the first packet index of the segment in use
        self.plain = True  # the segment in use
        self._segments: list[Segment] = []

    @property
    def segment(self) -> Segment:
        """The segment in use. Raises IndexError before ``begin``."""
        return self._segments[-1]

    def begin(
        self,
        n: int,
        *,
        anchor_frame: int = -1,
        anchor: int = 0,
        spacing: int = 0,
        layer: int = 0,
        shift: int = 0,
        picture: int = 0,
        base: int = 0,
    ) -> Segment:
        """Go on with packet ``n`` of a layer as the next number."""
        first = self.highest + 1
        segment = Segment(first, first - n, anchor_frame, anchor, spacing, layer, shift, picture, base)
        return self._append(segment, n)

    def skip(self, n: int, after: int, pictures: int) -> Segment:
        """Leave out packets ``n`` up to ``after``, which is the next one to be numbered, and so many picture ids.

        What the segment had numbered up to ``n`` keeps its number, also when it comes late.
        """
        before = self.segment
        self.highest = max(self.highest, n - 1 + before.delta)
        self._segments[-1] = replace(before, end=n)
        first = self.highest + 1
        return self._append(
            replace(before, first=first, delta=first - after, picture=(before.picture - pictures) & 0x7FFF), after
        )

    def _append(self, segment: Segment, n: int) -> Segment:
        self._segments.append(segment)
        if len(self._segments) > MAX_SEGMENTS:
            del self._segments[: MAX_SEGMENTS // 4]
        self.delta, self.first_index, self.plain = segment.delta, n, segment.plain
        return segment

    def take(self, n: int) -> int:
        """The extended number of packet ``n`` in the segment in use, now counted as sent."""
        number = n + self.delta
        self.highest = max(self.highest, number)
        return number

    def find(self, seq: int) -> tuple[int, Segment] | None:
        """Which packet index a 16-bit number carried; ``None`` when it was not sent or is too old."""
        number = self.highest - ((self.highest - seq) & 0xFFFF)
        if self.highest - number > REPLAY_WINDOW:
            return None
        return self._at(number)

    def _at(self, number: int) -> tuple[int, Segment] | None:
        at = bisect_right(self._segments, number, key=lambda segment: segment.first) - 1
        if at < 0:
            return None
        segment = self._segments[at]
        n = number - segment.delta
        return None if segment.end is not None and n >= segment.end else (n, segment)

    def newest(self, back: int = 64) -> list[tuple[int, Segment]]:
        """The last numbers that were given out, newest first, at most ``back`` of them."""
        found = (self._at(number) for number in range(self.highest, self.highest - back, -1))
        return [pair for pair in found if pair is not None]

    def of(self, layer: int, n: int) -> Segment | None:
        """The segment that gives packet ``n`` of a layer its number, when one of the newest does: for late packets."""
        below = self.highest + 1 + REPLAY_WINDOW
        for segment in reversed(self._segments[-8:]):
            if segment.layer == layer and segment.first <= n + segment.delta < below:
                return segment if segment.end is None or n < segment.end else None
            below = segment.first
        return None
