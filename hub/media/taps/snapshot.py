"""One picture of a stream as JPEG: its newest key frame, decoded beside the loop."""

import asyncio
from fractions import Fraction
from typing import Final, Literal

import av
from av.video.codeccontext import VideoCodecContext

from hub.domain.errors import Unavailable
from hub.media.rtp.unit import AccessUnit

AT_ONCE: Final = 2  # a 1080p key frame takes 26 ms of a core, and packets are waiting
MAX_PIXELS: Final = 4096 * 2304
QUALITY: Final = "3"  # of 2 (best) to 31

_gate: Final = asyncio.Semaphore(AT_ONCE)


async def jpeg_of(unit: AccessUnit) -> bytes:
    """The picture of a key frame with its parameter sets. Raises Unavailable ``picture.unreadable``."""
    if unit.codec not in ("h264", "h265"):
        raise Unavailable("picture.unreadable", "this stream has no picture to keep")
    async with _gate:
        return await asyncio.to_thread(jpeg, unit.data, "hevc" if unit.codec == "h265" else "h264")


def jpeg(data: bytes, codec: Literal["h264", "hevc"]) -> bytes:
    """Annex B to JPEG. Raises Unavailable ``picture.unreadable``: damaged, no key frame, over 4096 x 2304 pixels."""
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}  # refused before memory is spent
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        if not frames:
            raise Unavailable("picture.unreadable", "the camera's key frame cannot be decoded")
        frame = frames[0].reformat(format="yuvj420p")
        encoder = av.CodecContext.create("mjpeg", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
        encoder.time_base = Fraction(1, 25)
        encoder.options = {"qmin": QUALITY, "qmax": QUALITY}
        frame.pts = 0
        return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    except (av.FFmpegError, ValueError):
        raise Unavailable("picture.unreadable", "the camera's key frame cannot be decoded") from None
