"""What the client of a session tells whoever drives it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from signaling.rtsp.describe import Offered, Presentation
from signaling.rtsp.message import Interleaved
from signaling.rtsp.transport import Transport


class Why(StrEnum):
    """Why a session ended."""

    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    REFUSED = "refused"  # any other status
    TRANSPORT = "transport"  # neither TCP nor UDP
    NO_ANSWER = "no_answer"
    NOT_RTSP = "not_rtsp"
    NOT_DESCRIBED = "not_described"
    SESSION_LOST = "session_lost"
    CLOSED = "closed"  # by the server


@dataclass(frozen=True, slots=True)
class Described:
    """The tracks; answer with ``setup``."""

    presentation: Presentation


@dataclass(frozen=True, slots=True)
class TransportRefused:
    """The server does not do what ``setup`` asked for; call it again the other way, or give up."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """How one track comes: over interleaved channels, or from these UDP ports."""

    track: Offered
    transport: Transport


@dataclass(frozen=True, slots=True)
class Playing:
    """Media flows from now on."""

    tracks: tuple[SetUp, ...]


@dataclass(frozen=True, slots=True)
class Redirected:
    """Go there instead; nothing was checked about it."""

    url: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The session is over."""

    why: Why
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """TEARDOWN is done."""


Event: TypeAlias = Described | TransportRefused | Playing | Redirected | Failed | Ended | Interleaved
