"""The Transport header (RFC 2326 §12.39)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Transport:
    """One transport that a client offers. ``channels`` is None unless it is interleaved in the connection."""

    tcp: bool
    unicast: bool
    channels: tuple[int, int] | None


def parse_transports(value: str) -> list[Transport]:
    """All offered transports in the client's order of preference; those that make no sense are left out."""
    return [found for part in value[:2_048].split(",")[:8] if (found := _parse_one(part)) is not None]


def _parse_one(text: str) -> Transport | None:
    profile, *params = (part.strip() for part in text.split(";"))
    pieces = profile.upper().split("/")
    if pieces[:2] != ["RTP", "AVP"]:
        return None
    channels = None
    for param in params:
        name, _, value = param.partition("=")
        if name.lower() == "interleaved":
            low, _, high = value.partition("-")
            if not (low.isascii() and low.isdigit() and len(low) <= 3):
                return None
            first = int(low)
            second = int(high) if high.isascii() and high.isdigit() and len(high) <= 3 else first + 1
            if first > 255 or second > 255 or first == second:
                return None
            channels = (first, second)
    return Transport(tcp=pieces[2:] == ["TCP"], unicast="multicast" not in params, channels=channels)
