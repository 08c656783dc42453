"""The Transport header (RFC 2326 §12.39)."""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

Pair: TypeAlias = tuple[int, int]
_PAIR: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_SSRC: Final = re.compile(r"[0-9A-Fa-f]{1,8}")


@dataclass(frozen=True)
class Transport:
    """One transport, offered or chosen. ``channels`` is None unless it is interleaved in the connection."""

    tcp: bool
    unicast: bool
    channels: Pair | None
    client_port: Pair | None = None
    server_port: Pair | None = None
    ssrc: int | None = None


def parse_transports(value: str) -> list[Transport]:
    """All transports in the writer's order of preference; those that make no sense are left out."""
    return [found for part in value[:2_048].split(",")[:8] if (found := _parse_one(part)) is not None]


def _parse_one(text: str) -> Transport | None:
    profile, *params = (part.strip() for part in text.split(";"))
    pieces = profile.upper().split("/")
    if pieces[:2] != ["RTP", "AVP"]:
        return None
    pairs: dict[str, Pair] = {}
    ssrc = None
    for param in params:
        name, _, value = param.partition("=")
        name = name.strip().lower()
        if name in ("interleaved", "client_port", "server_port"):
            pair = _pair(value.strip(), 255 if name == "interleaved" else 65_535)
            if pair is None:
                return None
            pairs[name] = pair
        elif name == "ssrc" and _SSRC.fullmatch(value.strip()):
            ssrc = int(value, 16)
    return Transport(
        tcp=pieces[2:] == ["TCP"],
        unicast="multicast" not in (param.lower() for param in params),
        channels=pairs.get("interleaved"),
        client_port=pairs.get("client_port"),
        server_port=pairs.get("server_port"),
        ssrc=ssrc,
    )


def _pair(text: str, most: int) -> Pair | None:
    """Both numbers; the second is one more than the first where it is not said."""
    found = _PAIR.fullmatch(text)
    if found is None:
        return None
    first = int(found[1])
    second = int(found[2]) if found[2] else first + 1
    return None if first > most or second > most or first == second else (first, second)
