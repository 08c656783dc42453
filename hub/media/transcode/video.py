"""One picture track made anew: whatever a camera codes, as H.264 without reordering that every browser decodes."""

from fractions import Fraction
from typing import Final, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from hub.media.transcode.wire import Plan

CLOCK: Final = 90_000
KEY_EVERY_S: Final = 2
MAX_PIXELS: Final = 4_096 * 4_096
MAX_BAD: Final = 100  # units in a row that no picture came of
NAMES: Final = {"h264": "h264", "h265": "hevc"}
Made = tuple[int, bool, bytes]
"""pts, key frame, Annex B."""


class Failed(Exception):
    """This cannot be transcoded."""


def fitted(width: int, height: int, plan: Plan) -> tuple[int, int]:
    """The size of the picture made: in proportion, within the plan lying or standing, even, never enlarged."""
    long, short = max(plan.width, plan.height), min(plan.width, plan.height)
    scale = min(Fraction(1), Fraction(long, max(width, height)), Fraction(short, min(width, height)))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


class VideoJob:
    """State of one track. Not thread-safe; every call works the unit off before it returns."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        decoder = av.CodecContext.create(NAMES[plan.codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.thread_count = 1  # frame threads hold pictures back, one for each
        decoder.options = {"max_pixels": str(MAX_PIXELS)}
        self._decoder = decoder
        self._encoder: VideoCodecContext | None = None
        self._source = (0, 0)
        self._scaler = VideoReformatter()
        self._skipped: set[int] = set()
        self._last: int | None = None  # pts of the last picture that was encoded
        self._count = 0
        self._times: dict[int, int] = {}  # of pictures in the encoder: its own count to our pts
        self._wants_key = False
        self._bad = 0

    def want_key(self) -> None:
        """Let the next picture be a key frame."""
        self._wants_key = True

    def unit(self, data: bytes, pts: int, *, skip: bool) -> list[Made]:
        """Take one access unit. Raises Failed when nothing comes of them for long."""
        packet = av.Packet(data)
        packet.pts = pts
        packet.time_base = Fraction(1, CLOCK)
        if skip:
            self._skipped.add(pts)
        try:
            frames = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            self._spoiled(type(error).__name__)
            return []
        if frames:
            self._bad = 0
        else:
            self._spoiled("no picture")
        return [made for frame in frames for made in self._picture(frame)]

    def _spoiled(self, why: str) -> None:
        self._bad += 1
        if self._bad >= MAX_BAD:
            raise Failed(f"the pictures cannot be decoded: {why}")

    def _picture(self, frame: VideoFrame) -> list[Made]:
        pts = frame.pts if frame.pts is not None else (self._last or 0) + CLOCK // self._plan.rate
        if pts in self._skipped:
            self._skipped.discard(pts)
            return []
        if len(self._skipped) > 4_096:
            self._skipped.clear()
        least = CLOCK * 9 // 10 // self._plan.rate
        if self._last is not None and 0 <= pts - self._last < least and not self._wants_key:
            return []
        self._last = pts
        if (frame.width, frame.height) != self._source or self._encoder is None:
            self._source = (frame.width, frame.height)
            self._encoder = self._make_encoder(*fitted(frame.width, frame.height, self._plan))
            self._times.clear()
        encoder = self._encoder
        if (frame.width, frame.height, frame.format.name) != (encoder.width, encoder.height, "yuv420p"):
            frame = self._scaler.reformat(
                frame, encoder.width, encoder.height, "yuv420p", interpolation=Interpolation.FAST_BILINEAR
            )
        frame.pict_type = PictureType.I if self._wants_key else PictureType.NONE
        self._wants_key = False
        self._count += 1
        self._times[self._count] = pts
        frame.pts, frame.time_base = self._count, Fraction(1, self._plan.rate)
        return [self._made(packet) for packet in encoder.encode(frame)]

    def _made(self, packet: "av.Packet[av.video.stream.VideoStream]") -> Made:
        pts = self._times.pop(cast(int, packet.pts), self._last or 0)
        return pts, packet.is_keyframe, bytes(packet)

    def _make_encoder(self, width: int, height: int) -> VideoCodecContext:
        plan = self._plan
        encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, plan.rate), Fraction(plan.rate)
        rate = max(200_000, plan.bitrate * width * height // (plan.width * plan.height)) // 1_000
        keys = plan.rate * KEY_EVERY_S
        encoder.options = {
            "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "crf": "24", "forced-idr": "1",
            "x264-params": f"keyint={keys}:min-keyint=1:scenecut=0:annexb=1:repeat-headers=1:threads=1"
            f":sliced-threads=0:vbv-maxrate={rate}:vbv-bufsize={rate // 2}",
        }  # fmt: skip
        return encoder
