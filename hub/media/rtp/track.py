"""One outgoing media track: packets made once for all viewers, their history for NACK, and the GOP cache.

A packet's index ``n`` never repeats and its bytes never change once it is in the history: with that, and with each
viewer's numbering (``numbering.py``), no sequence number ever carries two plaintexts (RFC 7714 §8.1, §14.2).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hub.media.rtp import h264, h265, vp8
from hub.media.rtp.packet import HEADER, RtpPacket, template
from hub.media.rtp.unit import CLOCK_RATE, KIND_OF, AccessUnit, Codec, Kind

HISTORY: Final = 4_096  # packets, a power of two
MAX_GOP: Final = 3_072  # packets; a longer GOP is not cached
MAX_JUMP: Final = 512  # a publisher's sequence numbers may skip this far; beyond it begins anew
TEMPORAL: Final = 4  # temporal layers of VP8 at most
MAX_FORWARD_MS: Final = 10_000  # a source's time may jump this far ahead of the clock


class Packet:
    """One packet of a track. ``data`` is complete but for payload type, sequence number and header extension."""

    __slots__ = ("data", "frame", "key", "layer", "level", "marker", "n", "timestamp", "vp8")

    def __init__(
        self, n: int, frame: int, timestamp: int, marker: bool, key: bool, data: bytes, layer: int = 0
    ) -> None:
        self.n = n
        self.frame = frame
        self.timestamp = timestamp
        self.marker = marker
        self.key = key  # first packet of a key frame
        self.data = data
        self.layer = layer  # of the track that it is in
        self.level = -1  # audio level, -1 when unknown
        self.vp8: vp8.Descriptor | None = None


@dataclass(slots=True)
class TrackCounters:
    """Totals since the track began."""

    packets: int = 0
    octets: int = 0
    temporal: list[int] = field(default_factory=lambda: [0] * TEMPORAL)  # octets by temporal layer
    discarded: int = 0  # before the first key frame, duplicates, too old
    restarts: int = 0


@dataclass(slots=True)
class _Source:
    """How a publisher's numbers map to ours."""

    ssrc: int
    base_seq: int  # its extended number that is our index base_n
    base_n: int
    highest: int
    shift: int  # added to its timestamps
    synced: bool = False  # its sender reports tell the time, not the arrival of its packets


class Track:
    """State of one outgoing track. ``ssrc``, sequence and time line outlive every source and publisher.

    ``base`` makes it a further layer of another track: same SSRC, and the same time line as far as arrival tells.
    """

    def __init__(self, codec: Codec, base: "Track | None" = None, layer: int = 0) -> None:
        self.codec: Codec = codec
        self.kind: Kind = KIND_OF[codec]
        self.layer = layer
        self.rate = CLOCK_RATE[codec]
        self.ssrc: int = secrets.randbelow(0xFFFFFFFE) + 1 if base is None else base.ssrc
        self.rtx_ssrc: int = (self.ssrc + 1 + secrets.randbelow(1 << 16)) & 0xFFFFFFFF or 1
        if base is not None:
            self.rtx_ssrc = base.rtx_ssrc
        self.size: tuple[int, int] | None = None  # of its pictures, as its key frames tell
        self._family: list[Track] = [self] if base is None else base._family
        if base is not None:
            self._family.append(self)
        self.resting = False  # its sender said that it pauses
        self.asks = True  # a publisher; not so the relay that passes a camera on
        self.counters = TrackCounters()
        self.head = -1  # highest index in the history
        self.frame = -1
        self.last_at: int | None = None
        self._ring: list[Packet | None] = [None] * HISTORY
        self._gop: int | None = None
        self._timestamp = secrets.randbelow(1 << 31)
        self._shift: int | None = None
        self._sets = h265.ParameterSets() if codec == "h265" else h264.ParameterSets()
        self._waiting = self.kind == "video"
        self._source: _Source | None = None
        self._anchor: tuple[int, float] | None = None  # timestamp, ms: the line between media time and clock

    # reading ---------------------------------------------------------------------------------------

    def get(self, n: int) -> Packet | None:
        """The packet with that index, ``None`` when it is gone or was never there."""
        packet = self._ring[n % HISTORY]
        return packet if packet is not None and packet.n == n else None

    def gop_start(self) -> int | None:
        """Index of the cached GOP's first packet, ``None`` when there is none."""
        if self._gop is not None and (self.head - self._gop >= MAX_GOP or self.get(self._gop) is None):
            self._gop = None
        return self._gop

    @property
    def timestamp(self) -> int:
        """Timestamp of the newest frame (32 bit)."""
        return self._timestamp & 0xFFFFFFFF

    def timestamp_at(self, ms: int) -> int | None:
        """The media time that belongs to a clock time, for sender reports; ``None`` before any media."""
        if self._anchor is None:
            return None
        return round(self._anchor[0] + (ms - self._anchor[1]) * self.rate / 1000) & 0xFFFFFFFF

    # writing ---------------------------------------------------------------------------------------

    def restart(self) -> None:
        """The source or publisher begins anew: nothing old is shown as live, numbers go on without a break."""
        self._gop = None
        self._shift = None
        self._source = None
        self._anchor = None
        self._sets.clear()
        self._waiting = self.kind == "video"
        self.resting = False
        self.counters.restarts += 1

    def append_unit(self, unit: AccessUnit) -> list[Packet]:
        """Packets of one access unit; empty while a key frame is awaited."""
        if unit.kind == "video":
            nals = self._sets.complete(h264.split(unit.data))
            coding = h265 if self.codec == "h265" else h264
            key = h265.is_irap(nals) if self.codec == "h265" else h264.is_idr(nals)
            payloads = coding.packetize(nals)
        else:
            key, payloads = False, [unit.data] if unit.data else []
        if (
            unit.codec != self.codec
            or not payloads
            or (self._waiting and not key)
            or max(map(len, payloads)) > h264.MAX_PAYLOAD
        ):
            self.counters.discarded += 1
            return []
        self._waiting = self.resting = False
        if key:
            self.size = self._size_in(payloads[0]) or self.size
        timestamp = self._advance(unit.pts, unit.at_ms, unit.captured_ms)
        self.frame += 1
        return self._store_unit(timestamp, key, payloads)

    @property
    def published(self) -> bool:
        """Whether packets come from a publisher, who can be asked for a key frame."""
        return self._source is not None and self.asks

    def sync(self, ssrc: int, timestamp: int, ms: float) -> None:
        """A publisher's sender report: its ``timestamp`` was sampled at ``ms`` by our clock (RFC 3550 §6.4.1)."""
        source = self._source
        if source is None or source.ssrc != ssrc:
            return
        ours = (timestamp + source.shift - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        self._anchor, source.synced = (self._timestamp + ours, ms), True

    def append_rtp(self, packets: Sequence[RtpPacket], at_ms: int) -> list[Packet]:
        """Packets of a publisher, rewritten to this track's numbers, in the order they came."""
        stored = []
        for packet in packets:
            if (own := self._append_one(packet, at_ms)) is None:
                self.counters.discarded += 1
            else:
                stored.append(own)
        return stored

    def _append_one(self, packet: RtpPacket, at_ms: int) -> Packet | None:
        described = vp8.describe(packet.payload) if self.codec == "vp8" else None
        key = described.key if described is not None else self._begins_keyframe(packet.payload)
        if len(packet.payload) > 1_400 or (self._waiting and not key):
            return None
        source = self._source
        if source is not None:
            seq = source.highest + ((packet.seq - source.highest + 0x8000) & 0xFFFF) - 0x8000
            if source.ssrc != packet.ssrc or abs(seq - source.highest) > MAX_JUMP:
                source = None
        if source is None:
            source = self._begin(packet, at_ms)
            seq = packet.seq
        n = source.base_n + seq - source.base_seq
        if n < source.base_n or n <= self.head - HISTORY or self.get(n) is not None:
            return None
        self._waiting = False
        if seq > source.highest or source.base_n == n:  # what was late says nothing of now
            self.resting = False
        source.highest = max(source.highest, seq)
        timestamp = (packet.timestamp + source.shift) & 0xFFFFFFFF
        ahead = (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if ahead > 0:
            self.frame += 1
            self._timestamp += ahead
            self.last_at = at_ms
            if not source.synced:
                self._observe(self._timestamp, at_ms)
        if key and (gop := self.gop_start()) is not None and (first := self.get(gop)) is not None:
            key = first.timestamp != timestamp  # parameter sets and slices of one picture begin one GOP
        if key:
            self.size = self._size_in(packet.payload) or self.size
        own = self._store(n, timestamp, packet.marker, key, packet.payload, described)
        own.level = packet.level
        return own

    def _begin(self, packet: RtpPacket, at_ms: int) -> _Source:
        shift = (self._next(at_ms) - packet.timestamp) & 0xFFFFFFFF
        self._anchor = None
        self._source = _Source(packet.ssrc, packet.seq, self.head + 1, packet.seq, shift)
        return self._source

    def _begins_keyframe(self, payload: bytes) -> bool:
        return self.codec == "h264" and h264.begins_keyframe(payload)

    def _size_in(self, payload: bytes) -> tuple[int, int] | None:
        if self.codec == "h265":
            return h265.size(payload)
        return vp8.size(payload) if self.codec == "vp8" else h264.size(payload)

    def _next(self, at_ms: int) -> int:
        """Where the time line goes on after a break, unwrapped: a layer goes on beside its base."""
        after = self._timestamp + self._elapsed(at_ms)
        told = (other.timestamp_at(at_ms) for other in self._family if other is not self)
        theirs = next((timestamp for timestamp in told if timestamp is not None), None)
        if theirs is None:
            return after
        if self.frame < 0:  # nobody has seen a time of ours yet
            self._timestamp = theirs - 1
        ahead = (theirs - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        return self._timestamp + ahead if ahead > 0 else after

    def _elapsed(self, at_ms: int) -> int:
        """Clock units since the last frame, at least one frame's worth: the step over a break."""
        since = 0 if self.last_at is None else min(max(at_ms - self.last_at, 0), 86_400_000)
        return max(since * self.rate // 1000, self.rate // 50)

    def _advance(self, pts: int, at_ms: int, captured_ms: float | None = None) -> int:
        """Our timestamp of a unit; a jump of the source's time becomes the time that really passed."""
        if self._shift is not None:
            step = pts + self._shift - self._timestamp
            limit = self._elapsed(at_ms) + MAX_FORWARD_MS * self.rate // 1000
            if not 0 < step <= limit:
                self._shift = None
        if self._shift is None:
            self._shift = self._next(at_ms) - pts
            self._anchor = None
        self._timestamp = pts + self._shift
        if captured_ms is None:
            self._observe(self._timestamp, at_ms)
        else:
            self._anchor, self.last_at = (self._timestamp, captured_ms), at_ms
        return self._timestamp & 0xFFFFFFFF

    def _observe(self, timestamp: int, at_ms: int) -> None:
        """Follow the source's clock by its least delayed frames: early ones count in full, late ones a little."""
        self.last_at = at_ms
        if self._anchor is None:
            self._anchor = (timestamp, float(at_ms))
            return
        expected = self._anchor[1] + (timestamp - self._anchor[0]) * 1000 / self.rate
        late = at_ms - expected
        self._anchor = (timestamp, expected + (late if late < 0 else late / 256))

    def _store_unit(self, timestamp: int, key: bool, payloads: Sequence[bytes]) -> list[Packet]:
        """What ``_store`` does for each, for all packets of a unit: this is what a stream costs that nobody watches."""
        first, frame, layer, ring = self.head + 1, self.frame, self.layer, self._ring
        last = first + len(payloads) - 1 if self.kind == "video" else -1  # the marker ends a picture (RFC 6184 §5.1)
        head = template(False, timestamp, self.ssrc, b"")
        packets, octets = [], 0
        for n, payload in enumerate(payloads, first):
            if n == last:
                head = template(True, timestamp, self.ssrc, b"")
            packet = Packet(n, frame, timestamp, n == last, key and n == first, head + payload, layer)
            ring[n % HISTORY] = packet
            packets.append(packet)
            octets += len(payload)
        self.head = first + len(payloads) - 1
        if key:
            self._gop = first
        counters = self.counters
        counters.packets += len(payloads)
        counters.octets += octets
        counters.temporal[0] += octets + HEADER * len(payloads)
        return packets

    def _store(
        self, n: int, timestamp: int, marker: bool, key: bool, payload: bytes, described: vp8.Descriptor | None = None
    ) -> Packet:
        data = template(marker, timestamp, self.ssrc, payload)
        packet = Packet(n, self.frame, timestamp, marker, key, data)
        packet.layer, packet.vp8 = self.layer, described
        self._ring[n % HISTORY] = packet
        self.head = max(self.head, n)
        if key and (self._gop is None or n > self._gop):
            self._gop = n
        self.counters.packets += 1
        self.counters.octets += len(data) - HEADER
        self.counters.temporal[0 if described is None else described.layer] += len(data)
        return packet
