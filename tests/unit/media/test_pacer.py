"""Bursts in portions, by a clock of the test."""

from collections.abc import Callable, Sequence

import pytest

from hub.media.peer.counters import Counters
from hub.media.peer.pacer import EVERY_S, PORTION, TURNS, Pacer
from hub.media.rtp.track import Packet


class _World:
    """A clock, what was put off, and what left; each release takes ``costs`` seconds."""

    def __init__(self, costs: float = 0.0) -> None:
        self.now = 0.0
        self.costs = costs
        self.left: list[tuple[float, int]] = []
        self._calls: list[tuple[float, Callable[[], None]]] = []
        self.pacer = Pacer(self._release, self._later, Counters(), lambda: self.now)

    def _release(self, packets: Sequence[Packet]) -> None:
        self.left.append((self.now, len(packets)))
        self.now += self.costs

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert seconds >= 0
        self._calls.append((self.now + seconds, call))

    def run(self) -> None:
        while self._calls:
            at, call = self._calls.pop(0)
            self.now = max(self.now, at)
            call()


def burst(count: int) -> list[Packet]:
    return [Packet(n, 0, 0, n == count - 1, n == 0, b"") for n in range(count)]


def test_a_burst_leaves_in_equal_portions_one_each_millisecond() -> None:
    world = _World()
    world.pacer.give(burst(PORTION * TURNS))
    world.run()
    assert [count for _, count in world.left] == [PORTION] * TURNS
    assert [at for at, _ in world.left] == pytest.approx([turn * EVERY_S for turn in range(TURNS)])
    assert not world.pacer.busy


def test_where_a_portion_costs_longer_than_its_turn_the_next_follows_at_once() -> None:
    """With many viewers the work itself spreads the burst: pauses would only add to its delay."""
    world = _World(costs=2 * EVERY_S)
    world.pacer.give(burst(PORTION * TURNS))
    world.run()
    assert world.now == pytest.approx(2 * EVERY_S * TURNS)


def test_one_slow_portion_is_made_up_for_by_the_next_ones() -> None:
    world = _World()
    world.costs = 3 * EVERY_S
    world.pacer.give(burst(PORTION * TURNS))
    world.costs = 0.0
    world.run()
    assert world.now == pytest.approx((TURNS - 1) * EVERY_S)


def test_a_burst_of_the_next_day_is_spread_as_well() -> None:
    world = _World()
    world.pacer.give(burst(2 * PORTION))
    world.run()
    world.now = 86_400.0
    world.pacer.give(burst(2 * PORTION))
    world.run()
    assert world.left[2:] == [(86_400.0, PORTION), (pytest.approx(86_400.0 + EVERY_S), PORTION)]
