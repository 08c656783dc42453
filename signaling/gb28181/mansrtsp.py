"""MANSRTSP: bodies of INFO that steer a playback (GB/T 28181-2016 annex B), both directions."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from signaling.gb28181.errors import GbError

CONTENT_TYPE: Final = "Application/MANSRTSP"
MAX_SEEK_S: Final = 31 * 86_400.0
_START: Final = re.compile(r"(PLAY|PAUSE|TEARDOWN)(?:\s+\S+)?\s+(?:MANS)?RTSP/1\.0", re.IGNORECASE)
_STATUS: Final = re.compile(r"(?:MANS)?RTSP/1\.0\s+(\d{3})", re.IGNORECASE)
_RANGE: Final = re.compile(r"npt\s*=\s*(now|\d{1,8}(?:\.\d{1,6})?)\s*-", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Steer:
    """``seek_s`` counts from the recording's start; None: from where it is. ``scale`` None: as before."""

    action: Literal["play", "pause", "teardown"]
    cseq: int
    seek_s: float | None = None
    scale: float | None = None


def write(steer: Steer) -> bytes:
    """The body. A pause says PauseTime now; a play without a range goes on."""
    lines = [f"{steer.action.upper()} MANSRTSP/1.0", f"CSeq: {steer.cseq}"]
    if steer.action == "pause":
        lines.append("PauseTime: now")
    elif steer.action == "play":
        if steer.scale is not None:
            lines.append(f"Scale: {_decimal(steer.scale)}")
        if steer.seek_s is not None:
            lines.append(f"Range: npt={_seconds(steer.seek_s)}-")
        elif steer.scale is None:
            lines.append("Range: npt=now-")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def parse(body: bytes) -> Steer:
    """What is asked. Raises GbError ``gb28181.mansrtsp``. A senseless range or scale is as if absent."""
    if len(body) > 4_096:
        raise GbError("gb28181.mansrtsp", "the body is too long")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").strip().split("\n")
    if (start := _START.match(lines[0].strip())) is None:
        raise GbError("gb28181.mansrtsp", "the body starts with no PLAY, PAUSE or TEARDOWN")
    headers = _headers(lines[1:])
    action: Literal["play", "pause", "teardown"] = "play"
    if start.group(1).upper() != "PLAY":
        action = "pause" if start.group(1).upper() == "PAUSE" else "teardown"
    seek, scale = None, None
    if action == "play":
        found = _RANGE.match(headers.get("range", ""))
        if found is not None and found.group(1).lower() != "now":
            seek = min(float(found.group(1)), MAX_SEEK_S)
        if (text := headers.get("scale", "")) and re.fullmatch(r"\d{1,3}(?:\.\d{1,6})?", text):
            scale = float(text) or None
    return Steer(action, _number(headers.get("cseq", "")), seek, scale)


def write_answer(cseq: int, status: int = 200) -> bytes:
    """The body of the answer (annex B.3)."""
    return f"MANSRTSP/1.0 {status} {'OK' if status == 200 else 'Error'}\r\nCSeq: {cseq}\r\n\r\n".encode()


def parse_answer(body: bytes) -> int | None:
    """The status in an answer's body; None: it has none, which is as good as the SIP status."""
    found = _STATUS.match(body[:64].decode("utf-8", "replace").strip())
    return int(found.group(1)) if found else None


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in lines[:32] if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0


def _seconds(value: float) -> str:
    return f"{min(max(value, 0.0), MAX_SEEK_S):.3f}".rstrip("0").rstrip(".")


def _decimal(value: float) -> str:
    text = f"{value:.3f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
