"""The server's states of one RTSP session (RFC 2326 appendix A.2), as one table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Names of the standard."""

    INIT = "init"
    READY = "ready"
    PLAYING = "playing"


NEXT: Final[Mapping[tuple[State, str], State]] = {
    (State.INIT, "SETUP"): State.READY,
    (State.INIT, "TEARDOWN"): State.INIT,
    (State.READY, "SETUP"): State.READY,
    (State.READY, "PLAY"): State.PLAYING,
    (State.READY, "PAUSE"): State.READY,
    (State.READY, "TEARDOWN"): State.INIT,
    (State.PLAYING, "PLAY"): State.PLAYING,
    (State.PLAYING, "PAUSE"): State.READY,
    (State.PLAYING, "TEARDOWN"): State.INIT,
}


def step(state: State, method: str) -> State | None:
    """The state after a method, or None where it is not valid now (the answer is 455)."""
    return NEXT.get((state, method))
