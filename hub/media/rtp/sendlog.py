"""What one connection sent under its transport-wide numbers (transport-cc), and what the other side says came.

A burst leaves in one call, so it is one entry: recording costs nothing by the packet, and a burst is what the delay
gradient wants to compare anyway.
"""

from collections import deque
from typing import Final, NamedTuple

from hub.media.rtp.twcc import TICK_US, Arrivals

BATCHES: Final = 128


class Burst(NamedTuple):  # made in their thousands: a tuple is made three times as fast as a frozen dataclass
    """One burst, acknowledged: how much of it came and when its last packet did. µs by the two sides' own clocks."""

    sent_us: int
    arrived_us: int | None  # None: nothing of it came
    packets: int
    lost: int
    octets: int  # of what came, roughly: packets of a burst are alike


class SendLog:
    """Numbers and bursts of one connection. ``next`` is the extended number of the next packet."""

    def __init__(self) -> None:
        self.next = 1
        self.octets = 0  # ever sent
        self._bursts: deque[tuple[int, int, int, int]] = deque(maxlen=BATCHES)  # first number, packets, octets, µs

    def sent(self, packets: int, octets: int, now_us: int) -> None:
        """So many packets left under the next numbers."""
        self._bursts.append((self.next, packets, octets, now_us))
        self.next += packets
        self.octets += octets

    def unsent(self, packets: int, octets: int) -> None:
        """The last burst did not leave after all; its numbers stay used."""
        if self._bursts and self._bursts[-1][0] + packets == self.next:
            self._bursts.pop()
            self.octets -= octets

    def match(self, arrivals: Arrivals) -> list[Burst]:
        """The bursts that a feedback speaks of, oldest first; what it leaves out of a burst counts for the next one."""
        first = self.next - ((self.next - arrivals.first) & 0xFFFF)
        last = first + len(arrivals.times)
        found = []
        while self._bursts and self._bursts[0][0] + self._bursts[0][1] <= first:
            self._bursts.popleft()
        for begin, count, octets, sent_us in self._bursts:
            if begin >= last:
                break
            part = arrivals.times[max(begin - first, 0) : begin + count - first]
            came = [at for at in part if at is not None] if None in part else part
            at_us = max(came) * TICK_US if came else None  # type: ignore[type-var, operator]  # no None is left in it
            lost = len(part) - len(came)
            found.append(Burst(sent_us, at_us, len(part), lost, octets * len(came) // count))
        return found
