"""Spreads a key frame over some milliseconds, for all viewers of a track alike, so that each portion still leaves in
one segmented send and no queue on the way must hold the whole of it."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from hub.media.peer.counters import Counters
from hub.media.rtp.track import Packet

PORTION: Final = 32  # packets that leave at once
EVERY_S: Final = 0.001
TURNS: Final = 8  # a burst is out after so many turns, however large: 8 ms, a fraction of a frame's time
MAX_WAITING: Final = 2_048  # packets; beyond, everything leaves at once


class Pacer:
    """``release`` gets the packets again in their order; what fits one portion goes straight through."""

    def __init__(
        self,
        release: Callable[[Sequence[Packet]], None],
        later: Callable[[float, Callable[[], None]], object],
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._release = release
        self._later = later
        self._counters = counters
        self._waiting: deque[Packet] = deque()
        self._portion = PORTION
        self._clock = clock
        self._due = 0.0  # of the next turn

    @property
    def busy(self) -> bool:
        """Whether packets wait."""
        return bool(self._waiting)

    def give(self, packets: Sequence[Packet]) -> None:
        """New packets of one layer."""
        if not self._waiting and len(packets) <= PORTION:
            self._release(packets)
            return
        idle = not self._waiting
        self._waiting.extend(packets)
        self._portion = max(PORTION, -(-len(self._waiting) // TURNS))
        if len(self._waiting) > MAX_WAITING:
            self._counters.unpaced += len(self._waiting)
            self._portion = len(self._waiting)
            while self._waiting:
                self._step()
        elif idle:
            self._counters.paced += len(packets)
            self._due = self._clock()
            self._turn()

    def _turn(self) -> None:
        left = self._portion
        while self._waiting and left > 0:
            left -= self._step(left)
        if self._waiting:  # with many viewers a turn takes longer than it is meant to: then the next comes at once
            self._due += EVERY_S
            self._later(max(self._due - self._clock(), 0.0), self._turn)

    def _step(self, most: int = MAX_WAITING) -> int:
        """Release packets of one layer; how many they were."""
        layer = self._waiting[0].layer
        portion: list[Packet] = []
        while self._waiting and self._waiting[0].layer == layer and len(portion) < most:
            portion.append(self._waiting.popleft())
        self._release(portion)
        return len(portion)
