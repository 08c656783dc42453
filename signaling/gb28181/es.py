"""Elementary streams of GB/T 28181 media: pieces of PES packets in, whole pictures and sound out.

A picture ends where the time changes, where a marker says so, or where NAL units show that another one begins
(ITU-T H.264 7.4.1.2.3, H.265 7.4.2.4.4). After a loss everything is dropped until the next key frame, and counted.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

VideoCodec: TypeAlias = Literal["h264", "h265"]
AudioCodec: TypeAlias = Literal["pcma", "pcmu", "aac"]

START: Final = b"\0\0\1"
MAX_PICTURE: Final = 8 * 2**20
MAX_HELD: Final = 4 * 2**20  # bytes of pictures whose codec is not known yet
HELD_TICKS: Final = 5 * 90_000  # so long a map is waited for, then the codec is guessed
MAX_SETS: Final = 65_536  # bytes in front of a picture's first slice
MAX_STAMPS: Final = 300
MAX_SOUND: Final = 16_384
STEP: Final = 3_600  # ticks between pictures where nothing tells
OTHER, BEFORE, SLICE, KEY = 0, 1, 2, 3  # what a NAL unit is to the picture it stands in


@dataclass(slots=True)
class MediaUnit:
    """One picture as NAL units without start codes, or one piece of sound. ``pts`` counts 90 kHz and does not wrap."""

    codec: VideoCodec | AudioCodec
    pts: int
    key: bool
    nals: list[bytes] = field(default_factory=list)
    data: bytes = b""
    apart: bool = False  # sound whose times have nothing to do with those of the pictures

    @property
    def annex_b(self) -> bytes:
        """The picture as a byte stream (annex B)."""
        return b"".join(b"\0\0\0\1" + nal for nal in self.nals)


def _h264_kind(first: int) -> int:
    kind = first & 0x1F
    return KEY if kind == 5 else SLICE if 1 <= kind <= 4 else BEFORE if kind in (6, 7, 8, 9, 15, 16, 17, 18) else 0


def _h265_kind(first: int) -> int:
    kind = first >> 1 & 0x3F
    if kind < 32:
        return KEY if 16 <= kind <= 23 else SLICE
    return BEFORE if kind in (32, 33, 34, 35, 39, *range(41, 45), *range(48, 56)) else OTHER


KINDS: Final[dict[VideoCodec, bytes]] = {
    "h264": bytes(_h264_kind(first) for first in range(256)),
    "h265": bytes(_h265_kind(first) for first in range(256)),
}
_FLAG_AT: Final[dict[VideoCodec, int]] = {"h264": 1, "h265": 2}  # the byte whose first bit says "begins a picture"


@dataclass(slots=True)
class _Stamp:
    """Times that belong to the first picture that begins at this place or behind it (ISO/IEC 13818-1 2.4.3.7)."""

    at: int
    pts: int | None
    time: int | None


class Pictures:
    """One video stream. ``codec`` may be learnt late: what came before is held back, within bounds.

    ``dropped`` counts pictures, ``noticed`` names what a device does otherwise than the standard.
    """

    def __init__(self, codec: VideoCodec | None = None) -> None:
        self.codec: VideoCodec | None = codec
        self.dropped = 0
        self.noticed: set[str] = set()
        self._parts: list[bytes] = []
        self._size = 0
        self._stamps: list[_Stamp] = []
        self._clear = 0  # bytes of the picture in work that are known to hold no slice
        self._damaged = False
        self._wants_key = True
        self._loose: list[bytes] = []  # parameter sets that came in a packet of their own
        self._flushed = False  # a marker ended the picture before this one
        self._trust_markers = True
        self._line = _Line()
        self._held: list[tuple[bytes, list[_Stamp]]] = []
        self._held_size = 0

    def know(self, codec: VideoCodec) -> list[MediaUnit]:
        """The codec is this; what was held back because of it. Another one than before begins anew."""
        if codec == self.codec:
            return []
        out = self.flush() if self.codec is not None else []
        first, self.codec = self.codec is None, codec
        if not first:
            self.lose()
        for data, stamps in self._held:
            out += self._pictures(data, stamps)
        self._held, self._held_size = [], 0
        return out

    def begin(self, pts: int | None, time: int | None, head: bytes = b"") -> list[MediaUnit]:
        """A PES packet begins; what is complete now.

        ``pts`` is its own, if it has one, ``time`` the RTP timestamp it came with, ``head`` its first bytes.
        """
        out: list[MediaUnit] = []
        if self._parts:
            if pts is None or pts == self._stamps[-1].pts:
                if not (self._begins(head) and self._sliced()):
                    return out  # the same picture goes on
            elif head and START not in head[:4]:
                return self._inside(pts, time)
            out = self._finish()
        self._stamps = [_Stamp(0, pts, time)]
        return out

    def turn(self, time: int | None) -> list[MediaUnit]:
        """Another picture begins, by its RTP timestamp; what is complete now."""
        out = self._finish() if self._parts else []
        self._stamps = [_Stamp(0, None, time)]
        return out

    def add(self, piece: bytes) -> None:
        """A piece of it."""
        if not self._parts and not self._stamps:
            self._stamps = [_Stamp(0, None, None)]
        self._size += len(piece)
        if self._size > MAX_PICTURE:
            self.lose()
            return
        self._parts.append(piece)

    def flush(self) -> list[MediaUnit]:
        """A marker, or the end: the picture is complete, as long as this device's markers were right so far."""
        if not self._parts or not self._trust_markers or self.codec is None:
            return []
        if not self._sliced():
            return []
        out = self._finish()
        self._flushed = True
        return out

    def close(self) -> list[MediaUnit]:
        """Nothing follows: whatever is complete, also without a map."""
        out = self._finish() if self._parts else []
        return out + self._release() if self._held else out

    def lose(self) -> None:
        """Something is missing: the picture in work is void, and nothing can be shown until a key frame."""
        if self._parts:
            self.dropped += 1
        self._parts, self._size, self._stamps, self._clear = [], 0, [], 0
        self._damaged = False
        self._wants_key = True
        self._loose = []
        self._flushed = False

    def spoil(self) -> None:
        """The picture in work holds what does not belong there."""
        self._damaged = True

    # inside -----------------------------------------------------------------------------------------

    def _finish(self) -> list[MediaUnit]:
        data, stamps = b"".join(self._parts), self._stamps
        self._parts, self._size, self._stamps, self._clear = [], 0, [], 0
        if self.codec is None:
            return self._hold(data, stamps)
        return self._pictures(data, stamps)

    def _begins(self, head: bytes) -> bool:
        """Whether these bytes begin with a NAL unit that begins a picture."""
        if self.codec is None or (at := head.find(START, 0, 4)) < 0 or len(head) < at + 6:
            return False
        kind = KINDS[self.codec][head[at + 3]]
        return kind == BEFORE or (kind >= SLICE and bool(head[at + 3 + _FLAG_AT[self.codec]] & 0x80))

    def _sliced(self) -> bool:
        """Whether the picture in work has a slice already."""
        data = b"".join(self._parts)
        self._parts = [data]
        if self.codec is not None and _has_slice(data, self.codec, max(self._clear - 3, 0)):
            return True
        self._clear = len(data)
        if len(data) > MAX_SETS:  # looked through again and again: that must not grow
            self.lose()
        return False

    def _inside(self, pts: int, time: int | None) -> list[MediaUnit]:
        """A picture begins somewhere inside this PES packet, whose first bytes end another."""
        self._stamps.append(_Stamp(self._size, pts, time))
        first = self._stamps[0].pts
        if self.codec is None:
            if first is not None and 0 <= pts - first <= HELD_TICKS and self._size <= MAX_HELD:
                return []
            if (found := guess(b"".join(self._parts))) is None:
                self.lose()
                return []
            self.noticed.add("no_map")
            self.codec = found
        data = b"".join(self._parts)
        groups = group(data, self.codec)
        if len(groups) < 2:
            self._parts = [data]
            if len(self._stamps) > MAX_STAMPS:
                self.lose()
            return []
        before, last = groups[-2][0], groups[-1][0]
        stamps = self._stamps
        mine = _stamp_of(stamps, before, last)
        self._parts, self._size, self._clear = [data[last:]], len(data) - last, 0
        later = [_Stamp(each.at - last, each.pts, each.time) for each in stamps if each.at > last]
        self._stamps = [_Stamp(0, mine.pts, mine.time), *later]
        return self._pictures(data[:last], [each for each in stamps if each.at < last and each is not mine])

    def _hold(self, data: bytes, stamps: list[_Stamp]) -> list[MediaUnit]:
        self._held.append((data, stamps))
        self._held_size += len(data)
        first, pts = self._held[0][1][0].pts, stamps[0].pts
        long = pts is not None and first is not None and not 0 <= pts - first <= HELD_TICKS
        if not long and self._held_size <= MAX_HELD and len(self._held) <= MAX_STAMPS:
            return []
        return self._release()

    def _release(self) -> list[MediaUnit]:
        """No map came: what was held back shows by itself what it is, or is dropped."""
        for held, _ in self._held:
            if (found := guess(held)) is not None:
                self.noticed.add("no_map")
                return self.know(found)
        self.dropped += len(self._held)
        self._held, self._held_size = [], 0
        return []

    def _pictures(self, data: bytes, stamps: list[_Stamp]) -> list[MediaUnit]:
        assert self.codec is not None
        out: list[MediaUnit] = []
        if self._wants_key and (found := guess(data)) is not None and found != self.codec:
            self.noticed.add("map_names_wrong_codec")
            self.codec = found
        at = data.find(START)
        if (data[:at] if at >= 0 else data).strip(b"\0"):
            self._picture([], _Stamp(0, None, None))  # the rest of something
        before = -1
        for place, nals in group(data, self.codec):
            if (unit := self._picture(nals, _stamp_of(stamps, before, place))) is not None:
                out.append(unit)
            before = place
        return out

    def _picture(self, nals: list[bytes], stamp: _Stamp) -> MediaUnit | None:
        """One picture's NAL units: a unit, or nothing where nobody could decode it."""
        assert self.codec is not None
        kinds, flag = KINDS[self.codec], _FLAG_AT[self.codec]
        key, first = False, None
        for nal in nals:
            kind = kinds[nal[0]]
            if kind >= SLICE:
                first = first or nal
                key = key or kind == KEY
        if first is None and nals:
            self._loose = [*self._loose, *nals][-64:]
            return None
        rest = first is None or len(first) <= flag or not first[flag] & 0x80
        if rest and self._flushed and not self._damaged:
            self._trust_markers = False
            self.noticed.add("markers_inside_pictures")
        whole = not rest and not self._damaged
        self._flushed = self._damaged = False
        pts = self._line.at(stamp.pts, stamp.time) if first is not None else 0
        if self._loose:
            nals, self._loose = [*self._loose, *nals], []
        if not whole:
            self._wants_key = True
        if not whole or (self._wants_key and not key):
            self.dropped += 1
            return None
        self._wants_key = False
        return MediaUnit(self.codec, pts, key, nals)


def _stamp_of(stamps: list[_Stamp], before: int, at: int) -> _Stamp:
    """The times of the picture at this place, the one before which began at ``before``."""
    found = _Stamp(at, None, None)
    for each in stamps:
        if before < each.at <= at:
            found = each
    return found


class _Line:
    """Times of pictures on one line: PTS, or RTP timestamps from a device whose PTS is missing or stands still."""

    def __init__(self) -> None:
        self._by_rtp = False
        self._seen: int | None = None  # as it came
        self._raw: int | None = None
        self._offset = 0
        self._last: int | None = None

    def at(self, pts: int | None, time: int | None) -> int:
        switch = not self._by_rtp and time is not None and (pts is None or pts == self._seen)
        if switch:
            self._by_rtp, self._raw, self._seen = True, None, None
        value, bits = (time, 32) if self._by_rtp else (pts, 33)
        if value is None or value == self._seen:
            self._last = STEP + (self._last or 0)
            return self._last
        self._seen, self._raw = value, unwrap(value, self._raw, bits)
        if switch and self._last is not None:
            self._offset = self._last + STEP - self._raw
        self._last = self._raw + self._offset
        return self._last


class Sound:
    """One audio stream: G.711 as it stands in its PES packets, AAC in frames with their ADTS headers."""

    def __init__(self, codec: AudioCodec) -> None:
        self.codec: AudioCodec = codec
        self.dropped = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._told: list[tuple[int, int]] = []  # PTS, and from which byte on: what began before has its own
        self._next = 0

    def begin(self, pts: int | None) -> list[MediaUnit]:
        """A PES packet begins; PTS is that of the first frame that begins in it (ISO/IEC 13818-1 2.4.3.7)."""
        out = self.end()
        if pts is not None:
            if self._told and self._told[-1][1] == self._size:
                self._told.pop()
            self._told.append((unwrap(pts, self._next or None, 33), self._size))
        return out

    def add(self, piece: bytes) -> None:
        """A piece of it."""
        self._size += len(piece)
        if self._size > MAX_SOUND:
            self.lose()
            return
        self._parts.append(piece)

    def end(self) -> list[MediaUnit]:
        """The PES packet is complete."""
        if not self._parts:
            return []
        data, self._parts, self._size = b"".join(self._parts), [], 0
        if self.codec == "aac":
            return self._frames(data)
        self._time(0)
        unit = MediaUnit(self.codec, self._next, True, data=data)
        self._next += len(data) * 90_000 // 8_000
        return [unit]

    def lose(self) -> None:
        """What is in work is void."""
        self.dropped += bool(self._parts)
        self._parts, self._size = [], 0
        self._told = [(pts, 0) for pts, _ in self._told[-1:]]

    def _time(self, at: int) -> None:
        """The first that begins in a packet has the packet's time."""
        while self._told and at >= self._told[0][1]:
            self._next, _ = self._told.pop(0)

    def _frames(self, data: bytes) -> list[MediaUnit]:
        """ADTS frames (ISO/IEC 14496-3 1.A.2.2); the beginning of one that goes on is kept."""
        out: list[MediaUnit] = []
        at = 0
        while (at := data.find(b"\xff", at)) >= 0 and at + 7 <= len(data):
            size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
            rate = data[at + 2] >> 2 & 15
            if data[at + 1] & 0xF6 != 0xF0 or size < 7 or rate >= len(_AAC_RATES):
                at += 1
                continue
            if at + size > len(data):
                break
            self._time(at)
            out.append(MediaUnit("aac", self._next, True, data=data[at : at + size]))
            self._next += 1_024 * ((data[at + 6] & 3) + 1) * 90_000 // _AAC_RATES[rate]
            at += size
        if 0 <= at < len(data):
            self._parts, self._size = [data[at:]], len(data) - at
        self._told = [(pts, max(begin - (len(data) - self._size), 0)) for pts, begin in self._told]
        return out


_AAC_RATES: Final = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)


def unwrap(value: int, last: int | None, bits: int) -> int:
    """The number nearest to the last one that ends in these bits."""
    if last is None:
        return value
    half = 1 << (bits - 1)
    return last + ((value - last + half) & (1 << bits) - 1) - half


def group(data: bytes, codec: VideoCodec) -> list[tuple[int, list[bytes]]]:
    """NAL units of a byte stream, picture by picture, and where each picture begins."""
    kinds, flag = KINDS[codec], _FLAG_AT[codec]
    groups: list[tuple[int, list[bytes]]] = []
    current: list[bytes] = []
    sliced = False
    begun = at = data.find(START)
    while at >= 0:
        following = data.find(START, at + 3)
        nal = (data[at + 3 :] if following < 0 else data[at + 3 : following]).rstrip(b"\0")
        if nal:
            kind = kinds[nal[0]]
            if sliced and (kind == BEFORE or (kind >= SLICE and len(nal) > flag and nal[flag] & 0x80)):
                groups.append((begun, current))
                current, sliced, begun = [], False, at
            sliced = sliced or kind >= SLICE
            current.append(nal)
        at = following
    if current:
        groups.append((begun, current))
    return groups


def guess(data: bytes) -> VideoCodec | None:
    """The codec by the parameter sets that a byte stream begins with; None where nothing tells."""
    at = data.find(START, 0, 64)
    while 0 <= at < 256 and at + 5 <= len(data):
        first, second = data[at + 3], data[at + 4]
        if first in (0x40, 0x42, 0x44) and second == 1:
            return "h265"
        if first in (0x67, 0x47, 0x27) and second in (66, 77, 88, 100, 110, 122, 244):
            return "h264"
        at = data.find(START, at + 3, 300)
    return None


def _has_slice(data: bytes, codec: VideoCodec, begin: int) -> bool:
    kinds = KINDS[codec]
    at = data.find(START, begin)
    while 0 <= at < len(data) - 3:
        if kinds[data[at + 3]] >= SLICE:
            return True
        at = data.find(START, at + 3)
    return False
