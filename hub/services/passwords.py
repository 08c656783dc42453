"""argon2id off the event loop: two at a time (each takes 46 MiB), and a bounded number waiting."""

import asyncio
import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hub.domain.errors import TooMany

AT_ONCE: Final = 2
MOST_WAITING: Final = 64

_hasher: Final = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)  # OWASP's first choice for argon2id


class Passwords:
    """Hashes and checks passwords for one process."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The argon2id hash, with its salt and parameters."""
        async with self._slots:
            return await asyncio.to_thread(_hasher.hash, password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the right password. ``hashed`` None (nobody of that name) costs the same and says no.

        Raises TooMany (``session.too_many``) when too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise TooMany("session.too_many", "too many people sign in at this moment", retry_ms=1_000)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(_verify, hashed, password)
        finally:
            self._waiting -= 1


def _verify(hashed: str | None, password: str) -> bool:
    try:
        return _hasher.verify(hashed or _nobodys_hash(), password) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_hex(16))
