"""Tasks of the gateway that may fail alone: what one device or platform makes fail must not end the others."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

log: Final = structlog.get_logger(__name__)

AGAIN_S: Final = 1.0
MAX_ERRANDS: Final = 4_096


async def forever(name: str, loop: Callable[[], Awaitable[None]], *, again_s: float = AGAIN_S) -> None:
    """Run something that never returns; where it fails that is logged, and it begins anew a second later."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("gateway.task_failed", task=name)
        await asyncio.sleep(again_s)


class Errands:
    """Short works, each a task of the gateway's group under a name of its own."""

    def __init__(self, group: asyncio.TaskGroup, limit: int = MAX_ERRANDS) -> None:
        self._group = group
        self._limit = limit
        self._running: set[str] = set()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Begin; False where one of that name is under way, or too many are (which is counted)."""
        if name in self._running:
            return False
        if len(self._running) >= self._limit:
            self.refused += 1
            return False
        self._running.add(name)
        self._group.create_task(self._run(name, work), name=name)
        return True

    async def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await work()
        except Exception:
            log.exception("gateway.task_failed", task=name)
        finally:
            self._running.discard(name)
