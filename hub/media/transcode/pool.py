"""Transcoding processes of one relay: how many there may be, what they are sent and what comes back, all counted.

Processes and not threads: a decoder that crashes or hangs on what a camera sends takes no relay along, and forwarding
can come first (nice). Latency decides nothing, since PyAV gives the interpreter free while it codes: a loop that wakes
each millisecond beside jobs of 1080p25 H.265 to 720p25 is late by (p99, 2 cores) 0.4 ms without a job, 1.1 with one in
a thread and 1.2 in a process, 2.3 with three in threads and 2.8 in processes. Pictures have a process each, sounds
share one.
"""

import asyncio
import contextlib
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import structlog

from hub.domain.errors import Unavailable
from hub.media.rtp.unit import AccessUnit
from hub.media.transcode.wire import KEYFRAME, SKIP, Decoder, Message, Plan, Received, message

log: Final = structlog.get_logger(__name__)

CHILD: Final = (sys.executable, "-m", "hub.media.transcode.child")
MAX_BEHIND: Final = 50  # units that wait in a process: 2 s; what comes then is dropped up to the next key frame
MAX_SOUND_BEHIND: Final = 100
MAX_BYTES_BEHIND: Final = 32 * 2**20
MAX_SOUNDS: Final = 64
MAX_TIMES: Final = 512
KEY_EVERY_S: Final = 0.5
HANG_S: Final = 10.0  # a process that works nothing off for so long is given up
KILL_S: Final = 2.0
READ: Final = 1 << 17


@dataclass(slots=True)
class Counters:
    """Totals since the start; ``active`` and ``sounds`` as of now."""

    active: int = 0
    sounds: int = 0
    started: int = 0
    refused: int = 0
    failed: int = 0
    frames_in: int = 0
    frames_out: int = 0
    dropped: int = 0
    keyframes: int = 0  # asked of encoders
    cpu_us: int = 0


class Job:
    """One track that is transcoded, until ``close``. ``failed`` is told once when it ends by itself."""

    def __init__(
        self, id: int, plan: Plan, process: "_Process", counters: Counters, made: Callable[[AccessUnit], None],
        failed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.id = id
        self.closed = False
        self._sound = plan.codec == "aac"
        self._process = process
        self._counters = counters
        self._made = made
        self.failed = failed
        self._behind: deque[int] = deque()  # sizes of what waits in the process
        self._bytes = 0
        self._room = MAX_SOUND_BEHIND if self._sound else MAX_BEHIND
        self._moved_at = 0.0
        self._wants_key = False  # of the source: something was dropped
        self._asked_at = -KEY_EVERY_S
        self._times: OrderedDict[int, tuple[int, float | None]] = OrderedDict()  # pts to at_ms, captured_ms
        self._newest: tuple[int, float | None] = (0, None)
        process.send(message(Message.OPEN, id, plan.to_bytes()))

    def begin(self, backlog: Sequence[AccessUnit]) -> None:
        """The units since the last key frame: decoded, so that what comes now can be shown at once."""
        self._room += len(backlog)
        for number, unit in enumerate(backlog, 1):
            self.put(unit, skip=number < len(backlog))

    def put(self, unit: AccessUnit, *, skip: bool = False) -> None:
        """Take a unit, or drop it; never waits."""
        if self.closed:
            return
        now = asyncio.get_running_loop().time()
        if not self._behind:
            self._moved_at = now
        elif now - self._moved_at > HANG_S:
            log.warning("transcode.hangs")
            self.fail()
            return
        full = len(self._behind) >= self._room or self._bytes + len(unit.data) > MAX_BYTES_BEHIND
        if full or (self._wants_key and not unit.keyframe):
            self._wants_key = not self._sound
            self._counters.dropped += 1
            return
        self._wants_key = False
        self._behind.append(len(unit.data))
        self._bytes += len(unit.data)
        self._counters.frames_in += 1
        self._newest = self._times[unit.pts] = (unit.at_ms, unit.captured_ms)
        if len(self._times) > MAX_TIMES:
            self._times.popitem(last=False)
        self._process.send(message(Message.UNIT, self.id, unit.data, flags=SKIP * skip, pts=unit.pts))

    def want_key(self, now: float) -> None:
        """A viewer needs a key frame; wishes of half a second are one."""
        if not self.closed and now - self._asked_at >= KEY_EVERY_S:
            self._asked_at = now
            self._counters.keyframes += 1
            self._process.send(message(Message.KEY, self.id))

    def close(self) -> None:
        """End it. May be called twice."""
        if not self.closed:
            self.closed = True
            if self._sound:
                self._counters.sounds -= 1
            else:
                self._counters.active -= 1
            self._process.leave(self)

    def receive(self, got: Received) -> None:
        """What the process says of this job."""
        match got.kind:
            case Message.DONE:
                self._moved_at = asyncio.get_running_loop().time()
                if self._behind:
                    self._bytes -= self._behind.popleft()
                if not self._sound:  # the backlog of the beginning is worked off
                    self._room = max(MAX_BEHIND, min(self._room, len(self._behind)))
                self._counters.cpu_us += got.pts
            case Message.UNIT:
                self._counters.frames_out += 1
                self._made(self._unit(got))
            case Message.FAILED:
                log.warning("transcode.failed", reason=got.body.decode(errors="replace"))
                self.fail()

    def fail(self) -> None:
        """It ended by itself."""
        if not self.closed:
            self._counters.failed += 1
            self.close()
            self.failed()

    def _unit(self, got: Received) -> AccessUnit:
        """With the times of what it was made of, so that sound and picture stay in step."""
        if not self._sound:
            at_ms, captured = self._times.pop(got.pts, self._newest)
            return AccessUnit("video", "h264", got.body, got.pts, bool(got.flags & KEYFRAME), at_ms, captured)
        pts = got.pts * 90_000 // 48_000
        origin = next((each for each in reversed(self._times) if each <= pts), next(iter(self._times), pts))
        at_ms, captured = self._times.get(origin, self._newest)
        later = (pts - origin) / 90
        return AccessUnit(
            "audio", "opus", got.body, got.pts, True, at_ms + int(later), None if captured is None else captured + later
        )


class _Process:
    """One child, and the jobs that it does. Ends when it has none left."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.jobs: dict[int, Job] = {}
        self.over = False
        self._argv = argv
        self._unsent: list[bytes] = []
        self._process: asyncio.subprocess.Process | None = None
        self._idle = asyncio.Event()

    def send(self, data: bytes) -> None:
        """Queue a message; what waits is bounded by the jobs."""
        process = self._process
        if process is None:
            if not self.over:
                self._unsent.append(data)
        elif process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(data)

    def leave(self, job: Job) -> None:
        """A job is closed."""
        self.jobs.pop(job.id, None)
        self.send(message(Message.CLOSE, job.id))
        if not self.jobs:
            self.over = True
            self._idle.set()

    async def run(self) -> None:
        """Start it, read what it says, and see it off."""
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            log.error("transcode.no_process", reason=error.strerror)
            self._fail()
            return
        reading = asyncio.create_task(self._read(process), name="transcode/read")
        idle = asyncio.create_task(self._idle.wait(), name="transcode/idle")
        try:
            for data in self._unsent:
                self.send(data)
            self._unsent.clear()
            await asyncio.wait((reading, idle), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, idle):
                task.cancel()
            await asyncio.gather(reading, idle, return_exceptions=True)
            self._fail()
            await _end(process)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        decoder = Decoder()
        assert process.stdout is not None
        while data := await process.stdout.read(READ):
            for got in decoder.feed(data):
                if (job := self.jobs.get(got.job)) is not None:
                    job.receive(got)

    def _fail(self) -> None:
        self.over = True
        for job in list(self.jobs.values()):
            job.fail()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its pipe; kill it when that does not help, or when there is no time. Nothing of it is left afterwards."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    stdin.close()
    try:
        async with asyncio.timeout(KILL_S):
            await _over(process, stdout)
    except (TimeoutError, asyncio.CancelledError) as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await _over(process, stdout)
        if isinstance(error, asyncio.CancelledError):
            raise
    finally:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await stdin.wait_closed()


async def _over(process: asyncio.subprocess.Process, stdout: asyncio.StreamReader) -> None:
    """Its last words, and its end: a process that cannot get rid of them does not end, and a pipe is not closed."""
    while await stdout.read(READ):
        pass
    await process.wait()


class Pool:
    """One per relay; its processes are tasks of ``group``. ``most`` pictures at once."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        *,
        most: int,
        width: int = 1_280,
        height: int = 720,
        rate: int = 25,
        argv: Sequence[str] = CHILD,
    ) -> None:
        self.counters = Counters()
        self._group = group
        self._most = most
        self._plan = Plan("h264", width, height, rate)
        self._argv = argv
        self._number = 0
        self._sounds: _Process | None = None

    def figures(self) -> dict[str, int]:
        """The counters by name."""
        return asdict(self.counters)

    def need_room(self) -> None:
        """Raises Unavailable ``transcode.full``, and counts it."""
        if self.counters.active >= self._most:
            self.counters.refused += 1
            raise Unavailable("transcode.full", f"this relay transcodes {self._most} pictures at once")

    def open(self, codec: str, made: Callable[[AccessUnit], None], failed: Callable[[], None]) -> Job:
        """Begin a job: h264 and h265 become H.264, aac becomes Opus. Raises Unavailable ``transcode.full``."""
        if codec == "aac":
            return self._open_sound(made, failed)
        self.need_room()
        plan = replace(self._plan, codec="h265" if codec == "h265" else "h264")
        process = self._start()
        self.counters.active += 1
        return self._job(process, plan, made, failed)

    def _open_sound(self, made: Callable[[AccessUnit], None], failed: Callable[[], None]) -> Job:
        if self.counters.sounds >= MAX_SOUNDS:
            self.counters.refused += 1
            raise Unavailable("transcode.full", f"this relay transcodes {MAX_SOUNDS} sounds at once")
        if self._sounds is None or self._sounds.over:
            self._sounds = self._start()
        self.counters.sounds += 1
        return self._job(self._sounds, Plan("aac"), made, failed)

    def _job(
        self, process: _Process, plan: Plan, made: Callable[[AccessUnit], None], failed: Callable[[], None]
    ) -> Job:
        self._number += 1
        self.counters.started += 1
        job = process.jobs[self._number] = Job(self._number, plan, process, self.counters, made, failed)
        return job

    def _start(self) -> _Process:
        process = _Process(self._argv)
        self._group.create_task(process.run(), name="transcode/process")
        return process
