"""Pictures made on the spot, for tests."""

from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from vision.frames import Pixels


def plain(width: int = 640, height: int = 360, shade: int = 90) -> Pixels:
    return np.full((height, width, 3), shade, np.uint8)


def keyframe(pixels: Pixels) -> bytes:
    """The picture as parameter sets and one IDR."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = pixels.shape[1], pixels.shape[0], "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 25), Fraction(25)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1"}
    frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in codec.encode(frame) + codec.encode(None))
