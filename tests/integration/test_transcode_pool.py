"""Transcoding processes that crash, hang or stand still; what waits for them is bounded and counted."""

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.domain.clock import system_clock
from hub.domain.errors import Unavailable
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.transcode import conversion, pool
from hub.media.transcode.conversion import Conversion
from hub.media.transcode.pool import CHILD, MAX_BEHIND, Pool
from tests.integration.camera_kit import PATIENCE
from tests.unit.media.test_rendition import h265
from tests.unit.transcode.test_jobs import tone

DEAF = (sys.executable, "-c", "import time; time.sleep(60)")
DYING = (sys.executable, "-c", "import os, sys; sys.stdin.buffer.read(10); os._exit(3)")
MISSING = ("/nowhere/at-all",)


@contextlib.asynccontextmanager
async def pooled(argv: tuple[str, ...] = CHILD, most: int = 2) -> AsyncIterator[Pool]:
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        made = Pool(group, most=most, argv=argv)
        yield made


def nothing(unit: AccessUnit) -> None:
    raise AssertionError(unit)


@pytest.mark.parametrize("argv", [DYING, MISSING])
async def test_a_process_that_dies_fails_its_job_and_frees_its_place(argv: tuple[str, ...]) -> None:
    failed = asyncio.Event()
    async with pooled(argv, most=1) as one:
        job = one.open("h265", nothing, failed.set)
        job.begin(h265())
        await failed.wait()
        assert (one.counters.active, one.counters.failed, one.counters.started) == (0, 1, 1)
        job.put(h265()[0])  # after its end: nothing
        one.need_room()


async def test_what_waits_is_bounded_and_begins_again_with_a_key_frame() -> None:
    async with pooled(DEAF) as one:
        job = one.open("h265", nothing, lambda: None)
        key, *rest = h265(10)
        for unit in (key, *(rest * 20)):
            job.put(unit)
        assert one.counters.frames_in == MAX_BEHIND
        assert one.counters.dropped == 1 + 9 * 20 - MAX_BEHIND
        job.close()
        job.close()
        assert one.counters.active == 0


async def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "HANG_S", 0.0)
    failed = asyncio.Event()
    async with pooled(DEAF) as one:
        job = one.open("h265", nothing, failed.set)
        for unit in h265():
            job.put(unit)
            await asyncio.sleep(0)
        await failed.wait()


@pytest.mark.parametrize("seen_off", [True, False], ids=["as it is seen off", "as it works"])
async def test_a_relay_that_ends_leaves_no_process_behind(tmp_path: Path, seen_off: bool) -> None:
    said = tmp_path / "pid"
    deaf = (sys.executable, "-c", f"import os, time; open({str(said)!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    async def relay() -> None:
        async with pooled(deaf) as one:
            job = one.open("h265", nothing, lambda: None)
            job.begin(h265() * 50)  # more than a pipe holds: something is always left to be written
            while not (said.exists() and said.read_text()):  # noqa: ASYNC110  another process gives no event
                await asyncio.sleep(0.01)
            if seen_off:
                job.close()
                await asyncio.sleep(0.05)
            raise Unavailable("relay.stopping", "as a signal would")

    with pytest.raises(ExceptionGroup):
        await relay()
    with pytest.raises(ProcessLookupError):
        os.kill(int(said.read_text()), 0)
    gc.collect()  # what was not closed speaks up now
    await asyncio.sleep(0)


async def test_places_are_counted_and_given_back() -> None:
    async with pooled(most=1) as one:
        job = one.open("h264", nothing, lambda: None)
        with pytest.raises(Unavailable):
            one.open("h265", nothing, lambda: None)
        one.open("aac", nothing, lambda: None).close()  # sound takes no picture's place
        job.close()
        one.open("h265", nothing, lambda: None).close()
        assert (one.counters.refused, one.counters.active, one.counters.sounds) == (1, 0, 0)


async def test_sounds_share_a_process_and_keep_the_cameras_time() -> None:
    made: list[list[AccessUnit]] = [[], []]
    enough = asyncio.Event()

    def take(number: int, unit: AccessUnit) -> None:
        made[number].append(unit)
        if min(map(len, made)) >= 40:
            enough.set()

    async with pooled() as one:
        jobs = [one.open("aac", lambda unit, n=n: take(n, unit), lambda: None) for n in (0, 1)]  # type: ignore[misc]
        for pts, data in tone(16_000, 1.5):
            for job in jobs:
                job.put(AccessUnit("audio", "aac", data, pts, True, 10_000 + pts // 90, 5_000 + pts / 90))
            await asyncio.sleep(0.001)
        await enough.wait()
        assert one.counters.sounds == 2
        for job in jobs:
            job.close()
    for units in made:
        assert {unit.codec for unit in units} == {"opus"}
        for unit in units:
            assert unit.captured_ms == pytest.approx(5_000 + unit.pts / 48, abs=1)
            assert unit.at_ms == pytest.approx(10_000 + unit.pts / 48, abs=2)


async def test_a_conversion_that_breaks_is_begun_again_and_viewers_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(conversion, "AGAIN_S", 0.05)
    mark = tmp_path / "once"
    first_dies = (
        sys.executable, "-c",
        f"import os, pathlib, runpy; mark = pathlib.Path({str(mark)!r})\n"
        "if not mark.exists(): mark.touch(); os._exit(3)\n"
        "runpy.run_module('hub.media.transcode.child', run_name='__main__')",
    )  # fmt: skip
    changes: list[bool] = []
    async with pooled(first_dies) as one:
        stream = Stream("cam-1", clock=system_clock, expects=("h264",))
        converting = Conversion(stream, one, linger_s=0.0, on_change=lambda: changes.append(converting.active))
        seen = asyncio.Event()
        stream.listen("video", lambda packets: seen.set())
        stream.hold("ses-1")
        loop, n = h265(), 0
        while not seen.is_set():
            unit = loop[n % len(loop)]
            stream.publish(AccessUnit("video", "h265", unit.data, n * 3_600, unit.keyframe, system_clock()))
            n += 1
            await asyncio.sleep(0.01)
        assert (one.counters.failed, one.counters.active) == (1, 1)
        assert changes == [True, False, True]
        stream.release("ses-1")
        await asyncio.sleep(0.01)
        assert one.counters.active == 0
        stream.end()
