"""Leases: one holder of a name at a time, until its time runs out. SET NX PX and WATCH; no scripts.

A holder is any text: a process's own token for a job that one process does, a relay's id for the place of a stream.
"""

from collections.abc import Callable
from typing import TypeAlias

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import WatchError

from hub.bus.relay_wire import LEASE_KEY

Change: TypeAlias = Callable[[Pipeline, str], None]


async def acquire(redis: Redis, name: str, holder: str, *, ttl_ms: int) -> str:
    """Take a free lease; return who holds it now: ``holder`` when it was free or already ours (then renewed).

    Raises RedisError.
    """
    key = LEASE_KEY.format(name=name)
    for _ in range(3):
        if await redis.set(key, holder, nx=True, px=ttl_ms):
            return holder
        current = await redis.get(key)
        if current is None:
            continue  # it ran out between the two calls
        if current == holder and not await renew(redis, name, holder, ttl_ms=ttl_ms):
            continue
        return str(current)
    return ""


async def holder_of(redis: Redis, name: str) -> str | None:
    """Who holds the lease now. Raises RedisError."""
    value = await redis.get(LEASE_KEY.format(name=name))
    return None if value is None else str(value)


async def renew(redis: Redis, name: str, holder: str, *, ttl_ms: int) -> bool:
    """Prolong our lease; False when it is not ours any more. Raises RedisError."""

    def prolong(pipe: Pipeline, key: str) -> None:
        pipe.pexpire(key, ttl_ms)

    return await _if_held(redis, name, holder, prolong)


async def release(redis: Redis, name: str, holder: str) -> bool:
    """Give our lease back; False when it was not ours. Raises RedisError."""

    def drop(pipe: Pipeline, key: str) -> None:
        pipe.delete(key)

    return await _if_held(redis, name, holder, drop)


async def take_over(redis: Redis, name: str, expected: str, holder: str, *, ttl_ms: int) -> bool:
    """Pass a lease from ``expected`` (a holder known to be dead) to ``holder``; False when it has moved already.

    Raises RedisError.
    """

    def pass_on(pipe: Pipeline, key: str) -> None:
        pipe.set(key, holder, px=ttl_ms)

    return await _if_held(redis, name, expected, pass_on)


async def _if_held(redis: Redis, name: str, holder: str, change: Change) -> bool:
    """Apply ``change`` in a transaction if ``holder`` holds the lease at its commit."""
    key = LEASE_KEY.format(name=name)
    async with redis.pipeline(transaction=True) as pipe:
        try:
            await pipe.watch(key)
            if await pipe.get(key) != holder:
                return False
            pipe.multi()  # type: ignore[no-untyped-call]  # redis-py 8.1 left this one method untyped
            change(pipe, key)
            await pipe.execute()
        except WatchError:
            return False
        return True
