"""A real Redis as the product runs it, for tests: start, kill, start again on the same socket."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from redis.asyncio import Redis

from hub.bus import redis_server
from hub.bus.connection import BUS_ERRORS, connect
from hub.settings import Settings


class RedisRig:
    """One embedded server in a folder of its own."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(data=data)
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return self.settings.redis

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        redis_server.prepare(self.settings)
        self.process = await asyncio.create_subprocess_exec(
            *redis_server.command(self.settings), stdout=asyncio.subprocess.DEVNULL
        )
        client = connect(self.url, name="rig")
        try:
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(*BUS_ERRORS):
                        await client.ping()
                        return
                    await asyncio.sleep(0.02)
        finally:
            await client.aclose()

    async def kill(self) -> None:
        """End the server as a crash does."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def client(self, name: str = "test") -> Redis:
        return connect(self.url, name=name)


@contextlib.asynccontextmanager
async def running_redis() -> AsyncIterator[RedisRig]:
    """A running server; its folder is short, since a socket's path ends at 107 bytes."""
    data = Path(tempfile.mkdtemp(prefix="se-"))
    rig = RedisRig(data)
    await rig.start()
    try:
        yield rig
    finally:
        await rig.kill()
        shutil.rmtree(data, ignore_errors=True)
