"""Films of simulated cameras, made: encoded once from the demo's scenes, or from what a file holds; and AAC."""

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext

from hub.demo import scenes
from hub.demo.cameras_list import CAMERAS
from hub.demo.gb_device.film import AAC_SAMPLES, COLUMNS, FPS, ROWS, AacLoop, Film, Shot
from hub.demo.scene_parts import Picture
from hub.media.sources.aac import AacFormat

GOP: Final = 25
_X264: Final = {
    "preset": "ultrafast", "profile": "baseline", "crf": "28",
    "x264-params": "scenecut=0:bframes=0:ref=1:repeat-headers=1:aud=1:threads=1",
}  # fmt: skip


def scene_film(seconds: int = 2, size: tuple[int, int] = (640, 360), camera: int = 0) -> Film:
    """Loops of a demo scene; costs about three seconds of CPU. Deterministic but for the encoder's version."""
    renderer = scenes.Renderer(CAMERAS[camera % len(CAMERAS)])
    frames = [renderer.frame(index) for index in range(seconds * FPS)]
    places = [None, *((column, row) for row in range(ROWS) for column in range(COLUMNS))]
    return Film(tuple(encoded((_fitted(frame, place, size) for frame in frames), size) for place in places))


def small_film(seconds: int = 2, size: tuple[int, int] = (192, 108)) -> Film:
    """One small loop of moving stripes: for loads and tests; costs a tenth of a second."""
    width, height = size
    across = np.arange(width)[None, :] + np.arange(height)[:, None]
    frames = (
        np.repeat(((across * 3 + index * 5) % 256).astype(np.uint8)[:, :, None], 3, axis=2)
        for index in range(seconds * FPS)
    )
    return Film((encoded(frames, size),))


def file_film(path: Path) -> Film:
    """A demo camera's film as one loop. Raises Unavailable ``demo.scene_invalid``, OSError."""
    shots = []
    for unit in scenes.access_units(path):
        kinds = {part[0] & 0x1F for part in unit.split(b"\0\0\1")[1:] if part}
        shots.append(Shot(unit, 5 in kinds))
    first = next((at for at, shot in enumerate(shots) if shot.key), 0)
    return Film((tuple(shots[first:] + shots[:first]),))


def _fitted(frame: Picture, place: tuple[int, int] | None, size: tuple[int, int]) -> Picture:
    if place is None:
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = frame.shape[:2]
    x, y = place[0] * (width // 2) // (COLUMNS - 1), place[1] * (height // 2) // (ROWS - 1)
    cut = np.ascontiguousarray(frame[y : y + height // 2, x : x + width // 2])
    cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
    cv2.putText(cut, f"PTZ {place[0] + 1}-{place[1] + 1}", (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 255, 255), 2)
    return cut


def encoded(frames: Iterable[Picture], size: tuple[int, int]) -> tuple[Shot, ...]:
    """Pictures as one loop, a key frame a second."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = *size, "yuv420p"
    codec.framerate, codec.time_base = Fraction(FPS), Fraction(1, FPS)
    codec.options = {**_X264, "x264-params": f"{_X264['x264-params']}:keyint={GOP}:min-keyint={GOP}"}
    shots = []
    for index, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        shots += [Shot(bytes(packet), packet.is_keyframe) for packet in codec.encode(frame)]
    shots += [Shot(bytes(packet), packet.is_keyframe) for packet in codec.encode(None)]
    return tuple(shots)


@cache
def aac_tone(hertz: int = 440, rate: int = 16_000, seconds: int = 4) -> AacLoop:
    """A tone as AAC-LC in one channel; costs a few milliseconds."""
    codec = av.CodecContext.create("aac", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = rate, "mono", "fltp", 48_000
    frames = []
    for number in range(seconds * rate // AAC_SAMPLES + 1):
        at = np.arange(AAC_SAMPLES) + number * AAC_SAMPLES
        wave = (0.2 * np.sin(2 * np.pi * hertz * at / rate)).astype(np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, number * AAC_SAMPLES
        frames += [bytes(packet) for packet in codec.encode(frame)]
    header = AacFormat(2, rate, 1)
    return AacLoop(tuple(header.adts(frame) for frame in frames), rate)
