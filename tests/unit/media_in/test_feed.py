"""What drives a camera's states, with a source that does as it is told."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

import pytest

from hub.bus.relay_wire import StreamConfig
from hub.domain.errors import Invalid
from hub.media.node import feed as module
from hub.media.node.feed import Feed
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.errors import SourceError
from hub.media.sources.units import Figures
from hub.media.stream import Stream
from tests.unit.media_in.test_h264 import encode

KEY = encode(320, 240, 1)[0]
UNIT = AccessUnit("video", "h264", KEY, 0, True, 1_000)


class Script:
    """A source: each connection takes the next step; a step is what to raise, or how many units to give first."""

    def __init__(self, *steps: Exception | int) -> None:
        self.steps = deque(steps)
        self.urls: list[str] = []
        self.open = 0
        self.figures = Figures()
        self._left = 0

    @contextlib.asynccontextmanager
    async def __call__(self, url: str) -> AsyncIterator["Script"]:
        self.urls.append(url)
        step = self.steps.popleft() if self.steps else 10**9
        if isinstance(step, Exception):
            raise step
        self._left = step
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    async def read(self) -> list[AccessUnit]:
        await asyncio.sleep(0)
        if self._left == 0:
            raise SourceError("source.lost", "the stream ended")
        if self._left > 1_000:  # for ever: one unit, then nothing more
            self._left = 1_000
        elif self._left == 1_000:
            await asyncio.Event().wait()
        self._left -= self._left != 1_000
        return [UNIT]


class Run:
    """A feed that runs on a script."""

    def __init__(self, script: Script, pause: float = 0.0, **options: object) -> None:
        self.script = script
        self.history: list[tuple[str, str | None]] = []
        self.pauses: list[int] = []
        self.changed = asyncio.Event()

        def retry(failures: int) -> float:
            self.pauses.append(failures)
            return pause

        self.feed = Feed(
            "cam-1",
            StreamConfig(url="rtsp://a/"),
            clock=lambda: 5_000,
            opener=script,
            on_change=self._note,
            retry=retry,
            linger_s=0.0,
            **options,  # type: ignore[arg-type]  # the tests' own keyword arguments
        )

    def _note(self) -> None:
        state = self.feed.state("n")
        if self.history[-1:] != [(state.state, state.reason)]:
            self.history.append((state.state, state.reason))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_state(self, state: str) -> None:
        await self.until(lambda: self.feed.state("n").state == state)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Run"]:
        task = asyncio.create_task(self.feed.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()


async def test_nothing_is_opened_before_somebody_wants_it() -> None:
    async with Run(Script()).running() as run:
        for _ in range(10):
            await asyncio.sleep(0)
        assert run.script.urls == []
        assert run.feed.state("n").state == "idle"


async def test_failures_in_a_row_are_counted_and_named_until_it_is_live() -> None:
    refused, lost = SourceError("source.unauthorized", "401"), SourceError("source.timeout")
    async with Run(Script(refused, refused, lost)).running() as run:
        with contextlib.closing(run.feed.stream.units("viewer")):
            await run.until_state("live")
        assert run.pauses == [1, 2, 3]
        assert run.history[1:] == [
            ("connecting", None),
            ("failed", "source.unauthorized"),
            ("connecting", "source.unauthorized"),
            ("failed", "source.unauthorized"),
            ("connecting", "source.unauthorized"),
            ("failed", "source.timeout"),
            ("connecting", "source.timeout"),
            ("live", None),
        ]


async def test_a_source_that_lived_a_while_begins_its_back_off_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = SourceError("source.lost")
    async with Run(Script(lost, lost, 3, 3, lost)).running() as run:
        monkeypatch.setattr(module, "STABLE_S", 0.0)
        with contextlib.closing(run.feed.stream.units("viewer")):
            await run.until(lambda: len(run.pauses) >= 5)
            await run.until_state("live")
        assert run.pauses == [1, 2, 1, 1, 2]


async def test_somebody_who_comes_and_waits_cuts_the_back_off_short() -> None:
    lost = SourceError("source.unreachable")
    async with Run(Script(lost, lost), pause=3_600.0, hurry_s=0.0).running() as run:
        with contextlib.closing(run.feed.stream.units("tap")):
            await run.until_state("failed")
            assert len(run.script.urls) == 1
            for tries in (2, 3):
                with contextlib.closing(run.feed.stream.units("viewer")):
                    await run.until(lambda tries=tries: len(run.script.urls) == tries)  # type: ignore[misc]
            await run.until_state("live")


async def test_somebody_who_leaves_hurries_nothing() -> None:
    async with Run(Script(SourceError("source.lost")), pause=3_600.0, hurry_s=0.0).running() as run:
        with contextlib.closing(run.feed.stream.units("tap")):
            with contextlib.closing(run.feed.stream.units("viewer")):
                await run.until_state("failed")
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(run.script.urls) == 1


async def test_a_wrong_password_is_not_tried_sooner_for_anybody() -> None:
    """Cameras lock an account after a few tries."""
    wrong = SourceError("source.unauthorized", "401")
    async with Run(Script(wrong), pause=3_600.0, hurry_s=0.0).running() as run:
        with contextlib.closing(run.feed.stream.units("tap")):
            await run.until_state("failed")
            with contextlib.closing(run.feed.stream.units("viewer")):
                for _ in range(20):
                    await asyncio.sleep(0)
                assert len(run.script.urls) == 1
                assert run.feed.state("n").state == "failed"


async def test_a_source_that_drops_at_once_is_not_stable() -> None:
    async with Run(Script(1, 1, 1)).running() as run:
        with contextlib.closing(run.feed.stream.units("viewer")):
            await run.until(lambda: len(run.script.urls) == 4)
            await run.until_state("live")
        assert run.pauses == [1, 2, 3]


async def test_a_fault_of_ours_is_a_failure_of_this_camera_only() -> None:
    async with Run(Script(RuntimeError("bug"), Invalid("camera.url_refused", "no"))).running() as run:
        with contextlib.closing(run.feed.stream.units("viewer")):
            await run.until_state("live")
        assert [reason for state, reason in run.history if state == "failed"] == ["source.lost", "source.refused"]


async def test_the_source_closes_when_the_last_subscriber_left() -> None:
    async with Run(Script()).running() as run:
        one, two = run.feed.stream.units("one"), run.feed.stream.units("two")
        await run.until_state("live")
        one.close()
        assert run.feed.state("n").state == "live"
        two.close()
        await run.until_state("idle")
        assert (run.script.open, run.script.urls) == (0, ["rtsp://a/"])


async def test_silence_is_frozen_and_a_late_viewer_gets_no_old_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Run(Script(), freeze_s=0.0).running() as run:
        with contextlib.closing(run.feed.stream.units("viewer")):
            await run.until_state("frozen")
            state = run.feed.state("n")
            assert (state.codec, state.width, state.height) == ("h264", 320, 240)
        await run.until_state("idle")
        assert run.feed.stream.last_keyframe is None
        assert run.feed.state("n").codec is None


async def test_a_tap_is_a_subscriber_and_a_crashed_one_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.media.taps.supervise.FIRST_S", 0.0)
    starts: list[int] = []

    async def tap(stream: Stream) -> None:
        starts.append(1)
        async with stream.units("tap") as reader:
            await anext(reader)
            if len(starts) < 3:
                raise RuntimeError("bad picture")
            async for _ in reader:
                pass

    async with Run(Script(), taps=lambda config: {"tap": tap} if config.pictures_every_ms else {}).running() as run:
        run.feed.reconfigure(StreamConfig(url="rtsp://a/", pictures_every_ms=1_000))
        with contextlib.closing(run.feed.stream.units("viewer")) as viewer:
            await run.until_state("live")
            await anext(viewer)
            for _ in range(100):
                run.feed.stream.publish(UNIT)
                await asyncio.sleep(0)
            assert len(starts) == 3
            assert run.feed.state("n").state == "live"
        assert run.feed.stream.subscribers == 1
        run.feed.reconfigure(StreamConfig(url="rtsp://a/"))
        await run.until_state("idle")
