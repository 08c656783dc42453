"""The back-off of a child that keeps dying."""

from hypothesis import given
from hypothesis import strategies as st

from hub.supervisor import FIRST_DELAY_S, LAST_DELAY_S, STEADY_S, next_delay


def test_a_child_that_dies_at_once_waits_twice_as_long_each_time_up_to_the_limit() -> None:
    delays = []
    delay = 0.0
    for _ in range(7):
        delay = next_delay(delay, lived_s=0.1)
        delays.append(delay)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_a_child_that_lived_long_starts_again_at_once() -> None:
    assert next_delay(15.0, lived_s=STEADY_S) == FIRST_DELAY_S


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_delay_stays_within_its_bounds(previous: float, lived: float) -> None:
    assert FIRST_DELAY_S <= next_delay(previous, lived) <= LAST_DELAY_S
