"""One key frame of H.264 or H.265, Annex B, to pixels; sizes are bounded before memory is spent."""

from typing import Final, Literal

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from vision.frames import Pixels

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_PIXELS: Final = 4096 * 2304


class BadPicture(ValueError):
    """The bytes are no decodable key frame."""


def decode_keyframe(data: bytes, coding: Literal["h264", "h265"] = "h264") -> Pixels:
    """Decode parameter sets and one IDR (H.264) or IRAP picture (H.265), Annex B, to BGR.

    Raises BadPicture: empty, over 4 MiB, over 4096 x 2304 pixels, no IDR, damaged.
    """
    if not data:
        raise BadPicture("the picture is empty")
    if len(data) > MAX_BYTES:
        raise BadPicture(f"the picture has {len(data)} bytes; {MAX_BYTES} are allowed")
    codec = av.CodecContext.create("hevc" if coding == "h265" else "h264", "r")
    assert isinstance(codec, VideoCodecContext)
    # A lone picture gains nothing from threads; libavcodec refuses larger pictures before it allocates them.
    codec.thread_count = 1
    codec.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
    try:
        frames = codec.decode(av.Packet(data)) + codec.decode(None)
    except (av.FFmpegError, ValueError) as error:
        raise BadPicture(f"the picture cannot be decoded: {type(error).__name__}") from None
    if not frames:
        raise BadPicture("there is no key frame in the data")
    frame = frames[0]
    if frame.width * frame.height > MAX_PIXELS:
        raise BadPicture(f"{frame.width} x {frame.height} pixels are too many")
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
