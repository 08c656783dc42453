"""What a camera costs that no browser decodes as it is: one process a picture, as a relay runs it.

``python -m tests.bench.transcode [--quick] [--json]``. H.265 of 2 Mbit/s (720p25) and 4 Mbit/s (1080p25) to H.264 of
720p25 at the pace of a camera; processor time by picture as the processes themselves report it, and how long a
picture takes from the relay's loop through the pipe, decoder, encoder and back.
"""

import asyncio
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np

from hub.media.rtp.unit import AccessUnit, UnitCodec
from hub.media.transcode.pool import Pool
from tests.bench.common import arguments, percentile, show

FPS = 25
STEP = 90_000 // FPS


def film(width: int, height: int, rate: int, seconds: int = 4) -> list[AccessUnit]:
    """H.265 of moving shapes, a key frame each 2 s."""
    codec: Any = av.CodecContext.create("libx265", "w")
    codec.width, codec.height, codec.pix_fmt, codec.framerate = width, height, "yuv420p", FPS
    codec.time_base, codec.bit_rate = Fraction(1, 90_000), rate
    keys = f"keyint={2 * FPS}:min-keyint={2 * FPS}:scenecut=0"
    codec.options = {"preset": "ultrafast", "x265-params": f"log-level=none:bframes=0:repeat-headers=1:{keys}"}
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 160, (height // 16, width // 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    made: list[Any] = []
    for i in range(seconds * FPS):
        picture = np.ascontiguousarray(coarse[:, (i * 6) % width :][:, :width])
        picture[:, i * 8 % (width - 40) :][:, :40] = 255 - i
        picture[::7, ::5] += rng.integers(0, 40, picture[::7, ::5].shape, dtype=np.uint8)  # a sensor's noise
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = i * STEP, Fraction(1, 90_000)
        made += codec.encode(frame)
    made += codec.encode(None)
    return [AccessUnit("video", "h265", bytes(p), n * STEP, p.is_keyframe, 0) for n, p in enumerate(made)]


def sound(seconds: int = 4) -> list[AccessUnit]:
    """AAC of 16 kHz mono, noise."""
    from hub.media.sources.aac import AacFormat

    codec: Any = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = 16_000, "mono", "fltp"
    rng, made = np.random.default_rng(1), list[Any]()
    for number in range(seconds * 16_000 // 1_024):
        noise = (rng.random((1, 1_024), np.float32) - 0.5) / 2
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, number * 1_024
        made += codec.encode(frame)
    form = AacFormat(2, 16_000, 1)
    return [AccessUnit("audio", "aac", form.adts(bytes(p)), n * 5_760, True, 0) for n, p in enumerate(made)]


async def play(codec: UnitCodec, units: Sequence[AccessUnit], seconds: float) -> tuple[float, list[float], float]:
    """CPU ms by unit, delays in ms by unit that came out, ms to the first."""
    sent: dict[int, float] = {}
    delays: list[float] = []
    first = 0.0
    async with asyncio.TaskGroup() as group:
        pool = Pool(group, most=1)

        def made(unit: AccessUnit) -> None:
            nonlocal first
            now = time.perf_counter()
            first = first or now
            if unit.pts in sent:
                delays.append((now - sent.pop(unit.pts)) * 1_000)

        began = time.perf_counter()
        job = pool.open(codec, made, lambda: None)
        step = units[1].pts - units[0].pts
        for number in range(int(seconds * 90_000 / step)):
            rounds, place = divmod(number, len(units))
            unit = units[place]
            pts = unit.pts + rounds * len(units) * step
            sent[pts] = time.perf_counter()
            job.put(AccessUnit(unit.kind, unit.codec, unit.data, pts, unit.keyframe, 0))
            await asyncio.sleep(max(0.0, began + (number + 1) * step / 90_000 - time.perf_counter()))
        spent, count = pool.counters.cpu_us / 1_000, pool.counters.frames_in
        job.close()
    return spent / count, delays[FPS:], (first - began) * 1_000


async def measure(*, quick: bool) -> dict[str, float]:
    """The costs and the delays."""
    seconds = 4 if quick else 20
    small, delays, first = await play("h265", film(1_280, 720, 2_000_000), seconds)
    large, _, _ = await play("h265", film(1_920, 1_080, 4_000_000), seconds)
    heard, _, _ = await play("aac", sound(), seconds)
    return {
        "transcode_cpu_ms_per_frame": small,
        "transcode_cpu_ms_per_frame_1080p": large,
        "transcode_delay_ms_p50": percentile(delays, 0.5),
        "transcode_delay_ms_p95": percentile(delays, 0.95),
        "transcode_first_picture_ms": first,
        "transcode_sound_cpu_ms_per_s": heard * 16_000 / 1_024,
    }


if __name__ == "__main__":
    chosen = arguments("Cost of transcoding.")
    show("transcode", asyncio.run(measure(quick=chosen.quick)), {}, as_json=chosen.json)
