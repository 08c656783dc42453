"""What the tests of the relay share: H.264 made by a real encoder, and a feed that plays it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from hub.domain.clock import system_clock
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream

FPS = 25


@cache
def encoded(
    seconds: int = 2, gop: int = 25, width: int = 320, height: int = 240, rate: int = 400_000
) -> tuple[tuple[bytes, bool], ...]:
    """Annex B access units without B-frames, and whether each is a key frame."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.framerate, codec.time_base, codec.bit_rate = FPS, Fraction(1, 90_000), rate
    codec.options = {
        "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(gop),
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:annexb=1:repeat-headers=1:threads=1:sliced-threads=0",
    }  # fmt: skip
    made: list[tuple[bytes, bool]] = []
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 90, (height, width * 2, 3), dtype=np.uint8)
    for i in range(seconds * FPS):
        shift = (i * 4) % width
        picture = np.ascontiguousarray(noise[:, shift : shift + width])
        picture[:, :, i % 3] = np.minimum(picture[:, :, i % 3] + 60, 255)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = i * 90_000 // FPS
        made += [(bytes(packet), packet.is_keyframe) for packet in codec.encode(frame)]
    made += [(bytes(packet), packet.is_keyframe) for packet in codec.encode(None)]
    return tuple(made)


def units(count: int, *, start: int = 0, at_ms: int | None = None) -> list[AccessUnit]:
    """Access units of the loop ``encoded``, ``start`` on, with their times."""
    made = encoded()
    base = system_clock() if at_ms is None else at_ms
    return [
        AccessUnit("video", "h264", *made[i % len(made)][:1], i * 90_000 // FPS, made[i % len(made)][1], base + i * 40)
        for i in range(start, start + count)
    ]


@contextlib.asynccontextmanager
async def feeding(stream: Stream, *, every_s: float = 0.04, loop: Callable[[], Any] = encoded) -> AsyncIterator[None]:
    """Publish the loop in real time (or faster) until left."""
    made = loop()

    async def feed() -> None:
        i = 0
        while not stream.ended:
            data, key = made[i % len(made)]
            stream.publish(AccessUnit("video", "h264", data, i * 90_000 // FPS, key, system_clock()))
            i += 1
            await asyncio.sleep(every_s)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
