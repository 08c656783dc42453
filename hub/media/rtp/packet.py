"""The RTP header (RFC 3550 §5.1): reading what a publisher sent, writing what viewers get."""

import struct
from dataclasses import dataclass
from typing import Final

HEADER: Final = 12
_FIXED: Final = struct.Struct("!BBHII")


class WireError(ValueError):
    """Bytes that are not what they should be; ``offset`` is where that shows."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(f"{message} (at byte {offset})")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet without its CSRC list and padding; its header extension as it came (``extension.elements``)."""

    marker: bool
    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes
    profile: int = 0  # of the header extension, 0 without one
    extension: bytes = b""
    level: int = -1  # audio level as it was sent: voice flag and -dBov (RFC 6464 §3); -1 when unknown


def parse_rtp(data: bytes) -> RtpPacket:
    """Parse one plain RTP packet (RFC 3550 §5.1, §5.3.1). Raises WireError."""
    if len(data) < HEADER:
        raise WireError("RTP header is short", len(data))
    b0, b1, seq, timestamp, ssrc = _FIXED.unpack_from(data)
    if b0 >> 6 != 2:
        raise WireError("RTP version is not 2")
    start, end = HEADER + 4 * (b0 & 0x0F), len(data)
    profile, extension = 0, b""
    if b0 & 0x10:
        if start + 4 > end:
            raise WireError("RTP header extension is short", start)
        profile = int.from_bytes(data[start : start + 2], "big")
        begin, start = start + 4, start + 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        extension = data[begin:start]
    if b0 & 0x20:
        padding = data[-1]
        if padding == 0:
            raise WireError("RTP padding is zero", end - 1)
        end -= padding
    if start > end:
        raise WireError("RTP payload has a negative length", min(start, len(data)))
    return RtpPacket(bool(b1 & 0x80), b1 & 0x7F, seq, timestamp, ssrc, data[start:end], profile, extension)


def template(marker: bool, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """A packet whose payload type and sequence number are still zero: each viewer writes its own."""
    return _FIXED.pack(0x80, 0x80 if marker else 0, 0, timestamp & 0xFFFFFFFF, ssrc) + payload


def repaired(packet: RtpPacket, payload_type: int, ssrc: int) -> RtpPacket | None:
    """The packet that a retransmission carries (RFC 4588 §4); ``None`` for padding. Raises WireError."""
    if not packet.payload:
        return None
    if len(packet.payload) < 2:
        raise WireError("retransmission has no sequence number", HEADER)
    seq = int.from_bytes(packet.payload[:2], "big")
    if len(packet.payload) == 2:
        return None
    return RtpPacket(packet.marker, payload_type, seq, packet.timestamp, ssrc, packet.payload[2:])
