"""The supervisor with real processes: restarts, one plain line for what a retry won't mend, no child left."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from hub.supervisor import EX_CONFIG, Child, ChildFailed, keep

TREE = """
import asyncio, sys
from hub.supervisor import Child, keep
asyncio.run(keep(Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"]),
                 on_start=lambda name, pid: print(pid, flush=True)))
"""


def child(code: str) -> Child:
    return Child("child", [sys.executable, "-c", code])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def gone(pid: int) -> None:
    async with asyncio.timeout(60):
        while alive(pid):  # noqa: ASYNC110  a process of another parent gives no event to wait for
            await asyncio.sleep(0.02)


async def test_a_child_that_dies_is_started_again() -> None:
    starts: asyncio.Queue[int] = asyncio.Queue()
    task = asyncio.create_task(keep(child("pass"), on_start=lambda _, pid: starts.put_nowait(pid)))
    async with asyncio.timeout(60):
        assert await starts.get() != await starts.get()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_child_that_cannot_run_at_all_is_not_tried_again() -> None:
    starts: list[int] = []
    with pytest.raises(ChildFailed):
        await keep(child(f"raise SystemExit({EX_CONFIG})"), on_start=lambda _, pid: starts.append(pid))
    assert len(starts) == 1


async def test_cancelling_ends_a_child_that_ignores_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.supervisor.GRACE_S", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(keep(child(code), on_start=lambda _, pid: started.set_result(pid)))
    pid = await started
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not alive(pid)


async def test_no_child_is_left_when_the_supervisor_is_killed() -> None:
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", TREE, stdout=asyncio.subprocess.PIPE)
    assert supervisor.stdout is not None
    pid = int(await supervisor.stdout.readline())
    while b"deathsig" in Path(f"/proc/{pid}/cmdline").read_bytes():  # noqa: ASYNC110, ASYNC240  until exec
        await asyncio.sleep(0.02)
    assert alive(pid)
    supervisor.send_signal(signal.SIGKILL)
    await supervisor.wait()
    await gone(pid)
