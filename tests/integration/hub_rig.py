"""A hub without processes: real SQLite in a temporary folder, a clock that the test moves, the log on demand."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from hub.domain.clock import Clock
from hub.services.context import Context, make_context
from hub.settings import Settings
from hub.store import log
from hub.store.tables import Base
from hub.store.tables_duty import RunRow

assert RunRow.metadata is Base.metadata  # importing the module is what makes its tables known

START = 1_763_000_000_000


class TestClock:
    """Milliseconds that pass only when told, or ``step`` at each look."""

    __test__ = False

    def __init__(self, now: int = START, step: int = 0) -> None:
        self.now = now
        self.step = step

    def __call__(self) -> int:
        self.now += self.step
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1000)


@contextlib.asynccontextmanager
async def hub(folder: Path, clock: Clock, **settings: object) -> AsyncIterator[Context]:
    """A context on a fresh or earlier database in this folder."""
    ctx = make_context(Settings(data=folder, demo=True, **settings), clock=clock)
    try:
        async with ctx.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield ctx
    finally:
        await ctx.close()


async def catch_up(ctx: Context) -> None:
    """Let the log take in everything that waits for it."""
    last = -1
    while last != 0:
        async with ctx.sessions.begin() as db:
            last = await log.append_batch(db)
