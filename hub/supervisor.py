"""Starts the roles as child processes, restarts those that die, and leaves none behind.

A child that can't start for a reason that trying again won't mend (a taken port, a folder that can't be
written) ends with EX_CONFIG after one plain line; the supervisor then ends everything.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

EX_CONFIG: Final = os.EX_CONFIG
GRACE_S: Final = 5.0
FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 15.0
STEADY_S: Final = 30.0

log = structlog.get_logger("supervisor")


class ChildFailed(Exception):
    """A child says that it cannot run at all; it has said why on the terminal."""


@dataclass(frozen=True)
class Child:
    """One process to keep alive."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def next_delay(previous: float, lived_s: float) -> float:
    """Seconds to wait before the next start: doubled up to 15, back to 0.5 after a steady life."""
    return FIRST_DELAY_S if lived_s >= STEADY_S else min(LAST_DELAY_S, max(FIRST_DELAY_S, previous * 2))


def wrapped(command: Sequence[str]) -> list[str]:
    """The command behind ``deathsig``: it ends with this process."""
    wrapper = Path(__file__).with_name("deathsig.py")
    return [sys.executable, "-I", "-S", str(wrapper), str(os.getpid()), *command]


async def keep(child: Child, on_start: Callable[[str, int], None] | None = None) -> None:
    """Run a child until cancelled; start it again when it ends. Raises ChildFailed on EX_CONFIG."""
    delay = 0.0
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        process = await asyncio.create_subprocess_exec(
            *wrapped(child.command),
            env={**os.environ, **child.environment},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the children in order
        )
        if on_start:
            on_start(child.name, process.pid)
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await end(process)
            raise
        if code == EX_CONFIG:
            raise ChildFailed(child.name)
        delay = next_delay(delay, loop.time() - started)
        log.warning("child ended, starting it again", child=child.name, code=code, delay_s=delay)
        await asyncio.sleep(delay)


async def end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL after the grace time."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
