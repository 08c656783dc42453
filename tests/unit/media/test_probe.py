"""Probes over simulated links: a path that recovers is found out within seconds, one that is full is left in peace."""

import pytest

from hub.media.rtp.layers import ALL, Choice, Layer, Tile, wish
from hub.media.rtp.probe import LONGEST_MS, PORTIONS, Prober
from tests.unit.media.test_bandwidth import PACKET, Link


class Probed(Link):
    """A link whose sender probes every 50 ms turn, beside a small picture of 160 kbit/s."""

    def __init__(self, rate: float, wish: int | None) -> None:
        super().__init__(rate, queue_ms=400)
        self.prober, self.wish = Prober(), wish
        self.padded = 0

    def seconds(self, seconds: float) -> None:
        end = self.now_ms + int(seconds * 1_000)
        while self.now_ms < end:
            self._burst(1)
            octets = self.prober.due(
                self.now_ms, self.now_ms * 1_000, rate=self.bandwidth.rate(self.now_ms), wish=self.wish,
                octets=self.log.octets,
            )  # fmt: skip
            if octets:
                self.padded += octets
                self._burst(-(-octets // PACKET))
            self.now_ms += 50
            before = self.bandwidth.cut_ms
            self._report()
            if self.bandwidth.cut_ms != before:
                self.prober.full(self.now_ms)

    def _report(self) -> None:
        feedback = self.bandwidth.feedback

        def both(bursts: object, now_ms: int) -> None:
            feedback(bursts, now_ms)  # type: ignore[arg-type]
            if (rate := self.prober.feedback(bursts, now_ms)) is not None:  # type: ignore[arg-type]
                self.bandwidth.proved(rate, now_ms)

        self.bandwidth.feedback = both  # type: ignore[method-assign]
        try:
            super()._report()
        finally:
            self.bandwidth.feedback = feedback  # type: ignore[method-assign]


def test_a_path_that_recovered_is_found_out_within_seconds_by_probes_alone() -> None:
    link = Probed(300_000, wish=None)
    link.seconds(5)
    link.rate, link.wish = 5_000_000, 2_400_000
    link.seconds(6)
    assert link.bandwidth.rate(link.now_ms) > 1_800_000
    assert 1 <= link.prober.succeeded <= link.prober.sent <= 6


def test_a_full_path_is_probed_ever_more_seldom_and_its_estimate_stays_true() -> None:
    link = Probed(400_000, wish=2_400_000)
    link.seconds(60)
    assert link.bandwidth.rate(link.now_ms) < 600_000
    assert 60_000 // LONGEST_MS - 2 <= link.prober.sent <= 16
    assert link.padded * 8 / 60 < 64_000  # bit/s


def test_nothing_is_sent_where_nobody_could_have_more() -> None:
    for wanted in (None, 100_000):
        link = Probed(5_000_000, wish=wanted)
        link.seconds(20)
        assert (link.prober.sent, link.padded) == (0, 0)


def test_a_probe_whose_feedback_never_comes_ends_with_the_next_one() -> None:
    prober = Prober()
    sent = [prober.due(ms, ms * 1_000, rate=500_000, wish=900_000, octets=0) for ms in range(0, 2_000, 50)]
    assert sum(1 for octets in sent if octets) == PORTIONS
    assert prober.runs
    assert prober.feedback((), 2_000) is None
    assert not prober.runs


@pytest.mark.parametrize(
    ("current", "width", "wanted"),
    [(Choice(0, ALL), None, 1_207_500), (Choice(1, ALL), None, None), (Choice(0, ALL), 300, None),
     (Choice(1, 0), None, 1_207_500)],
)  # fmt: skip
def test_the_wish_is_what_the_best_picture_of_each_tile_costs(
    current: Choice, width: int | None, wanted: int | None
) -> None:
    layers = [Layer(0, 320, (150_000,), True), Layer(1, 1_280, (600_000, 1_000_000), True)]
    assert wish([Tile(layers, current, width)]) == wanted
