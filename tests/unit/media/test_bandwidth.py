"""The estimate over simulated links: a bottleneck with a queue, and a link that loses packets."""

import random
from collections.abc import Callable

import pytest

from hub.media.rtp.bandwidth import FLOOR, FULL_MS, Bandwidth
from hub.media.rtp.sendlog import Burst, SendLog
from hub.media.rtp.twcc import ArrivalLog, parse

PACKET = 1_200


class Link:
    """A bottleneck of ``rate`` bit/s with a drop-tail queue, 20 ms away, and feedback every 50 ms."""

    def __init__(self, rate: float, *, queue_ms: float = 300, loss: float = 0, jitter_ms: float = 0) -> None:
        self.rate, self.queue_ms, self.loss, self.jitter_ms = rate, queue_ms, loss, jitter_ms
        self.now_ms, self.free_us = 0, 0.0
        self.log, self.far, self.bandwidth = SendLog(), ArrivalLog(), Bandwidth()
        self.random = random.Random(7)
        self.pending: list[tuple[float, int]] = []
        self.delay_ms = 0.0
        self.extra_us = 0  # a longer way

    def run(self, ms: int, wish: Callable[[int], float]) -> list[int]:
        """Send a burst every 40 ms at the wished rate; the estimates, one a burst."""
        seen, end = [], self.now_ms + ms
        while self.now_ms < end:
            self._burst(max(1, round(wish(self.bandwidth.rate(self.now_ms)) * 0.04 / 8 / PACKET)))
            seen.append(self.bandwidth.rate(self.now_ms))
            self.now_ms += 40
            self._report()
        return seen

    def _burst(self, packets: int) -> None:
        now = self.now_ms * 1_000
        for i in range(packets):
            waiting = max(0.0, self.free_us - now)
            if waiting > self.queue_ms * 1_000 or self.random.random() < self.loss:
                continue
            self.free_us = max(self.free_us, now) + PACKET * 8 / self.rate * 1e6
            self.delay_ms = (self.free_us - now) / 1_000
            at = self.free_us + 20_000 + self.extra_us + self.random.random() * self.jitter_ms * 1_000
            self.pending.append((at, self.log.next + i))
        self.log.sent(packets, packets * PACKET, now)

    def _report(self) -> None:
        now = self.now_ms * 1_000
        for at, number in sorted(p for p in self.pending if p[0] <= now):
            self.far.packet(number & 0xFFFF, int(at))
        self.pending = [p for p in self.pending if p[0] > now]
        if body := self.far.feedback():
            self.bandwidth.feedback(self.log.match(parse(body)), self.now_ms)


@pytest.mark.parametrize("rate", [500_000, 2_000_000, 8_000_000])
def test_the_estimate_finds_a_bottleneck_and_keeps_its_queue_short(rate: int) -> None:
    link = Link(rate)
    link.run(20_000, lambda estimate: estimate)
    seen, delays = [], []
    for _ in range(500):
        seen += link.run(40, lambda estimate: estimate)
        delays.append(link.delay_ms)
    assert 0.6 * rate < sum(seen) / len(seen) < 1.1 * rate
    assert sorted(delays)[len(delays) // 2] < 150


def test_a_drop_to_500_kbit_is_seen_within_two_seconds_and_forgotten_after() -> None:
    link = Link(5_000_000)
    link.run(10_000, lambda _: 2_000_000)
    assert link.bandwidth.rate(link.now_ms) > 2_300_000
    link.rate = 500_000
    after = link.run(2_000, lambda _: 2_000_000)
    assert min(after) < 700_000
    link.run(5_000, lambda _: 300_000)
    link.rate = 5_000_000
    link.run(15_000, lambda estimate: min(estimate, 2_000_000))
    assert link.bandwidth.rate(link.now_ms) > 1_600_000


def test_three_percent_of_loss_without_a_queue_costs_nothing_and_thirty_percent_does() -> None:
    mild, heavy = Link(20_000_000, loss=0.03), Link(20_000_000, loss=0.3)
    mild.run(10_000, lambda _: 2_000_000)
    heavy.run(10_000, lambda _: 2_000_000)
    assert mild.bandwidth.rate(mild.now_ms) > 1_400_000
    assert heavy.bandwidth.rate(heavy.now_ms) < 900_000


def test_jitter_alone_is_no_congestion() -> None:
    link = Link(20_000_000, jitter_ms=15)
    link.run(20_000, lambda _: 1_000_000)
    assert link.bandwidth.rate(link.now_ms) > 1_000_000


def test_an_estimate_that_nothing_tests_stays_near_what_arrives() -> None:
    link = Link(50_000_000)
    link.run(60_000, lambda _: 240_000)  # a packet a burst
    assert link.bandwidth.rate(link.now_ms) < 240_000 * 6


def test_silence_is_taken_for_a_path_that_broke() -> None:
    link = Link(5_000_000)
    link.run(5_000, lambda _: 1_000_000)
    assert link.bandwidth.rate(link.now_ms + 6_000) == FLOOR


@pytest.mark.parametrize("rate", [700_000, 690_000])
def test_a_queue_that_stands_is_too_long_although_it_does_not_grow(rate: int) -> None:
    """A drop to just less than what is sent fills the queue and then loses a packet now and then: no trend at all."""
    link = Link(5_000_000, queue_ms=400)
    link.run(5_000, lambda _: 720_000)
    link.rate = rate
    link.run(15_000, lambda _: 720_000)
    seen = link.run(10_000, lambda _: 720_000)
    assert link.delay_ms > 350
    assert sorted(seen)[len(seen) // 2] < rate


def test_a_path_that_became_longer_is_taken_for_a_queue_for_a_moment_only() -> None:
    link = Link(5_000_000)
    link.run(5_000, lambda _: 1_000_000)
    link.extra_us = 300_000
    link.run(4_000, lambda estimate: min(estimate, 1_000_000))
    link.run(20_000, lambda estimate: min(estimate, 1_000_000))
    assert link.bandwidth.rate(link.now_ms) > 1_000_000


def test_a_path_is_called_full_where_a_queue_grew_lately_or_much_is_lost_of_more_than_a_few_packets() -> None:
    estimate = Bandwidth()
    assert not estimate.full(0)
    estimate.feedback([Burst(0, 20_000, 4, 2, 2_400)], 1_000)
    assert not estimate.full(1_000)  # two packets tell nothing
    estimate.feedback([Burst(50_000, 70_000, 20, 10, 12_000)], 1_050)
    assert estimate.full(1_050)
    link = Link(1_000_000)
    link.run(3_000, lambda _: 2_000_000)
    cut = link.bandwidth.cut_ms
    assert cut > 0
    assert link.bandwidth.full(cut + FULL_MS - 1)
