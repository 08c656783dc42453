"""MPEG transport stream of one H.264 picture track and one Opus or no sound track, without transcoding. No I/O.

ISO/IEC 13818-1:2019 (H.222.0): packets of 188 bytes, PAT and PMT before every key frame and twice a second at least,
one PES packet an access unit, PCR on the picture's PID. Times begin at one second and go on through gaps.
"""

from typing import Final

from hub.media.rtp.unit import CLOCK_RATE, AccessUnit

PACKET: Final = 188
PAT_PID, PMT_PID, VIDEO_PID, AUDIO_PID = 0x0000, 0x1000, 0x0100, 0x0101
H264, PRIVATE = 0x1B, 0x06  # table 2-34
VIDEO_STREAM, PRIVATE_1 = 0xE0, 0xBD  # table 2-22
TABLES_EVERY: Final = 45_000  # ticks of 90 kHz
LEAD: Final = 90_000 // 10  # pictures are shown so long after the clock that comes with them
MAX_STEP: Final = 10 * 90_000  # a source's time that jumps further than this is taken as a new line
DELIMITER: Final = b"\0\0\0\1\x09\xf0"  # an access unit delimiter is a must (2.14.1)


def _crc(data: bytes) -> int:
    """CRC of annex A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _section(table: int, id: int, body: bytes) -> bytes:
    """One table in one section, behind its pointer (2.4.4)."""
    length = 5 + len(body) + 4
    head = bytes((table, 0xB0 | length >> 8, length & 0xFF, id >> 8, id & 0xFF, 0xC1, 0, 0)) + body
    return b"\0" + head + _crc(head).to_bytes(4, "big")


class Muxer:
    """State of one stream for one reader. ``sound`` says whether the program has an Opus track."""

    def __init__(self, *, sound: bool = False) -> None:
        self.skipped = 0  # units that a transport stream has no place for (G.711)
        self._counters: dict[int, int] = {}
        self._sound = sound
        self._tables = self._make_tables()
        self._tables_at: int | None = None
        self._lines: dict[str, tuple[int, int]] = {}  # kind -> source's last pts, ours, both in the codec's clock
        self._now = 90_000

    def write(self, unit: AccessUnit) -> bytes:
        """Packets of one unit; empty for what has no place here."""
        if unit.kind == "audio" and not (self._sound and unit.codec == "opus"):
            self.skipped += 1
            return b""
        pts = self._time(unit)
        out = bytearray()
        if unit.kind == "video":
            if unit.keyframe or self._tables_at is None or pts - self._tables_at >= TABLES_EVERY:
                self._tables_at = pts
                for pid, section in self._tables:
                    out += self._packets(pid, section, fill=0xFF)
            data = unit.data if unit.data.startswith(DELIMITER[:5]) else DELIMITER + unit.data
            pes = self._pes(VIDEO_STREAM, pts + LEAD, data, bounded=False)
            return bytes(out + self._packets(VIDEO_PID, pes, pcr=pts, key=unit.keyframe))
        if self._tables_at is None:
            return b""
        pes = self._pes(PRIVATE_1, pts + LEAD, _opus_header(len(unit.data)) + unit.data, bounded=True)
        return bytes(self._packets(AUDIO_PID, pes))

    # inside -----------------------------------------------------------------------------------------

    def _make_tables(self) -> list[tuple[int, bytes]]:
        pat = _section(0x00, 1, (1).to_bytes(2, "big") + (0xE000 | PMT_PID).to_bytes(2, "big"))
        streams = bytes((H264,)) + (0xE000 | VIDEO_PID).to_bytes(2, "big") + b"\xf0\0"
        if self._sound:  # registration "Opus" and its channel configuration (Opus in MPEG-TS, ETSI TS 103 491)
            descriptors = b"\x05\x04Opus" + b"\x7f\x02\x80\x02"
            streams += bytes((PRIVATE,)) + (0xE000 | AUDIO_PID).to_bytes(2, "big")
            streams += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
        pmt = _section(0x02, 1, (0xE000 | VIDEO_PID).to_bytes(2, "big") + b"\xf0\0" + streams)
        return [(PAT_PID, pat), (PMT_PID, pmt)]

    def _time(self, unit: AccessUnit) -> int:
        """Ticks of 90 kHz on the program's own line, which only goes forward."""
        last = self._lines.get(unit.kind)
        step = 0 if last is None else (unit.pts - last[0]) * 90_000 // CLOCK_RATE[unit.codec]
        if last is None or not 0 < step <= MAX_STEP:
            ours = max(self._now, 0 if last is None else last[1] + 1)
        else:
            ours = last[1] + step
        self._lines[unit.kind] = (unit.pts, ours)
        self._now = max(self._now, ours)
        return ours

    @staticmethod
    def _pes(stream: int, pts: int, data: bytes, *, bounded: bool) -> bytes:
        """One PES packet with a PTS (2.4.3.6); a picture's length may be left open (2.4.3.7)."""
        pts &= 0x1FFFFFFFF
        stamp = bytes(
            (
                0x21 | pts >> 29 & 0x0E,
                pts >> 22 & 0xFF,
                0x01 | pts >> 14 & 0xFE,
                pts >> 7 & 0xFF,
                0x01 | pts << 1 & 0xFE,
            )
        )
        length = 8 + len(data) if bounded and 8 + len(data) <= 0xFFFF else 0
        return b"\0\0\1" + bytes((stream,)) + length.to_bytes(2, "big") + b"\x84\x80\x05" + stamp + data

    def _packets(
        self, pid: int, payload: bytes, *, pcr: int | None = None, key: bool = False, fill: int | None = None
    ) -> bytearray:
        """Transport packets of one section or PES packet (2.4.3.2). ``fill`` pads sections behind their end."""
        out = bytearray()
        counter = self._counters.get(pid, 0)
        at, size = 0, len(payload)
        while at < size:
            field = b""
            if at == 0 and pcr is not None:
                base = pcr & 0x1FFFFFFFF
                flags = 0x10 | (0x40 if key else 0)
                field = bytes((flags,)) + (base << 15 | 0x7E00).to_bytes(6, "big")
            room = PACKET - 4 - (len(field) + 1 if field else 0)
            chunk = payload[at : at + room]
            missing = room - len(chunk)
            if missing and fill is not None:
                chunk += bytes((fill,)) * missing
            elif missing:
                field = _stuffed(field, missing)
            out += bytes((0x47, (0x40 if at == 0 else 0) | pid >> 8, pid & 0xFF, (0x30 if field else 0x10) | counter))
            if field:
                out.append(len(field) if field != _ONE_BYTE else 0)
                out += b"" if field == _ONE_BYTE else field
            out += chunk
            counter = counter + 1 & 0x0F
            at += room
        self._counters[pid] = counter
        return out


_ONE_BYTE: Final = b"\xff"  # stands for an adaptation field of length 0


def _stuffed(field: bytes, missing: int) -> bytes:
    """The adaptation field made longer by ``missing`` bytes (2.4.3.5)."""
    if field:
        return field + b"\xff" * missing
    if missing == 1:
        return _ONE_BYTE
    return b"\0" + b"\xff" * (missing - 2)


def _opus_header(size: int) -> bytes:
    """The control header before an Opus packet in MPEG-TS."""
    return b"\x7f\xe0" + b"\xff" * (size // 255) + bytes((size % 255,))
