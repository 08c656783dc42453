"""Session timers (RFC 4028): what the two ends agree on, as values."""

from dataclasses import dataclass
from typing import Final

from signaling.sip.address import parse_params
from signaling.sip.message import Message, Request, Response, number_of

MINIMUM_S: Final = 90
MAXIMUM_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """``interval`` in seconds; ``ours``: we send the refreshes."""

    interval: int
    ours: bool

    @property
    def refresh_after(self) -> float:
        """Seconds until the refresh (§7.2: half the interval)."""
        return self.interval / 2

    @property
    def expire_after(self) -> float:
        """Seconds until the side that waits says BYE (§10)."""
        return self.interval - min(32.0, self.interval / 3)


class IntervalTooSmall(ValueError):
    """Answer 422 with Min-SE ``MINIMUM_S``."""


def _read(message: Message) -> tuple[int, str | None] | None:
    text = message.headers.get("Session-Expires")
    if text is None:
        return None
    seconds, semicolon, rest = text.partition(";")
    interval = number_of(seconds)
    if interval is None or interval > MAXIMUM_S:
        return None  # senseless: as if it were not there, since a call matters more than its timer
    return interval, dict(parse_params(semicolon + rest)).get("refresher")


def asked(request: Request) -> tuple[SessionTimer, str] | None:
    """What we agree to as the answering side, and the Session-Expires value that says so. Raises IntervalTooSmall."""
    found = _read(request)
    if found is None:
        return None
    interval, refresher = found
    if interval < MINIMUM_S:
        raise IntervalTooSmall
    theirs = "timer" in [each.lower() for each in request.headers.all("Supported")] and refresher != "uas"
    return SessionTimer(interval, not theirs), f"{interval};refresher={'uac' if theirs else 'uas'}"


def agreed(response: Response) -> SessionTimer | None:
    """What the other side's 2xx to our request says; None: no timer."""
    found = _read(response)
    if found is None or found[0] < MINIMUM_S:
        return None
    return SessionTimer(found[0], found[1] != "uas")
