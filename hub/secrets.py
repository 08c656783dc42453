"""Files that only the hub's own user may read: the data folder and what is secret in it."""

import os
import secrets
from pathlib import Path

from hub.domain.errors import Unavailable
from hub.settings import Settings


def prepare_data_folder(settings: Settings) -> None:
    """Make the data folder (mode 700). Raises Unavailable in one plain line when it can't be written."""
    folder = settings.data
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Unavailable("data.not_writable", f"The data folder {folder} can't be written: {why}") from None


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
    return path.read_text().strip()
