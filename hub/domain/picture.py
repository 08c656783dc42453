"""What a picture file is, by its own bytes: kind and size, read from the header alone, before anything decodes it."""

import struct
from dataclasses import dataclass
from typing import Final

from hub.domain.errors import Invalid

MAX_BYTES: Final = 10 * 2**20
MAX_PIXELS: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """Kind (``image/jpeg``, ``image/png``, ``image/webp``) and size in pixels."""

    media_type: str
    width: int
    height: int


def inspect(data: bytes) -> PictureInfo:
    """Read a header. Raises Invalid (``picture.unknown``, ``picture.too_large``)."""
    if len(data) > MAX_BYTES:
        raise Invalid("picture.too_large", f"a picture has at most {MAX_BYTES >> 20} MiB", field="picture")
    try:
        info = _jpeg(data) or _png(data) or _webp(data)
    except (struct.error, IndexError):
        info = None
    if info is None or info.width < 1 or info.height < 1:
        raise Invalid("picture.unknown", "this is no JPEG, PNG or WebP picture", field="picture")
    if info.width * info.height > MAX_PIXELS:
        raise Invalid("picture.too_large", f"a picture has at most {MAX_PIXELS:,} pixels", field="picture")
    return info


def _jpeg(data: bytes) -> PictureInfo | None:
    """Walk the segments to the frame header (ITU-T T.81 B.2.2)."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from("!HH", data, at + 5)
            return PictureInfo("image/jpeg", width, height)
        (length,) = struct.unpack_from("!H", data, at + 2)
        if length < 2 or marker == 0xDA:
            return None
        at += 2 + length
    return None


def _png(data: bytes) -> PictureInfo | None:
    """The IHDR chunk comes first (RFC 2083 §4.1.1)."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from("!II", data, 16)
    return PictureInfo("image/png", width, height)


def _webp(data: bytes) -> PictureInfo | None:
    """VP8, VP8L or VP8X chunk (RFC 9649 §2.5-2.7)."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return PictureInfo("image/webp", width & 0x3FFF, height & 0x3FFF)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return PictureInfo("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return PictureInfo("image/webp", width, height)
    return None
