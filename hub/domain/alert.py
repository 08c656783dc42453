"""States of an alert. Repeats are folded into an active one; a handled one stays as it is."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hub.domain.errors import IllegalTransition


class AlertState(StrEnum):
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    DISMISSED = "dismissed"


class AlertMove(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    DISMISS = "dismiss"


NEXT: Final[Mapping[tuple[AlertState, AlertMove], AlertState]] = {
    (AlertState.ACTIVE, AlertMove.ACKNOWLEDGE): AlertState.ACKNOWLEDGED,
    (AlertState.ACTIVE, AlertMove.DISMISS): AlertState.DISMISSED,
    (AlertState.ACKNOWLEDGED, AlertMove.DISMISS): AlertState.DISMISSED,  # looked at closely, and it was nothing
}


def step(state: AlertState, move: AlertMove) -> AlertState:
    """The state after a move. Raises IllegalTransition."""
    if (after := NEXT.get((state, move))) is None:
        raise IllegalTransition("alert", state.value, move.value)
    return after
