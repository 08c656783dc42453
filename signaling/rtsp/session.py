"""The states of one RTSP session, the server's and the client's (RFC 2326 appendix A), one table each."""

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


class Phase(StrEnum):
    """Where a client stands."""

    START = "start"
    ASKING = "asking"  # OPTIONS is out
    DESCRIBING = "describing"
    DESCRIBED = "described"  # whoever drives the client chooses tracks now
    SETTING_UP = "setting_up"
    STARTING = "starting"  # PLAY is out
    PLAYING = "playing"
    LEAVING = "leaving"  # TEARDOWN is out
    ENDED = "ended"


class Move(StrEnum):
    """What can happen to a client."""

    BEGUN = "begun"
    ANSWERED = "answered"  # and there is nothing more to do in this phase
    CHOSEN = "chosen"
    TRANSPORT_REFUSED = "transport_refused"  # 461: choose again, another way
    LEFT = "left"
    FAILED = "failed"


PHASES: Final[Mapping[tuple[Phase, Move], Phase]] = {
    (Phase.START, Move.BEGUN): Phase.ASKING,
    (Phase.ASKING, Move.ANSWERED): Phase.DESCRIBING,
    (Phase.DESCRIBING, Move.ANSWERED): Phase.DESCRIBED,
    (Phase.DESCRIBED, Move.CHOSEN): Phase.SETTING_UP,
    (Phase.SETTING_UP, Move.ANSWERED): Phase.STARTING,
    (Phase.SETTING_UP, Move.TRANSPORT_REFUSED): Phase.DESCRIBED,
    (Phase.STARTING, Move.ANSWERED): Phase.PLAYING,
    (Phase.SETTING_UP, Move.LEFT): Phase.LEAVING,
    (Phase.STARTING, Move.LEFT): Phase.LEAVING,
    (Phase.PLAYING, Move.LEFT): Phase.LEAVING,
    (Phase.START, Move.LEFT): Phase.ENDED,
    (Phase.ASKING, Move.LEFT): Phase.ENDED,
    (Phase.DESCRIBING, Move.LEFT): Phase.ENDED,
    (Phase.DESCRIBED, Move.LEFT): Phase.ENDED,
    (Phase.LEAVING, Move.ANSWERED): Phase.ENDED,
    **{(phase, Move.FAILED): Phase.ENDED for phase in Phase},
}


class IllegalMove(ValueError):
    """The client was told to do something that its phase does not allow."""


def move(phase: Phase, what: Move) -> Phase:
    """The phase after a move. Raises IllegalMove."""
    if (after := PHASES.get((phase, what))) is None:
        raise IllegalMove(f"{what.value} is not possible while {phase.value}")
    return after
