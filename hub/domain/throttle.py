"""Slowing down whoever guesses passwords: after a few failures each further one doubles the wait."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

MINUTE: Final = 60_000


@dataclass(slots=True)
class Throttle:
    """Failures by key, at most ``size`` keys: the one that failed longest ago is forgotten first.

    ``free`` failures cost nothing; then the wait is ``first_ms``, doubled each time up to ``most_ms``. A key is
    forgotten after ``forget_ms`` without a failure.
    """

    free: int
    first_ms: int = 1_000
    most_ms: int = MINUTE
    forget_ms: int = 15 * MINUTE
    size: int = 4_096
    _failed: OrderedDict[str, tuple[int, int]] = field(default_factory=OrderedDict)

    def wait_ms(self, key: str, now: int) -> int:
        """Milliseconds until the key may try again; 0: now."""
        count, last = self._failed.get(key, (0, 0))
        if count < self.free or now - last >= self.forget_ms:
            return 0
        wait = min(self.most_ms, self.first_ms << min(count - self.free, 20))
        return max(0, last + wait - now)

    def fail(self, key: str, now: int) -> None:
        """Count a failure."""
        count, last = self._failed.pop(key, (0, now))
        if now - last >= self.forget_ms:
            count = 0
        self._failed[key] = (count + 1, now)
        while len(self._failed) > self.size:
            self._failed.popitem(last=False)

    def succeed(self, key: str) -> None:
        """Forget a key's failures."""
        self._failed.pop(key, None)

    def take_back(self, key: str) -> None:
        """Uncount one failure, which was none."""
        count, last = self._failed.get(key, (0, 0))
        if count > 1:
            self._failed[key] = (count - 1, last)
        else:
            self._failed.pop(key, None)

    def __len__(self) -> int:
        return len(self._failed)


@dataclass(frozen=True, slots=True)
class SignInThrottle:
    """By person and address, so that nobody locks another out; by person, against many addresses; by address."""

    pair: Throttle = field(default_factory=lambda: Throttle(free=5))
    person: Throttle = field(default_factory=lambda: Throttle(free=50, most_ms=10_000))
    address: Throttle = field(default_factory=lambda: Throttle(free=30))

    def wait_ms(self, username: str, address: str, now: int) -> int:
        """Milliseconds until this person may try from this address; 0: now."""
        return max(table.wait_ms(key, now) for table, key in self._tables(username, address))

    def fail(self, username: str, address: str, now: int) -> None:
        """Count a failure of this person from this address."""
        for table, key in self._tables(username, address):
            table.fail(key, now)

    def succeed(self, username: str, address: str) -> None:
        """The try that was counted as a failure was none. Only the pair is forgiven: others may still be guessing."""
        place = place_of(address)
        self.pair.succeed(f"{place}\n{username}")
        self.person.take_back(username)
        self.address.take_back(place)

    def _tables(self, username: str, address: str) -> tuple[tuple[Throttle, str], ...]:
        place = place_of(address)
        return ((self.pair, f"{place}\n{username}"), (self.person, username), (self.address, place))


def place_of(address: str) -> str:
    """What one guesser has of addresses: an IPv4 address, or a whole IPv6 network of 64 bits (RFC 4291 §2.5.4)."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(known) >> 64 << 64, 64)))
