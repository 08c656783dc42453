"""The program stream as GB/T 28181 devices send it (GB/T 28181-2016 annex C.2; ISO/IEC 13818-1 2.5), incremental.

``feed`` takes the payload of one RTP packet, or any piece of a TCP stream. What does not parse is skipped up to the
next start code and counted, nothing raises, and everything that is kept is bounded.
"""

from typing import Final, TypeAlias

from signaling.gb28181 import psm
from signaling.gb28181.es import START, MediaUnit, Pictures, Sound

PACK, SYSTEM, MAP, PRIVATE_1, END = 0xBA, 0xBB, 0xBC, 0xBD, 0xB9
MAX_HEADER: Final = 4_096  # of a map or a system header; a longer one is garbage
LIES: Final = 3  # wrong lengths of PES packets, until no length of this device's video is believed
Sink: TypeAlias = Pictures | Sound | None
_PACK: Final = START + bytes((PACK,))
_MORE, _GARBAGE, _OPEN = 0, -1, -1
_KNOWN: Final = frozenset((PACK, SYSTEM, MAP, PRIVATE_1, END, 0xBE, 0xBF, *range(0xC0, 0xF0), 0xFA, 0xFF))


class PsDemuxer:
    """State of one connection. ``undecodable`` names a picture coding that nobody can decode, "SVAC" above all.

    ``packs`` and ``maps`` count headers, ``garbage`` bytes that belonged to nothing; ``noticed`` names quirks.
    """

    def __init__(self) -> None:
        self.packs = 0
        self.maps = 0
        self.map_changes = 0
        self.garbage = 0
        self.undecodable: str | None = None
        self.silent: str | None = None  # a coding of sound that nobody takes
        self.pictures = Pictures()
        self.sound: Sound | None = None
        self.noticed: set[str] = self.pictures.noticed
        self._map: dict[int, int] = {}
        self._video_id: int | None = None
        self._audio_id: int | None = None
        self._carry = b""
        self._left = 0  # bytes of the PES packet in work; _OPEN until the next start code
        self._sink: Sink = None
        self._lost = True  # in search of a start code
        self._strayed = False  # because there was none where one should have been
        self._over: int | None = None  # bytes behind the end that a PES packet's length told
        self._over_blank = True
        self._lies = 0
        self._time: int | None = None

    @property
    def dropped(self) -> int:
        """Pictures and sounds that could not be shown."""
        return self.pictures.dropped + (self.sound.dropped if self.sound is not None else 0)

    def feed(self, data: bytes, *, time: int | None = None, marker: bool = False) -> list[MediaUnit]:
        """Take the next bytes; the units that are complete now. ``time`` is their RTP timestamp."""
        if self._left > len(data) and not self._carry and data[:4] != _PACK:
            self._left -= len(data)  # nearly every packet: the inside of a picture
            if self._sink is not None:
                self._sink.add(data)
            return []
        self._time = time
        out: list[MediaUnit] = []
        if self._carry:
            data, self._carry = self._carry + data, b""
        elif self._left > 0 and self._sink is self.pictures and data[:4] == _PACK:
            self._left = 0  # never inside a picture: the length was wrong
            self._lies += 1
            self.noticed.add("pes_length_wrong")
        at, end = 0, len(data)
        while at < end:
            if self._left > 0:
                taken = min(self._left, end - at)
                self._give(data[at : at + taken])
                at += taken
                self._left -= taken
                if self._left == 0:
                    out += self._ended()
            elif self._left == _OPEN:
                at = self._open(data, at, out)
                if self._left == _OPEN:
                    break
            elif self._lost:
                at = self._search(data, at)
                if self._lost:
                    break
            else:
                used = self._header(data, at, out)
                if used == _MORE:
                    self._carry = data[at:]
                    break
                if used == _GARBAGE:
                    at = self._astray(at)
                    continue
                at += used
        if marker:
            out += self._marker()
        return out

    def lost(self) -> None:
        """Something before the next bytes is missing."""
        self._carry, self._left, self._lost, self._over = b"", 0, True, None
        self.pictures.lose()
        if self.sound is not None:
            self.sound.lose()

    def end(self) -> list[MediaUnit]:
        """Nothing follows: what is complete now."""
        self._give(self._carry if self._left == _OPEN else b"")
        self._carry = b""
        return [*self.pictures.close(), *(self.sound.end() if self.sound is not None else ())]

    # inside -----------------------------------------------------------------------------------------

    def _give(self, piece: bytes) -> None:
        if self._sink is not None and piece:
            self._sink.add(piece)

    def _ended(self) -> list[MediaUnit]:
        """The PES packet in work is complete."""
        if isinstance(self._sink, Sound):
            return self._sink.end()
        return []

    def _marker(self) -> list[MediaUnit]:
        """The sender says that a picture ends here: believed where no packet is in work."""
        if self._left > 0 or self._sink is not self.pictures:
            return []
        if self._left == _OPEN:
            self._give(self._carry)
            self._count_over(self._carry)
            self._carry = b""
        elif self._carry:
            return []
        return self.pictures.flush()

    def _open(self, data: bytes, at: int, out: list[MediaUnit]) -> int:
        """Bytes of a PES packet without length, up to the next start code of the program stream."""
        found = _next(data, at)
        if found < 0:
            keep = len(data) - _tail(data)
            if keep > at:
                self._give(data[at:keep])
                self._count_over(data[at:keep])
            self._carry = data[max(keep, at) :]
            return len(data)
        self._give(data[at:found])
        self._count_over(data[at:found])
        self._left = 0
        self._judge_over()
        out += self._ended()
        return found

    def _search(self, data: bytes, at: int) -> int:
        """The next start code after a loss or garbage."""
        found = _next(data, at)
        end = found if found >= 0 else max(len(data) - _tail(data), at)
        if data[at:end].strip(b"\0"):
            self.garbage += end - at
            if self._strayed:  # else what was lost is void anyway
                self.pictures.spoil()
        if found < 0:
            self._carry = data[end:]
            return len(data)
        self._lost = self._strayed = False
        return found

    def _astray(self, at: int) -> int:
        """No start code where one should be."""
        self._lost = True
        if self._sink is self.pictures:  # its length may be wrong: what follows may belong to it
            self._lost = False
            self._left, self._over, self._over_blank = _OPEN, 0, True
            return at
        self._strayed = True
        return at

    def _count_over(self, piece: bytes) -> None:
        if self._over is not None:
            self._over += len(piece)
            self._over_blank = self._over_blank and not piece.strip(b"\0")

    def _judge_over(self) -> None:
        """What came behind a PES packet's end: the rest of a picture over 64 KiB, zeros, or garbage."""
        over, self._over = self._over, None
        if over is None or self._over_blank:
            return
        self.garbage += over
        self._lies += 1
        if over & 0xFFFF == 0:
            self.noticed.add("pes_length_wraps")
        elif self._lies > LIES:
            self.noticed.add("pes_length_wrong")
        else:
            self.pictures.spoil()

    # headers: each returns how many bytes it is, _MORE or _GARBAGE -------------------------------------

    def _header(self, data: bytes, at: int, out: list[MediaUnit]) -> int:
        room = len(data) - at
        if room < 4:
            return _MORE if START.startswith(data[at : at + 3]) else _GARBAGE
        if data[at : at + 3] != START:
            return _GARBAGE
        code = data[at + 3]
        if code == PACK:
            return self._pack(data, at, room)
        if code == END:
            return 4
        if code not in _KNOWN:
            return _GARBAGE
        if room < 6:
            return _MORE
        length = data[at + 4] << 8 | data[at + 5]
        if code in (MAP, SYSTEM):
            if length > MAX_HEADER:
                return self._false(data, at)
            if room < 6 + length:
                return _MORE
            if code == MAP:
                out += self._read_map(data[at + 6 : at + 6 + length])
            return 6 + length
        if 0xC0 <= code <= 0xEF or code == PRIVATE_1:
            return self._pes(data, at, room, code, length, out)
        self._sink, self._left = None, length
        return 6

    def _false(self, data: bytes, at: int) -> int:
        """A start code with nonsense behind it: go on searching behind it."""
        self.garbage += 4
        self.pictures.spoil()
        self._lost = True
        return 4

    def _pack(self, data: bytes, at: int, room: int) -> int:
        """2.5.3.3, 2.5.3.4; 12 bytes by MPEG-1."""
        if room < 5:
            return _MORE
        if data[at + 4] & 0xF0 == 0x20:
            size = 12
        elif data[at + 4] & 0xC0 == 0x40:
            if room < 14:
                return _MORE
            size = 14 + (data[at + 13] & 7)
        else:
            return self._false(data, at)
        if room < size:
            return _MORE
        self.packs += 1
        return size

    def _pes(self, data: bytes, at: int, room: int, code: int, length: int, out: list[MediaUnit]) -> int:
        """2.4.3.6, 2.4.3.7."""
        if room < 9:
            return _MORE
        flags, size = data[at + 7], data[at + 8]
        if data[at + 6] & 0xC0 != 0x80 or (length and length < 3 + size):
            if code == PRIVATE_1 and length:  # whatever it is, it says how long
                self._sink, self._left = None, length
                return 6
            return self._false(data, at)
        if room < 9 + size:
            return _MORE
        pts = stamp(data, at + 9) if flags & 0x80 and size >= 5 else None
        self._sink = sink = self._sink_of(code)
        if isinstance(sink, Pictures):
            out += sink.begin(pts, self._time, data[at + 9 + size : at + 17 + size])
        elif sink is not None:
            out += sink.begin(pts)
        self._left = length - 3 - size if length else _OPEN
        if self._lies > LIES and sink is self.pictures:
            self._left = _OPEN
        self._over = None
        return 9 + size

    def _sink_of(self, code: int) -> Sink:
        if psm.is_video(code) and not self.undecodable:
            if self._video_id is None:
                self._video_id = code
            return self.pictures if code == self._video_id else None
        return self.sound if code == self._audio_id else None

    def _read_map(self, body: bytes) -> list[MediaUnit]:
        if (found := psm.parse_map(body)) is None:
            self.noticed.add("map_unreadable")
            return []
        self.maps += 1
        if found == self._map:
            return []
        self.map_changes += bool(self._map)
        self._map = dict(found)
        out = self._choose_video()
        self._choose_audio()
        return out

    def _choose_video(self) -> list[MediaUnit]:
        ids = [id for id in self._map if psm.is_video(id)]
        if not ids:
            return []
        id = next((id for id in ids if self._map[id] in psm.TAKEN_VIDEO), ids[0])
        if self._video_id is not None and id != self._video_id:
            self.pictures.lose()
        self._video_id = id
        if (codec := psm.TAKEN_VIDEO.get(self._map[id])) is not None:
            self.undecodable = None
            return self.pictures.know(codec)
        self.undecodable = psm.VIDEO.get(self._map[id], f"stream type {self._map[id]:#04x}")
        self.pictures.lose()
        return []

    def _choose_audio(self) -> None:
        self._audio_id = self.silent = None
        for id, kind in self._map.items():
            if not psm.is_audio(id):
                continue
            if (codec := psm.TAKEN_AUDIO.get(kind)) is not None:
                self._audio_id = id
                if self.sound is None or self.sound.codec != codec:
                    self.sound = Sound(codec)
                return
            if id != PRIVATE_1:
                self.silent = self.silent or psm.AUDIO.get(kind, f"stream type {kind:#04x}")


def _next(data: bytes, at: int) -> int:
    """Where the next start code of the program stream stands; -1 where there is none. Those of NAL units pass."""
    at = data.find(START, at)
    while at >= 0:
        if at + 3 >= len(data):
            return -1
        if data[at + 3] in _KNOWN:
            return at
        at = data.find(START, at + 3)
    return -1


def _tail(data: bytes) -> int:
    """How many bytes at the end may be the beginning of a start code."""
    if data.endswith(START):
        return 3
    return 2 if data.endswith(b"\0\0") else 1 if data.endswith(b"\0") else 0


def stamp(data: bytes, at: int) -> int:
    """33 bits of a PTS; the marker bits between them are not looked at."""
    return (
        (data[at] >> 1 & 7) << 30
        | data[at + 1] << 22
        | (data[at + 2] >> 1) << 15
        | data[at + 3] << 7
        | data[at + 4] >> 1
    )
