"""A tap that crashes is started again alone; the stream and its viewers do not notice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

log: Final = structlog.get_logger(__name__)

FIRST_S: Final = 1.0
MOST_S: Final = 30.0


async def supervised(
    name: str, tap: Callable[[], Awaitable[None]], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> int:
    """Run a tap until it ends by itself (its stream ended); after a crash again, 1 to 30 s later.

    Returns how often it crashed.
    """
    crashes = 0
    while True:
        try:
            await tap()
        except Exception:
            log.exception("tap.crashed", tap=name)
        else:
            return crashes
        await sleep(min(FIRST_S * 2.0 ** min(crashes, 10), MOST_S))
        crashes += 1
