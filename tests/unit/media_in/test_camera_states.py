"""The table of a camera's states."""

import itertools

import pytest

from hub.domain.camera import NEXT, CameraEvent, CameraState, retry_after, step
from hub.domain.errors import IllegalTransition


@pytest.mark.parametrize(("state", "event"), list(itertools.product(CameraState, CameraEvent)))
def test_a_move_is_in_the_table_or_raises(state: CameraState, event: CameraEvent) -> None:
    if (state, event) in NEXT:
        assert step(state, event) is NEXT[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(state, event)


def test_nobody_wanting_it_always_leads_home() -> None:
    for state in set(CameraState) - {CameraState.IDLE}:
        assert step(state, CameraEvent.UNWANTED) is CameraState.IDLE


def test_only_flowing_media_makes_it_live() -> None:
    assert {event for (_, event), after in NEXT.items() if after is CameraState.LIVE} == {CameraEvent.FLOWING}


def test_back_off_doubles_to_thirty_seconds() -> None:
    assert [retry_after(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert retry_after(10_000) == 30
