"""The table of a session: every pair of state and event is decided."""

import pytest

from hub.domain.errors import IllegalTransition
from hub.media.peer.lives import steady
from hub.media.peer.session import NEXT, Event, State, step


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_move_is_in_the_table_or_illegal(state: State, event: Event) -> None:
    if (state, event) in NEXT:
        assert step(state, event) is NEXT[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(state, event)


def test_whatever_lives_can_end_and_the_end_is_final() -> None:
    assert all((state, Event.FINISHED) in NEXT for state in State if state is not State.ENDED)
    assert not any(state is State.ENDED for state, _ in NEXT)


def test_setting_the_machines_time_does_not_move_the_peers_clock() -> None:
    times = [1_000_000, 9_999_999_999]
    clock = steady(lambda: times.pop(0))
    first = clock()
    assert 0 <= first - 1_000_000 < 60_000
    assert 0 <= clock() - first < 60_000
    assert times == [9_999_999_999]
