"""What use cases keep in Redis for a while, where its absence must be said rather than passed over."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS
from hub.domain.errors import Unavailable
from hub.services.context import Context

T = TypeVar("T")


async def remembered(ctx: Context, do: Callable[[Redis], Awaitable[T]]) -> T:
    """What ``do`` gives. Raises Unavailable (``bus.lost``) when Redis is not configured or does not answer."""
    if ctx.redis is None:
        raise Unavailable("bus.lost", "Redis is not configured")
    try:
        return await do(ctx.redis)
    except BUS_ERRORS:
        raise Unavailable("bus.lost", "Redis does not answer; try again") from None
