"""H.264 or H.265 in RTP where a program stream was promised (RFC 6184, RFC 7798), or as a byte stream cut in pieces."""

from typing import Final, Literal, TypeAlias

from signaling.gb28181.es import START, MediaUnit, Pictures, Sound, VideoCodec, guess

Way: TypeAlias = Literal["h264", "h265", "annexb"]
LONG: Final = b"\0\0\0\1"


def way_of(payload: bytes) -> Way | None:
    """What a payload looks like: parameter sets, aggregates of them, or the first fragment of a key frame."""
    if START in payload[:4]:
        return "annexb" if guess(payload) is not None else None
    if len(payload) < 5:
        return None
    first, second, third = payload[0], payload[1], payload[2]
    if first in (0x67, 0x47, 0x27) and second in (66, 77, 88, 100, 110) and len(payload) < 200:
        return "h264"
    if first & 0x9F == 0x18 and payload[3] in (0x67, 0x47, 0x27) and (payload[1] << 8 | payload[2]) < len(payload):
        return "h264"  # STAP-A
    if first in (0x7C, 0x5C, 0x3C) and second == 0x85:  # FU-A, IDR
        return "h264"
    if second == 1 and ((first in (0x40, 0x42) and third in (0x0C, 0x01)) or (first == 0x62 and third in (0x93, 0x94))):
        return "h265"
    if first == 0x60 and second == 1 and payload[4] in (0x40, 0x42):  # AP
        return "h265"
    return None


class RawDepacketizer:
    """State of one connection; the same face as ``PsDemuxer``."""

    def __init__(self, way: Way) -> None:
        self.packs = self.maps = self.garbage = 0
        self.undecodable: str | None = None
        self.silent: str | None = None
        self.sound: Sound | None = None
        codec: VideoCodec | None = None if way == "annexb" else way
        self.pictures = Pictures(codec)
        self.noticed: set[str] = self.pictures.noticed
        self._way: Way = way
        self._time: int | None = None
        self._open = False  # a fragment's beginning came

    @property
    def dropped(self) -> int:
        """Pictures that could not be shown."""
        return self.pictures.dropped

    def feed(self, data: bytes, *, time: int | None = None, marker: bool = False) -> list[MediaUnit]:
        """Take one payload; the units that are complete now."""
        self.packs += 1
        out: list[MediaUnit] = []
        if time != self._time:
            out += self.pictures.turn(time)
            self._time, self._open = time, False
        if self._way == "annexb":
            if self.pictures.codec is None and (codec := guess(data)) is not None:
                out += self.pictures.know(codec)
            self.pictures.add(data)
        elif data:
            (self._h264 if self._way == "h264" else self._h265)(data)
        if marker:
            out += self.pictures.flush()
        return out

    def lost(self) -> None:
        """Something before the next packet is missing."""
        self._open = False
        self.pictures.lose()

    def end(self) -> list[MediaUnit]:
        """Nothing follows: what is complete now."""
        return self.pictures.close()

    # inside -----------------------------------------------------------------------------------------

    def _h264(self, data: bytes) -> None:
        """RFC 6184 §5.6–5.8."""
        kind = data[0] & 0x1F
        if kind == 28 and len(data) > 2:
            self._fragment(data[1], bytes((data[0] & 0xE0 | data[1] & 0x1F,)), data[2:])
        elif kind == 24:
            self._aggregate(data, 1)
        elif 1 <= kind <= 23:
            self.pictures.add(LONG + data)
        else:
            self._bad(len(data))

    def _h265(self, data: bytes) -> None:
        """RFC 7798 §4.4."""
        kind = data[0] >> 1 & 0x3F
        if kind == 49 and len(data) > 3:
            self._fragment(data[2], bytes((data[0] & 0x81 | (data[2] & 0x3F) << 1, data[1])), data[3:])
        elif kind == 48:
            self._aggregate(data, 2)
        elif kind < 48 and len(data) > 2:
            self.pictures.add(LONG + data)
        else:
            self._bad(len(data))

    def _fragment(self, flags: int, header: bytes, body: bytes) -> None:
        if flags & 0x80:
            self._open = True
            self.pictures.add(LONG + header + body)
        elif self._open:
            self.pictures.add(body)
        else:
            self._bad(len(body))
        if flags & 0x40:
            self._open = False

    def _aggregate(self, data: bytes, at: int) -> None:
        while at + 2 < len(data):
            size = data[at] << 8 | data[at + 1]
            if not size or at + 2 + size > len(data):
                self._bad(len(data) - at)
                return
            self.pictures.add(LONG + data[at + 2 : at + 2 + size])
            at += 2 + size

    def _bad(self, size: int) -> None:
        self.garbage += size
        self.pictures.spoil()
