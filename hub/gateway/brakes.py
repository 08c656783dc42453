"""What one sender may cause in a second: a loose contact reports a thousand alarms, and each would be a row."""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Final

import structlog

log: Final = structlog.get_logger(__name__)

MAX_KEYS: Final = 65_536
COMPLAIN_MS: Final = 60_000


class Brake:
    """Token buckets by key: ``burst`` at once, ``rate`` a second after that. Times are milliseconds of any clock.

    At most ``keys`` of them: the one that was used longest ago is forgotten, which only gives it its burst again.
    """

    def __init__(self, rate: float, burst: float, *, keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._burst = burst
        self._limit = keys
        self._left: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def lets(self, key: Hashable, now: int, cost: float = 1.0) -> bool:
        """Whether this much more is fine; if so it is counted."""
        left, at = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + max(0, now - at) * self._rate / 1_000)
        fine = left >= cost
        self._left[key] = (left - cost if fine else left, now)
        if len(self._left) > self._limit:
            self._left.popitem(last=False)
        return fine


class Complaints:
    """Log lines that a stranger can cause: one a minute of each kind, with how many there were."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._since: Counter[str] = Counter()

    def note(self, kind: str, now: int, **facts: object) -> None:
        """It happened once more. ``kind`` is a constant of ours, never what somebody sent."""
        self._since[kind] += 1
        if now - self._said.get(kind, -COMPLAIN_MS) >= COMPLAIN_MS:
            self._said[kind] = now
            log.info(kind, times=self._since.pop(kind), **facts)
