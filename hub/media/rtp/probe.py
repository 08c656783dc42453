"""Probes: packets sent once more so that a path shows what it carries before a larger picture is sent over it. Pure.

After draft-ietf-rmcat-gcc-02 §5.7.1 and what browsers do: a cluster above the present rate, spread over PORTIONS turns;
how fast it arrived is what the path carries. A probe that fails waits longer for the next.
"""

from collections.abc import Sequence
from typing import Final

from hub.media.rtp.sendlog import Burst

PORTIONS: Final = 5
BOLD: Final = 3.0  # times the present estimate, at most
FIRST_MS: Final = 1_500  # after the path was last found full
AGAIN_MS: Final = 400  # after one that succeeded
LONGEST_MS: Final = 8_000  # between two that fail
SETTLE_MS: Final = 300  # for the last feedback to come
PASSED: Final = 0.85  # of what was sent must arrive at that speed
LOST: Final = 0.05
MOST: Final = 60_000  # octets a turn


class Prober:
    """``due`` says how much to send now, ``feedback`` what came of it."""

    def __init__(self) -> None:
        self.sent = self.succeeded = 0  # probes
        self._next_ms = 0
        self._pause_ms = FIRST_MS
        self._target = 0  # bit/s; 0 while none runs
        self._began_us = self._ended_us = 0
        self._turn_ms = 0
        self._portions = 0
        self._octets = 0
        self._bursts: list[Burst] = []

    @property
    def runs(self) -> bool:
        """Whether a probe is on its way."""
        return self._target > 0

    def full(self, now_ms: int) -> None:
        """The path is found full: a probe that runs ends, and the next one waits."""
        if self.runs:
            self._over(now_ms, passed=False)
        self._next_ms = max(self._next_ms, now_ms + FIRST_MS)

    def due(self, now_ms: int, now_us: int, *, rate: int, wish: int | None, octets: int) -> int:
        """Octets to send beyond the pictures now. ``wish`` bit/s would allow more; ``octets`` were ever sent.

        Call it every 50 ms or so.
        """
        if not self.runs:
            if wish is None or wish <= rate or now_ms < self._next_ms:
                return 0
            self.sent += 1
            self._target, self._portions, self._bursts = int(min(wish, rate * BOLD)), 0, []
            self._began_us, self._turn_ms, self._octets = now_us, now_ms - 50, octets
        if self._portions == PORTIONS:
            return 0
        since, self._turn_ms = min(now_ms - self._turn_ms, 200), now_ms
        media, self._octets = octets - self._octets, octets
        self._portions += 1
        self._ended_us = now_us + 1_000
        portion = max(self._target * since // 8_000 - media, 0)
        self._octets += portion
        return min(portion, MOST)

    def feedback(self, bursts: Sequence[Burst], now_ms: int) -> int | None:
        """Take what was acknowledged; the rate that the path carries, bit/s, once a probe has shown it."""
        if not self.runs:
            return None
        self._bursts += [burst for burst in bursts if self._began_us <= burst.sent_us]
        if self._portions < PORTIONS or now_ms < self._turn_ms + SETTLE_MS:
            return None
        target = self._target
        rate = self._measured()
        self._over(now_ms, passed=rate >= target * PASSED)
        return min(rate, target) if rate >= target * PASSED else None

    def _measured(self) -> int:
        ours = [burst for burst in self._bursts if burst.sent_us <= self._ended_us]
        packets, lost = sum(burst.packets for burst in ours), sum(burst.lost for burst in ours)
        came = [(burst.sent_us, burst.arrived_us, burst.octets) for burst in ours if burst.arrived_us is not None]
        if len(came) < PORTIONS or lost > packets * LOST:
            return 0
        sent = came[-1][0] - came[0][0]
        arrived = max(at for _, at, _ in came) - came[0][1]
        return sum(octets for _, _, octets in came[1:]) * 8_000_000 // max(sent, arrived, 1)

    def _over(self, now_ms: int, *, passed: bool) -> None:
        self._target = 0
        self.succeeded += passed
        self._pause_ms = FIRST_MS if passed else min(self._pause_ms * 2, LONGEST_MS)
        self._next_ms = now_ms + (AGAIN_MS if passed else self._pause_ms)
