"""States of an incident. A closed one is a file: nothing is added to it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hub.domain.errors import IllegalTransition


class IncidentState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class IncidentMove(StrEnum):
    NOTE = "note"
    ORDER = "order"
    CLOSE = "close"


NEXT: Final[Mapping[tuple[IncidentState, IncidentMove], IncidentState]] = {
    (IncidentState.OPEN, IncidentMove.NOTE): IncidentState.OPEN,
    (IncidentState.OPEN, IncidentMove.ORDER): IncidentState.OPEN,
    (IncidentState.OPEN, IncidentMove.CLOSE): IncidentState.CLOSED,
}


def step(state: IncidentState, move: IncidentMove) -> IncidentState:
    """The state after a move. Raises IllegalTransition."""
    if (after := NEXT.get((state, move))) is None:
        raise IllegalTransition("incident", state.value, move.value)
    return after
