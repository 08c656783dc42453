"""Program streams made here: for the simulated device, and for pictures that go up to another platform.

    muxer = PsMuxer("h264", sound="pcma")
    sender = RtpSender(ssrc)
    for packet in sender.packets(muxer.picture(annex_b, pts, key=True), pts): ...

One pack a picture: pack header, before a key frame system header and map, then PES packets of at most 64 KiB
(GB/T 28181-2016 annex C.2; ISO/IEC 13818-1 2.5.3). ``Oddities`` are what devices do otherwise, for tests.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from signaling.gb28181 import psm

SoundCodec: TypeAlias = Literal["pcma", "pcmu", "aac"]
VIDEO_ID, AUDIO_ID = 0xE0, 0xC0
TYPES: Final[dict[str, int]] = {
    "h264": psm.H264, "h265": psm.H265, "svac": psm.SVAC_VIDEO,
    "pcma": psm.G711A, "pcmu": psm.G711U, "aac": psm.AAC,
}  # fmt: skip
MAX_PES: Final = 65_000  # payload of one PES packet
MAX_PAYLOAD: Final = 1_400
RATE: Final = 20_000  # program_mux_rate, in units of 50 bytes a second


@dataclass(frozen=True, slots=True)
class Oddities:
    """What real devices do. ``map_after`` pictures come before the first map; ``bad_map`` spoils its inner lengths,
    descriptors and CRC; ``open_pes`` leaves lengths zero; ``private`` adds private_stream_1; ``lone_packs`` sends a
    pack header by itself; ``no_times`` leaves PTS out; ``short_pes`` writes lengths modulo 64 KiB."""

    map_after: int = 0
    no_map: bool = False
    bad_map: bool = False
    open_pes: bool = False
    private: bool = False
    lone_packs: bool = False
    no_times: bool = False
    short_pes: bool = False
    system_everywhere: bool = False


class PsMuxer:
    """State of one program. ``video`` "svac" only labels the stream so."""

    def __init__(
        self,
        video: Literal["h264", "h265", "svac"] = "h264",
        *,
        sound: SoundCodec | None = None,
        oddities: Oddities | None = None,
    ) -> None:
        self._odd = oddities or Oddities()
        self._pictures = 0
        self._last_map = 0
        self._system = _system_header(sound is not None)
        self._map = _map(video, sound, bad=self._odd.bad_map)

    def picture(self, data: bytes, pts: int, *, key: bool, dts: int | None = None) -> bytes:
        """One access unit (Annex B) as a pack; times in 90 kHz."""
        odd = self._odd
        out = [_pack_header(pts if dts is None else dts)]
        if odd.lone_packs:
            out.append(_pack_header(pts))
        late = odd.map_after and self._pictures == odd.map_after
        if (key and self._pictures >= odd.map_after) or late:
            out.append(self._system)
            if not odd.no_map:
                out.append(self._map)
        if odd.private:
            out.append(b"\0\0\1\xbd\0\x0a\x8c\x80\x07" + b"\xff" * 7)
        self._pictures += 1
        if odd.open_pes or odd.short_pes:
            length = (len(data) + 8 & 0xFFFF or 8) if odd.short_pes else 0
            out.append(_pes(VIDEO_ID, data, None if odd.no_times else pts, None, length=length))
            return b"".join(out)
        for at in range(0, max(len(data), 1), MAX_PES):
            first = at == 0 and not odd.no_times
            if odd.system_everywhere and at:
                out.append(self._system)
            out.append(_pes(VIDEO_ID, data[at : at + MAX_PES], pts if first else None, dts if first else None))
        return b"".join(out)

    def sound(self, data: bytes, pts: int) -> bytes:
        """One piece of sound as a PES packet."""
        return _pes(AUDIO_ID, data, pts, None)


class RtpSender:
    """RTP packets of one source (RFC 3550 §5.1). ``seq`` is the next sequence number."""

    def __init__(self, ssrc: int, payload_type: int = 96, *, seq: int = 0) -> None:
        self.ssrc = ssrc
        self.seq = seq
        self._payload_type = payload_type

    def packets(self, data: bytes, timestamp: int, *, limit: int = MAX_PAYLOAD, marker: bool = True) -> list[bytes]:
        """The data in packets of one timestamp, the marker on the last."""
        out = []
        for at in range(0, len(data), limit):
            last = marker and at + limit >= len(data)
            out.append(self.packet(data[at : at + limit], timestamp, marker=last))
        return out

    def packet(self, payload: bytes, timestamp: int, *, marker: bool = False) -> bytes:
        """One packet."""
        header = struct.pack(
            "!BBHII",
            0x80,
            self._payload_type | (0x80 if marker else 0),
            self.seq,
            timestamp & 0xFFFFFFFF,
            self.ssrc,
        )
        self.seq = self.seq + 1 & 0xFFFF
        return header + payload


def _pack_header(scr: int) -> bytes:
    """2.5.3.3: the clock reference in 33 bits, its extension zero."""
    scr &= 0x1FFFFFFFF
    clock = (
        0b01 << 46
        | (scr >> 30 & 7) << 43
        | 1 << 42
        | (scr >> 15 & 0x7FFF) << 27
        | 1 << 26
        | (scr & 0x7FFF) << 11
        | 1 << 10
        | 1
    )
    return b"\0\0\1\xba" + clock.to_bytes(6, "big") + (RATE << 2 | 3).to_bytes(3, "big") + b"\xf8"


def _system_header(sound: bool) -> bytes:
    """2.5.3.5."""
    body = (1 << 23 | RATE << 1 | 1).to_bytes(3, "big") + bytes(((1 if sound else 0) << 2, 0xE1, 0x7F))
    body += bytes((VIDEO_ID, 0xE0 | 1, 0x00))  # STD buffer: 256 KiB
    if sound:
        body += bytes((AUDIO_ID, 0xC0, 0x20))
    return b"\0\0\1\xbb" + len(body).to_bytes(2, "big") + body


def _map(video: str, sound: SoundCodec | None, *, bad: bool) -> bytes:
    """2.5.4."""
    descriptor = b"\x2a\x0a\x7f\xff\x00\x00\x00\x00\x00\x00\x00\x00" if bad else b""  # longer than it says
    streams = bytes((TYPES[video], VIDEO_ID)) + (200 if bad else 0).to_bytes(2, "big") + descriptor
    if sound is not None:
        streams += bytes((TYPES[sound], AUDIO_ID, 0, 0))
    body = b"\xe1\xff\0\0" + (len(streams) + (33 if bad else 0)).to_bytes(2, "big") + streams
    head = b"\0\0\1\xbc" + (len(body) + 4).to_bytes(2, "big") + body
    return head + (b"\x45\xbd\xdc\xf4" if bad else crc(head).to_bytes(4, "big"))


def _pes(id: int, data: bytes, pts: int | None, dts: int | None, *, length: int | None = None) -> bytes:
    """2.4.3.6; ``length`` other than what it is, for oddities."""
    stamps = b""
    flags = 0
    if pts is not None:
        both = dts is not None and dts != pts
        flags = 0xC0 if both else 0x80
        stamps = _stamp(pts, 3 if both else 2) + (_stamp(dts, 1) if both and dts is not None else b"")
    told = 3 + len(stamps) + len(data) if length is None else length
    return b"\0\0\1" + bytes((id,)) + told.to_bytes(2, "big") + bytes((0x8C, flags, len(stamps))) + stamps + data


def _stamp(value: int, prefix: int) -> bytes:
    value &= 0x1FFFFFFFF
    return bytes(
        (
            prefix << 4 | value >> 29 & 0x0E | 1,
            value >> 22 & 0xFF,
            value >> 14 & 0xFE | 1,
            value >> 7 & 0xFF,
            value << 1 & 0xFE | 1,
        )
    )


def crc(data: bytes) -> int:
    """CRC-32 of ISO/IEC 13818-1 annex A."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value
