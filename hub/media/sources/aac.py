"""AAC out of RTP (RFC 3640, RFC 6416) and out of containers: frames with an ADTS header in front. No I/O."""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.sps import Bits

RATES: Final = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
SAMPLES: Final = 1_024  # of one frame
MAX_FRAME: Final = 8_191 - 7  # what the length field of ADTS holds
MAX_FRAMES: Final = 64  # in one packet
MAX_CONFIG: Final = 512
_SBR, _PS, _ESCAPE = 5, 29, 31


@dataclass(frozen=True, slots=True)
class AacFormat:
    """Of one track: audio object type, sampling rate of the core, channels; where AU headers are, their widths."""

    object: int
    rate: int
    channels: int
    size_bits: int = 13
    index_bits: int = 3
    latm: bool = False

    def adts(self, frame: bytes) -> bytes:
        """The frame with its header (ISO/IEC 14496-3 1.A.2.2). Raises ValueError over 8184 bytes."""
        if len(frame) > MAX_FRAME:
            raise ValueError("the frame is too long")
        length = len(frame) + 7
        place = RATES.index(self.rate)
        return bytes((
            0xFF, 0xF1, (self.object - 1) << 6 | place << 2 | self.channels >> 2,
            (self.channels & 3) << 6 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC,
        )) + frame  # fmt: skip


def parse_config(data: bytes, at: int = 0) -> AacFormat:
    """AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1), ``at`` bits in. Raises ValueError: no AAC that ADTS can carry."""
    bits = Bits(data[:64])
    bits.u(at)
    object, rate, channels = _object(bits), _rate(bits), bits.u(4)
    if object in (_SBR, _PS):  # the core is told of behind; decoders find the rest by themselves
        _rate(bits)
        object = _object(bits)
    if not 1 <= object <= 4 or rate not in RATES or not 1 <= channels <= 7:
        raise ValueError("not an AAC that is carried")
    return AacFormat(object, rate, channels)


def _object(bits: Bits) -> int:
    found = bits.u(5)
    return 32 + bits.u(6) if found == _ESCAPE else found


def _rate(bits: Bits) -> int:
    place = bits.u(4)
    if place == 15:
        return bits.u(24)
    if place >= len(RATES):
        raise ValueError("the sampling rate makes no sense")
    return RATES[place]


def format_of(encoding: str, parameters: Mapping[str, str]) -> AacFormat:
    """From the rtpmap's name and the fmtp's parameters. Raises ValueError for what is not carried."""
    try:
        config = bytes.fromhex(parameters.get("config", "")[:MAX_CONFIG])
    except (ValueError, binascii.Error):
        raise ValueError("the configuration is not hexadecimal") from None
    if encoding == "mp4a-latm":  # StreamMuxConfig (14496-3 1.7.3): one program, one layer, one frame a packet
        if parameters.get("cpresent", "1") != "0" or len(config) < 4 or config[0] != 0x40 or config[1] & 0xFE:
            raise ValueError("LATM with several frames or its configuration in band")
        found = parse_config(config, 15)
        return AacFormat(found.object, found.rate, found.channels, latm=True)
    found = parse_config(config)
    size, index = int(parameters.get("sizelength", "0")), int(parameters.get("indexlength", "0"))
    if not 6 <= size <= 16 or not 0 <= index <= 16:
        raise ValueError("frames without their lengths")
    return AacFormat(found.object, found.rate, found.channels, size, index)


class AacDepacketizer:
    """State of one track. ``malformed`` counts packets that are not what they should be."""

    def __init__(self, format: AacFormat, rate: int | None = None) -> None:
        """``rate`` is that of the RTP timestamps: twice the core's where the high band is coded apart (SBR)."""
        self.malformed = 0
        self._format = format
        self._step = SAMPLES * ((rate or format.rate) // format.rate)
        self._begun: bytes | None = None  # of a frame over several packets
        self._missing = 0

    def push(self, packet: RtpPacket, lost: int) -> list[tuple[int, bytes]]:
        """Take one packet; RTP timestamps and frames with their ADTS headers that are complete now."""
        if lost:
            self._begun = None
        try:
            frames = self._latm(packet) if self._format.latm else self._generic(packet.payload)
            made = [self._format.adts(frame) for frame in frames if frame]
        except ValueError:
            self.malformed += 1
            self._begun = None
            return []
        return [(packet.timestamp + self._step * number, frame) for number, frame in enumerate(made)]

    def _generic(self, payload: bytes) -> list[bytes]:
        """RFC 3640 §3.2: the length of all headers in bits, headers, frames."""
        width = self._format.size_bits + self._format.index_bits
        if len(payload) < 2:
            raise ValueError("the packet is short")
        length = int.from_bytes(payload[:2], "big")
        count, at = length // width, 2 + -(-length // 8)
        if not 1 <= count <= MAX_FRAMES or at > len(payload):
            raise ValueError("the headers make no sense")
        bits = Bits(payload[2:at])
        sizes = []
        for _ in range(count):
            sizes.append(bits.u(self._format.size_bits))
            bits.u(self._format.index_bits)
        if count == 1 and (self._begun is not None or sizes[0] > len(payload) - at):
            return self._piece(payload[at:], sizes[0])
        frames = []
        for size in sizes:
            if at + size > len(payload):
                raise ValueError("a frame ends early")
            frames.append(payload[at : at + size])
            at += size
        return frames

    def _piece(self, data: bytes, size: int) -> list[bytes]:
        """§3.2.3.2: each packet of a frame that is cut says the whole length."""
        if self._begun is None or self._missing != size:
            self._begun, self._missing = b"", size
        self._begun += data
        if len(self._begun) < size:
            return []
        frame, self._begun = self._begun[:size], None
        return [frame]

    def _latm(self, packet: RtpPacket) -> list[bytes]:
        """RFC 6416 §6.1: a length in bytes of 255 and a last one, then the frame, perhaps over several packets."""
        data = packet.payload if self._begun is None else self._begun + packet.payload
        if not packet.marker:
            if len(data) > MAX_FRAME:
                raise ValueError("the frame is too long")
            self._begun = data
            return []
        self._begun = None
        size = at = 0
        while at < len(data):
            size, at = size + data[at], at + 1
            if data[at - 1] != 255:
                break
        if at + size > len(data):
            raise ValueError("the frame ends early")
        return [data[at : at + size]]
