"""States of a drill run. The rubric is frozen when the run is planned, and nothing reopens an ended run."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hub.domain.errors import IllegalTransition


class RunState(StrEnum):
    PLANNED = "planned"
    RUNNING = "running"
    ENDED = "ended"


class RunMove(StrEnum):
    START = "start"
    INJECT = "inject"
    END = "end"
    SCORE = "score"


NEXT: Final[Mapping[tuple[RunState, RunMove], RunState]] = {
    (RunState.PLANNED, RunMove.START): RunState.RUNNING,
    (RunState.RUNNING, RunMove.INJECT): RunState.RUNNING,
    (RunState.RUNNING, RunMove.END): RunState.ENDED,
    (RunState.ENDED, RunMove.SCORE): RunState.ENDED,
}


def step(state: RunState, move: RunMove) -> RunState:
    """The state after a move. Raises IllegalTransition."""
    if (after := NEXT.get((state, move))) is None:
        raise IllegalTransition("drill", state.value, move.value)
    return after
