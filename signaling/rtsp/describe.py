"""The description that a camera answers, and the addresses of its tracks (RFC 2326 §C)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from signaling import sdp
from signaling.rtsp.quirks import Quirk

MAX_TRACKS: Final = 16
MAX_CONTROL: Final = 1_000


@dataclass(frozen=True, slots=True)
class Offered:
    """One track that could be set up; ``url`` is where."""

    index: int
    media: sdp.Media
    url: str


@dataclass(frozen=True, slots=True)
class Presentation:
    """All tracks, and the address that PLAY goes to."""

    tracks: tuple[Offered, ...]
    url: str


def authority(url: str) -> str:
    """Scheme, host and port, without user information."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def join(base: str, control: str, note: Callable[[Quirk], None]) -> str:
    """The address of a control attribute (RFC 2326 §C.1.1), always with ``base``'s own host.

    A relative one is appended as it stands, which is what cameras mean, also behind a query. Raises ValueError.
    """
    if len(control) > MAX_CONTROL or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in control):
        raise ValueError("a control address makes no sense")
    own = authority(base)
    if control in ("", "*"):
        return base
    if "://" in control[:8]:
        if authority(control).lower() != own.lower():
            note(Quirk.FOREIGN_AUTHORITY)
        parts = urlsplit(control)
        return own + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if control.startswith("/"):
        return own + control
    return base + ("" if base.endswith("/") else "/") + control


def presentation(body: bytes, base: str, note: Callable[[Quirk], None]) -> Presentation:
    """Read the SDP of a DESCRIBE. Raises sdp.SdpError or ValueError."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("gb18030", errors="replace")
    described = sdp.parse(_cleaned(text, note))
    tracks = tuple(
        Offered(index, media, join(base, media.value("control") or "", note))
        for index, media in enumerate(described.media[:MAX_TRACKS])
    )
    return Presentation(tracks, join(base, described.value("control") or "*", note))


def _cleaned(text: str, note: Callable[[Quirk], None]) -> str:
    rows = [row.strip(" \t\0") for row in text.replace("\r", "\n").split("\n")]
    kept = [row for row in rows if len(row) > 1 and row[1] == "=" and "\0" not in row]
    if not kept or kept[0] != "v=0":
        kept = ["v=0", *(row for row in kept if row[0] != "v")]
        note(Quirk.BAD_SDP_LINES)
    elif len(kept) != sum(1 for row in rows if row):
        note(Quirk.BAD_SDP_LINES)
    return "\n".join(kept)
