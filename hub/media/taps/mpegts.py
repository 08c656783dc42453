"""MPEG transport stream of H.264 or H.265 and of AAC, Opus or no sound, without transcoding. No I/O.

ISO/IEC 13818-1:2019 (H.222.0): packets of 188 bytes, PAT and PMT before every key frame and twice a second at least,
one PES packet an access unit, PCR on the picture's PID. Times begin at one second and go on through gaps. What codings
there are shows by the units; sound that comes later gets tables of a new version.
"""

from typing import Final

from hub.media.rtp.unit import CLOCK_RATE, AccessUnit, UnitCodec

PACKET: Final = 188
PAT_PID, PMT_PID, VIDEO_PID, AUDIO_PID = 0x0000, 0x1000, 0x0100, 0x0101
H264, H265, ADTS, PRIVATE = 0x1B, 0x24, 0x0F, 0x06  # table 2-34
VIDEO_STREAM, AUDIO_STREAM, PRIVATE_1 = 0xE0, 0xC0, 0xBD  # table 2-22
TABLES_EVERY: Final = 45_000  # ticks of 90 kHz
LEAD: Final = 90_000 // 10  # pictures are shown so long after the clock that comes with them
MAX_STEP: Final = 10 * 90_000  # a source's time that jumps further than this is taken as a new line
LEAD_REORDERED: Final = 90_000 // 2  # where pictures are shown later than others that come behind them
MAX_BACK: Final = 2 * 90_000
DELIMITER: Final = b"\0\0\0\1\x09\xf0"  # an access unit delimiter is a must (2.14.1, 2.17.1)
DELIMITER_H265: Final = b"\0\0\0\1\x46\x01\x50"


def _crc(data: bytes) -> int:
    """CRC of annex A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _section(table: int, id: int, body: bytes, version: int = 0) -> bytes:
    """One table in one section, behind its pointer (2.4.4)."""
    length = 5 + len(body) + 4
    head = bytes((table, 0xB0 | length >> 8, length & 0xFF, id >> 8, id & 0xFF, 0xC1 | version << 1, 0, 0)) + body
    return b"\0" + head + _crc(head).to_bytes(4, "big")


class Muxer:
    """State of one stream for one reader."""

    def __init__(self) -> None:
        self.skipped = 0  # units that a transport stream has no place for (G.711)
        self._counters: dict[int, int] = {}
        self._picture: UnitCodec = "h264"
        self._sound: UnitCodec | None = None
        self._version = 0
        self._tables = self._make_tables()
        self._pcr = 0
        self._begun = False
        self._tables_at: int | None = None
        self._lines: dict[str, tuple[int, int]] = {}  # kind -> source's last pts, ours, both in the codec's clock
        self._now = 90_000
        self._lead = LEAD

    def write(self, unit: AccessUnit) -> bytes:
        """Packets of one unit; empty for what has no place here."""
        if unit.kind == "audio" and unit.codec not in ("opus", "aac"):
            self.skipped += 1
            return b""
        if unit.codec not in (self._picture, self._sound):
            self._describe(unit)
        pts = self._time(unit)
        if unit.kind == "video":
            self._pcr, self._begun = max(self._pcr, pts), True
        elif not self._begun:
            return b""
        out = bytearray()
        due = self._tables_at is None or pts - self._tables_at >= TABLES_EVERY
        if self._tables_at is None or (unit.kind == "video" and (unit.keyframe or due)):
            self._tables_at = pts
            for pid, section in self._tables:
                out += self._packets(pid, section, fill=0xFF)
        if unit.kind == "video":
            delimiter = DELIMITER_H265 if unit.codec == "h265" else DELIMITER
            data = unit.data if unit.data.startswith(delimiter[:5]) else delimiter + unit.data
            pes = self._pes(VIDEO_STREAM, pts + self._lead, data, bounded=False)
            return bytes(out + self._packets(VIDEO_PID, pes, pcr=self._pcr, key=unit.keyframe))
        if unit.codec == "aac":
            pes = self._pes(AUDIO_STREAM, pts + self._lead, unit.data, bounded=True)
        else:
            pes = self._pes(PRIVATE_1, pts + self._lead, _opus_header(len(unit.data)) + unit.data, bounded=True)
        return bytes(out + self._packets(AUDIO_PID, pes))

    # inside -----------------------------------------------------------------------------------------

    def _describe(self, unit: AccessUnit) -> None:
        """What the tables say is another thing from here on."""
        if unit.kind == "video":
            self._picture = unit.codec
        else:
            self._sound = unit.codec
        self._version = self._version + 1 & 0x1F
        self._tables, self._tables_at = self._make_tables(), None

    def _make_tables(self) -> list[tuple[int, bytes]]:
        pat = _section(0x00, 1, (1).to_bytes(2, "big") + (0xE000 | PMT_PID).to_bytes(2, "big"))
        streams = (
            bytes((H265 if self._picture == "h265" else H264,)) + (0xE000 | VIDEO_PID).to_bytes(2, "big") + b"\xf0\0"
        )
        if self._sound == "aac":
            streams += bytes((ADTS,)) + (0xE000 | AUDIO_PID).to_bytes(2, "big") + b"\xf0\0"
        elif (
            self._sound == "opus"
        ):  # registration "Opus" and its channel configuration (Opus in MPEG-TS, ETSI TS 103 491)
            descriptors = b"\x05\x04Opus" + b"\x7f\x02\x80\x02"
            streams += bytes((PRIVATE,)) + (0xE000 | AUDIO_PID).to_bytes(2, "big")
            streams += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
        pmt = _section(0x02, 1, (0xE000 | VIDEO_PID).to_bytes(2, "big") + b"\xf0\0" + streams, self._version)
        return [(PAT_PID, pat), (PMT_PID, pmt)]

    def _time(self, unit: AccessUnit) -> int:
        """Ticks of 90 kHz on the program's own line, which only goes forward."""
        last = self._lines.get(unit.kind)
        step = 0 if last is None else (unit.pts - last[0]) * 90_000 // CLOCK_RATE[unit.codec]
        if not unit.passes:
            self._lead = LEAD_REORDERED
        if last is None or not (0 < step <= MAX_STEP or (-MAX_BACK < step < 0 and not unit.passes)):
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
