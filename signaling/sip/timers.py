"""Timers on one heap, with a clock that is given: nothing here sleeps."""

import heapq
import itertools
from collections.abc import Callable, Iterator


class Timer:
    """One timer that may be cancelled; ``call`` runs once."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None] | None) -> None:
        self.at = at
        self.call = call

    def cancel(self) -> None:
        """Never run it. May be called twice, and after it ran."""
        self.call = None


class Timers:
    """Every timer of a stack. Cancelled ones stay in the heap until they are due or outnumber the others."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()
        self._sweep_at = 1_024

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Run ``call`` at that time (seconds of the given clock)."""
        timer = Timer(when, call)
        heapq.heappush(self._heap, (when, next(self._serial), timer))
        if len(self._heap) > self._sweep_at:
            self._heap = [entry for entry in self._heap if entry[2].call is not None]
            heapq.heapify(self._heap)
            self._sweep_at = max(1_024, 2 * len(self._heap))
        return timer

    def next(self) -> float | None:
        """When the next one is due; None when there is none."""
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Callable[[], None]]:
        """Take every call whose time has come, in order; those that are set meanwhile for now come too."""
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if timer.call is not None:
                call, timer.call = timer.call, None
                yield call
