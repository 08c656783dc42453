"""How busy a relay is, as the others are told."""

import time
from collections.abc import Callable
from typing import Final

SMOOTH: Final = 0.5  # of the newest figure


class Load:
    """The larger of two shares: of its sessions, and of the one core that a relay's loop can use."""

    def __init__(
        self,
        most_sessions: int,
        *,
        cpu: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cpu = 0.0  # share of one core, smoothed
        self._most = most_sessions
        self._cpu_s = cpu
        self._clock = clock
        self._before = (cpu(), clock())

    def look(self, sessions: int) -> float:
        """The load now, 0 idle, 1 full. Called every few seconds."""
        used, now = self._cpu_s(), self._clock()
        spent, passed = used - self._before[0], now - self._before[1]
        if passed > 0.2:
            self._before = (used, now)
            self.cpu += (max(0.0, spent / passed) - self.cpu) * SMOOTH
        return round(min(1.0, max(sessions / self._most, self.cpu)), 4)
