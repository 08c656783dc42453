"""How much one peer may send: who sends more is not listened to, so that a flood costs the others no packet."""

from typing import Final

PUBLISHED: Final = 10_000  # datagrams a second of a publisher: 50 Mbit/s in packets of 600 octets
VIEWED: Final = 1_000  # of everybody else: RTCP of 64 tracks, each losing packets
WINDOW_MS: Final = 1_000


class Intake:
    """Counts by the second. Most of a flood is told apart by one comparison, before anything is decrypted."""

    __slots__ = ("_began", "_taken")

    def __init__(self) -> None:
        self._began = 0
        self._taken = 0

    def takes(self, now_ms: int, most: int) -> bool:
        """Whether one more may come in this second."""
        if now_ms - self._began >= WINDOW_MS:
            self._began, self._taken = now_ms, 0
        self._taken += 1
        return self._taken <= most
