"""Files that only the hub's own user may read: the data folder and what is secret in it."""

import os
import secrets
import stat
from pathlib import Path

from hub.domain.errors import Unavailable
from hub.settings import Settings


def prepare_data_folder(settings: Settings) -> None:
    """Make the data folder and what every role needs in it, for this user alone; from now on no file that this
    process makes is anybody else's to read. Raises Unavailable in one plain line when it can't be written.
    """
    os.umask(0o077)
    for folder in (settings.data, settings.data / "logs", settings.data / "secrets"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _close_to_others(folder)
            probe = folder / f".write-test-{os.getpid()}"
            probe.touch(mode=0o600)
            probe.unlink()
        except OSError as error:
            why = "a file has this name" if isinstance(error, FileExistsError) else error.strerror or str(error)
            raise Unavailable("data.not_writable", f"The data folder {folder} can't be written: {why}") from None


def _close_to_others(folder: Path) -> None:
    """A folder of ours that others may look into (made by hand, or by an older version) is closed to them."""
    facts = folder.stat()
    if facts.st_uid == os.getuid() and stat.S_IMODE(facts.st_mode) & 0o077:
        folder.chmod(0o700)


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 600 so that a reader sees the old or the new one, never half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def internal_token(settings: Settings) -> str:
    """The per-installation token of the internal HTTP; made at the first call (256 bits)."""
    path = settings.data / "secrets" / "internal-token"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32).encode())
    if not (token := path.read_text().strip()):
        raise Unavailable("data.no_token", f"{path} is empty: take it away, and a new one is made")
    return token
