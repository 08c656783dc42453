"""The program stream map (ISO/IEC 13818-1 2.5.4.1), read as devices write it: inner lengths, descriptors and CRC
are often wrong, so nothing but the packet's own length is trusted."""

from collections.abc import Mapping
from typing import Final

from signaling.gb28181.es import AudioCodec, VideoCodec

H264, H265, AAC, G711A, G711U, SVAC_VIDEO, SVAC_AUDIO = 0x1B, 0x24, 0x0F, 0x90, 0x91, 0x80, 0x9B
VIDEO: Final[dict[int, str]] = {
    0x01: "MPEG-1", 0x02: "MPEG-2", 0x10: "MPEG-4 part 2", H264: "h264", H265: "h265", 0x33: "H.266",
    SVAC_VIDEO: "SVAC",
}  # fmt: skip
AUDIO: Final[dict[int, str]] = {
    0x03: "MPEG audio", 0x04: "MPEG audio", AAC: "aac", 0x11: "AAC (LATM)", G711A: "pcma", G711U: "pcmu",
    0x92: "G.722.1", 0x93: "G.723.1", 0x96: "G.726", 0x99: "G.729", SVAC_AUDIO: "SVAC audio",
}  # fmt: skip
TAKEN_VIDEO: Final[dict[int, VideoCodec]] = {H264: "h264", H265: "h265"}
TAKEN_AUDIO: Final[dict[int, AudioCodec]] = {G711A: "pcma", G711U: "pcmu", AAC: "aac"}
MAX_STREAMS: Final = 16


def is_video(id: int) -> bool:
    """Whether a stream_id is one of video (table 2-22)."""
    return 0xE0 <= id <= 0xEF


def is_audio(id: int) -> bool:
    """Whether a stream_id may carry sound: private_stream_1 does so in some devices."""
    return 0xC0 <= id <= 0xDF or id == 0xBD


def parse_map(body: bytes) -> Mapping[int, int] | None:
    """stream_id to stream_type, from what follows the packet's length; None where nothing is to be made out.

    First as the standard says; where that leads astray, by looking for pairs that can be nothing else.
    """
    if len(body) < 4:
        return None
    if (found := _walk(body)) is not None:
        return found
    return _look(body) or None


def _walk(body: bytes) -> Mapping[int, int] | None:
    """None as soon as something does not fit."""
    at = 4 + (body[2] << 8 | body[3])
    if at + 2 > len(body):
        return None
    size = body[at] << 8 | body[at + 1]
    at += 2
    end = at + size
    if not len(body) - 4 <= end <= len(body):  # the CRC is four bytes; some leave it out
        end = max(len(body) - 4, at)
    found: dict[int, int] = {}
    while at < end and len(found) < MAX_STREAMS:
        if at + 4 > end:
            return None
        kind, id, length = body[at], body[at + 1], body[at + 2] << 8 | body[at + 3]
        if not (is_video(id) or is_audio(id)) or at + 4 + length > end:
            return None
        found[id] = kind
        at += 4 + length
    return found or None


def _look(body: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    for at in range(2, len(body) - 1):
        kind, id = body[at], body[at + 1]
        if (is_video(id) and kind in VIDEO) or (is_audio(id) and kind in AUDIO):
            found.setdefault(id, kind)
        if len(found) >= MAX_STREAMS:
            break
    return found
