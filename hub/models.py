"""Which weights the vision role uses, and how official ones are fetched.

In this order: ``SHARPEYES_WEIGHTS``; a file in DATA/models that the operator put there, the newest first; what
``sharpeyes models pull`` fetched; the demonstration model inside the package. Weights that were chosen and cannot be
used are an error: falling back in silence would change what the hub sees.

A ``.pt`` file is a pickle: loading one runs what its author wrote. Use only files whose source you trust.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal
from urllib.parse import urljoin, urlsplit

import httpx

import vision
from hub.domain.errors import Invalid, Unavailable
from hub.secrets import write_private
from hub.settings import Settings

PACKAGED: Final = Path(vision.__file__).parent / "models" / "demo-yolo.onnx"
RELEASE: Final = "https://github.com/ultralytics/assets/releases/download/v8.3.0/"
# SHA-256 as the publisher's own repository states them (huggingface.co/Ultralytics/YOLO11).
PINS: Final[Mapping[str, str]] = {
    "yolo11n": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
    "yolo11s": "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    "yolo11m": "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",
    "yolo11l": "9ebd0e09d59811db4b1d61e2bc6730649608b1ac47f8dd01e2da6bca7c20023f",
}
MAX_FILE: Final = 1024 * 1024 * 1024
MAX_SECONDS: Final = 1_800.0
MAX_REDIRECTS: Final = 5
NAME: Final = re.compile(r"yolo(v8|v9|v10|11|12|26)[a-z](-[a-z0-9]{1,12})?")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK: Final = 256 * 1024

Source = Literal["environment", "data", "official", "demonstration"]


@dataclass(frozen=True, slots=True)
class Weights:
    """What the vision role loads. ``path`` is a file, or a folder in OpenVINO's form."""

    path: Path
    source: Source
    demonstration: bool
    name: str
    sha256: str


def resolve(settings: Settings) -> Weights:
    """The weights in force. Raises Unavailable in one line: the chosen ones are missing, unreadable or changed."""
    if settings.weights is not None:
        return _weights(settings.weights, "environment")
    pulled = _pulled(settings)
    usable = [path for path in _candidates(settings.data / "models") if path.name not in pulled]
    if usable:
        return _weights(max(usable, key=lambda path: (path.stat().st_mtime, path.name)), "data")
    for name, sha256 in sorted(pulled.items(), reverse=True, key=lambda item: _modified(settings, item[0])):
        path = settings.data / "models" / name
        if not path.exists():
            continue
        found = _weights(path, "official")
        if found.sha256 != sha256:
            raise Unavailable(
                "weights.changed", f"The weights {path} are not the file that was fetched: fetch them again"
            )
        return found
    return _weights(PACKAGED, "demonstration")


def describe(settings: Settings) -> dict[str, object]:
    """What ``resolve`` chose, for people. Raises Unavailable."""
    found = resolve(settings)
    why = {
        "environment": "SHARPEYES_WEIGHTS",
        "data": f"newest file in {settings.data / 'models'}",
        "official": "fetched by `sharpeyes models pull`",
        "demonstration": "demonstration model of the package: it finds the demo's people and bus and nothing much else",
    }
    return {
        "name": found.name,
        "path": str(found.path),
        "source": found.source,
        "why": why[found.source],
        "demonstration": found.demonstration,
        "sha256": found.sha256,
    }


def _candidates(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = [path for path in folder.iterdir() if path.suffix in (".pt", ".onnx") and path.is_file()]
    return files + [path for path in folder.iterdir() if path.name.endswith("_openvino_model") and path.is_dir()]


def _modified(settings: Settings, name: str) -> float:
    path = settings.data / "models" / name
    return path.stat().st_mtime if path.exists() else 0.0


def _weights(path: Path, source: Source) -> Weights:
    demonstration = source == "demonstration" or path.name == PACKAGED.name
    try:
        return Weights(path.resolve(), source, demonstration, path.stem, _digest(path))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Unavailable("weights.unreadable", f"The weights {path} cannot be read: {why}") from None


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder's files in the order of their names. Raises OSError."""
    digest = hashlib.sha256()
    for part in sorted(path.iterdir()) if path.is_dir() else [path]:
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


# fetching -----------------------------------------------------------------------------------------


def _pulled(settings: Settings) -> dict[str, str]:
    """File name -> SHA-256 of what was fetched."""
    try:
        found = json.loads((settings.data / "models" / "pulled.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str) and SHA256.fullmatch(value)}


def pull(
    settings: Settings,
    name: str,
    *,
    sha256: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
    release: str = RELEASE,
) -> Path:
    """Fetch official weights into DATA/models and return the file. Nothing half-fetched ever has its name.

    The file must have the checksum built in for its name, or the one given. Raises Invalid (name, checksum unknown:
    the message then holds the computed one) and Unavailable (offline, refused, too large, too slow, wrong checksum).
    """
    if not NAME.fullmatch(name):
        raise Invalid("weights.name", f"{name[:40]!r} is no official model's name; yolo11n is one")
    if sha256 is not None and not SHA256.fullmatch(sha256 := sha256.lower()):
        raise Invalid("weights.checksum", "--sha256 needs 64 hexadecimal digits")
    expected = sha256 or PINS.get(name)
    folder = settings.data / "models"
    target = folder / f"{name}.pt"
    url = urljoin(release, target.name)
    part = folder / f".{name}.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        progress(f"Fetching {url}")
        try:
            found, size = _fetch(url, part, progress)
            _judge(name, expected, found, size)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        write_private(folder / "pulled.json", json.dumps({**_pulled(settings), target.name: found}).encode())
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Unavailable("weights.not_written", f"The weights cannot be written to {folder}: {why}") from None
    progress(f"SHA-256 {found} is as expected")
    return target


def _judge(name: str, expected: str | None, found: str, size: int) -> None:
    if expected is None:
        raise Invalid(
            "weights.checksum_needed",
            f"No checksum is known for {name}. The file fetched ({size} bytes) has SHA-256 {found}: compare it with a "
            "source you trust, then run the command again with --sha256 and that value",
        )
    if found != expected:
        raise Unavailable(
            "weights.checksum_wrong", f"The file fetched has SHA-256 {found}, expected is {expected}: it was not kept"
        )


def _fetch(url: str, part: Path, progress: Callable[[str], None]) -> tuple[str, int]:
    """Download to ``part``; SHA-256 and size."""
    deadline = time.monotonic() + MAX_SECONDS
    digest, size = hashlib.sha256(), 0
    try:
        with httpx.Client(timeout=httpx.Timeout(30, connect=10)) as client, _answer(client, url) as answer:
            whole = int(answer.headers.get("content-length") or 0)
            with _open(part) as file:
                shown = 0
                for chunk in answer.iter_bytes(_CHUNK):
                    size += len(chunk)
                    if size > MAX_FILE or whole > MAX_FILE:
                        raise Unavailable("weights.too_large", f"The file is over {MAX_FILE} bytes: it was not kept")
                    if time.monotonic() > deadline:
                        raise Unavailable("weights.too_slow", f"The download took over {MAX_SECONDS:.0f} s")
                    digest.update(chunk)
                    file.write(chunk)
                    if whole and size * 10 // whole > shown:
                        shown = size * 10 // whole
                        progress(f"{shown * 10} % of {whole} bytes")
    except httpx.HTTPError as error:
        raise Unavailable(
            "weights.offline",
            f"{urlsplit(url).hostname} cannot be reached ({type(error).__name__}). Without internet, copy a YOLO "
            f"file (.pt or .onnx) into {part.parent}, or name one by SHARPEYES_WEIGHTS; until then the demonstration "
            "model is used",
        ) from None
    return digest.hexdigest(), size


@contextmanager
def _open(part: Path) -> Iterator[IO[bytes]]:
    part.unlink(missing_ok=True)
    with part.open("xb") as file:
        yield file
        file.flush()


@contextmanager
def _answer(client: httpx.Client, url: str) -> Iterator[httpx.Response]:
    """The answer behind at most five redirects, none of which may leave https. Raises HTTPError, Unavailable."""
    scheme = urlsplit(url).scheme
    for _ in range(MAX_REDIRECTS + 1):
        with client.stream("GET", url) as answer:
            if not answer.is_redirect:
                if answer.status_code != httpx.codes.OK:
                    raise Unavailable(
                        "weights.refused",
                        f"{urlsplit(url).hostname} answered {answer.status_code}: no such model there",
                    )
                yield answer
                return
            url = urljoin(url, answer.headers["location"])
        if urlsplit(url).scheme not in {"https", scheme}:
            raise Unavailable("weights.refused", "The download was redirected to an address without https")
    raise Unavailable("weights.refused", f"The download was redirected more than {MAX_REDIRECTS} times")
