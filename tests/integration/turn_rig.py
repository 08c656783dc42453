"""Debian's coturn on the loopback, with the shared secret that the hub signs credentials by."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

SECRET: Final = "a secret of the test"
TURNSERVER: Final = shutil.which("turnserver")
WHY: Final = "needs Debian's coturn (apt-get install coturn)"


@contextlib.asynccontextmanager
async def coturn(folder: Path, *, ports: tuple[int, int] = (52_000, 52_200)) -> AsyncIterator[int]:
    """Its port, by UDP and TCP. It relays to the loopback alone."""
    assert TURNSERVER is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        TURNSERVER, "-n", "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=sharpeyes",
        "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--allow-loopback-peers",
        "--no-cli", "--no-tls", "--no-dtls", f"--min-port={ports[0]}", f"--max-port={ports[1]}", "--log-file=stdout",
        f"--pidfile={folder / 'turn.pid'}", f"--userdb={folder / 'turn.db'}", cwd=folder,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while not await _listens(port):
                if process.returncode is not None:
                    raise RuntimeError(f"turnserver ended with {process.returncode}")
                await asyncio.sleep(0.05)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
