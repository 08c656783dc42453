"""A real PostgreSQL in a temporary folder, where its programs are installed; else the test skips and says so."""

import asyncio
import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest


def _programs() -> Path | None:
    """The folder with initdb and postgres: Debian keeps them off the path."""
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _somebody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then as its own user, or nobody."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


@contextlib.asynccontextmanager
async def running_postgres() -> AsyncIterator[str]:
    """SQLAlchemy URL of an empty database that listens on a socket in its folder only."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    somebody = _somebody()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if somebody:
        os.chown(folder, somebody["user"], somebody["group"])
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    quiet: dict[str, Any] = {"env": environment, "cwd": folder, "stdout": asyncio.subprocess.DEVNULL} | somebody
    data = str(folder / "data")
    try:
        init = await asyncio.create_subprocess_exec(
            programs / "initdb", "-D", data, "-U", "hub", "-A", "trust", "-E", "UTF8", "--no-sync", **quiet
        )
        assert await init.wait() == 0
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        server = await asyncio.create_subprocess_exec(
            programs / "postgres", "-D", data, *options, **(quiet | {"stderr": asyncio.subprocess.PIPE})
        )
        try:
            assert server.stderr is not None
            async with asyncio.timeout(30):
                while b"ready to accept connections" not in (line := await server.stderr.readline()):
                    assert line, "PostgreSQL ended"
            drain = asyncio.create_task(server.stderr.read())
            yield f"postgresql://hub@/postgres?host={folder}"
        finally:
            server.terminate()
            await server.wait()
            await drain
    finally:
        shutil.rmtree(folder, ignore_errors=True)
