"""The bench's side of ``relay_process``: starts it, asks it, lets viewers join."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.bench.load_client import LoadViewer

TOLD: Final = ("sessions", "dtls_failed", "dtls_dropped", "unknown_path", "stun_bad", "send_errors", "internal_errors")


class Relay:
    """The child process and its line protocol."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls, *arguments: str, module: str = "tests.bench.relay_process") -> AsyncIterator["Relay"]:
        """Start it, and end it with its standard input."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 22,
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    async def ask(self, do: str, **more: str) -> dict[str, Any]:
        """One command, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the relay process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def viewer(self, stream: str, *, full: bool = False, timed: bool = False) -> LoadViewer:
        """A viewer of one stream, connected; ``full``: with RTX, mid, times and transport-cc, as a browser asks.

        One that comes to nothing says why on standard error, with the relay's totals, and another takes its place,
        as a browser comes again. Raises RuntimeError when that one comes to nothing either.
        """

        async def post(sdp: str) -> str:
            return str((await self.ask("whep", stream=stream, sdp=sdp))["sdp"])

        for last in (False, True):
            viewer = LoadViewer(full=full, timed=timed)
            try:
                await viewer.join(post)
            except RuntimeError as error:
                await viewer.close()
                totals = await self.ask("figures")
                said = ", ".join(f"{name} {totals[name]}" for name in TOLD)
                print(f"a viewer did not join: {error}; relay: {said}", file=sys.stderr)
                if last:
                    raise
            else:
                break
        return viewer
