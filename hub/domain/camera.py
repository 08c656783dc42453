"""The states of a camera's stream: one table. A relay drives it, everybody else only reads the state."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hub.domain.errors import IllegalTransition


class CameraState(StrEnum):
    """What a tile may say."""

    IDLE = "idle"  # nobody wants it: not connected
    CONNECTING = "connecting"
    LIVE = "live"
    FROZEN = "frozen"  # connected, and no picture for 5 s
    FAILED = "failed"  # with a reason; it is tried again at ``retry_at``


class CameraEvent(StrEnum):
    """What can happen to it."""

    WANTED = "wanted"  # the first subscriber came
    UNWANTED = "unwanted"  # the last left, and the linger time passed
    FLOWING = "flowing"  # an access unit came
    SILENT = "silent"  # none for 5 s
    BROKE = "broke"  # the source failed
    RETRIED = "retried"  # the back-off passed


NEXT: Final[Mapping[tuple[CameraState, CameraEvent], CameraState]] = {
    (CameraState.IDLE, CameraEvent.WANTED): CameraState.CONNECTING,
    (CameraState.CONNECTING, CameraEvent.FLOWING): CameraState.LIVE,
    (CameraState.CONNECTING, CameraEvent.BROKE): CameraState.FAILED,
    (CameraState.CONNECTING, CameraEvent.UNWANTED): CameraState.IDLE,
    (CameraState.LIVE, CameraEvent.FLOWING): CameraState.LIVE,
    (CameraState.LIVE, CameraEvent.SILENT): CameraState.FROZEN,
    (CameraState.LIVE, CameraEvent.BROKE): CameraState.FAILED,
    (CameraState.LIVE, CameraEvent.UNWANTED): CameraState.IDLE,
    (CameraState.FROZEN, CameraEvent.FLOWING): CameraState.LIVE,
    (CameraState.FROZEN, CameraEvent.BROKE): CameraState.FAILED,
    (CameraState.FROZEN, CameraEvent.UNWANTED): CameraState.IDLE,
    (CameraState.FAILED, CameraEvent.RETRIED): CameraState.CONNECTING,
    (CameraState.FAILED, CameraEvent.UNWANTED): CameraState.IDLE,
}


def step(state: CameraState, event: CameraEvent) -> CameraState:
    """The state after an event. Raises IllegalTransition."""
    if (after := NEXT.get((state, event))) is None:
        raise IllegalTransition("camera", state.value, event.value)
    return after


FIRST_RETRY_S: Final = 1.0
MOST_RETRY_S: Final = 30.0


def retry_after(failures: int) -> float:
    """Seconds to wait after the n-th failure in a row: 1, 2, 4, 8, 16, then 30."""
    return min(FIRST_RETRY_S * 2.0 ** min(max(failures, 1) - 1, 10), MOST_RETRY_S)
