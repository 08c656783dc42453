"""Guessing passwords gets slower; the table of guessers does not grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.throttle import MINUTE, SignInThrottle, Throttle, place_of


def test_free_failures_cost_nothing_then_each_doubles_the_wait_up_to_a_bound() -> None:
    table = Throttle(free=2, first_ms=1_000, most_ms=8_000)
    waits = []
    for _ in range(7):
        table.fail("a", 0)
        waits.append(table.wait_ms("a", 0))
    assert waits == [0, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]
    assert table.wait_ms("a", 7_999) == 1
    assert table.wait_ms("a", 8_000) == 0
    assert table.wait_ms("b", 0) == 0


def test_failures_are_forgotten_after_a_while_or_a_success() -> None:
    table = Throttle(free=1, forget_ms=MINUTE)
    table.fail("a", 0)
    table.fail("a", 0)
    assert table.wait_ms("a", 0) > 0
    table.fail("a", MINUTE)
    assert table.wait_ms("a", MINUTE) == 1_000  # counted from one again
    table.succeed("a")
    assert table.wait_ms("a", MINUTE) == 0


@given(st.lists(st.text(max_size=3), max_size=100))
def test_the_table_is_bounded_whatever_names_come(names: list[str]) -> None:
    table = Throttle(free=1, size=8)
    for now, name in enumerate(names):
        table.fail(name, now)
        assert len(table) <= 8


def test_a_right_password_forgives_only_the_pair() -> None:
    throttle = SignInThrottle()
    for n in range(40):
        throttle.fail(f"user-{n}", "10.0.0.1", 0)
    throttle.fail("me", "10.0.0.1", 0)
    throttle.succeed("me", "10.0.0.1")
    assert throttle.wait_ms("me", "10.0.0.1", 0) > 0  # the address is still guessing
    assert throttle.wait_ms("me", "10.0.0.2", 0) == 0


def test_successes_alone_never_slow_anybody_down() -> None:
    throttle = SignInThrottle()
    for _ in range(200):
        throttle.fail("me", "10.0.0.1", 0)
        throttle.succeed("me", "10.0.0.1")
    assert throttle.wait_ms("me", "10.0.0.1", 0) == 0


def test_whoever_has_a_whole_network_of_addresses_is_still_one_guesser() -> None:
    throttle = SignInThrottle()
    for n in range(40):
        throttle.fail(f"user-{n}", f"2001:db8::{n:x}", 0)
    assert throttle.wait_ms("me", "2001:db8::ffff:1", 0) > 0
    assert throttle.wait_ms("me", "2001:db8:0:1::1", 0) == 0


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_one_guesser_has_one_place(address: str, place: str) -> None:
    assert place_of(address) == place
