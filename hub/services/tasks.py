"""Finishing what a cancelled task has begun."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await short work to its end; a cancellation is obeyed right after it.

    A database call cut in the middle costs its connection, and on shutdown leaves a driver's thread that answers to
    a loop that is gone.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it was looked at: the cancellation is what matters now
        raise
