"""Scenarios and runs of drills."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.drill import RunState
from hub.store.tables import LogRow
from hub.store.tables_duty import RunRow, ScenarioRow

MOST: Final = 200


async def scenarios(db: AsyncSession) -> Sequence[ScenarioRow]:
    """Scenarios by title."""
    return (await db.scalars(select(ScenarioRow).order_by(ScenarioRow.title, ScenarioRow.id).limit(MOST))).all()


async def scenario_count(db: AsyncSession) -> int:
    """How many scenarios are kept."""
    return await db.scalar(select(func.count()).select_from(ScenarioRow)) or 0


async def runs(db: AsyncSession) -> Sequence[RunRow]:
    """The latest runs, newest first."""
    return (await db.scalars(select(RunRow).order_by(RunRow.planned_at.desc(), RunRow.id.desc()).limit(MOST))).all()


async def running(db: AsyncSession, *, lock: bool = False) -> Sequence[RunRow]:
    """Runs under way, oldest first."""
    query = select(RunRow).where(RunRow.state == RunState.RUNNING.value).order_by(RunRow.started_at, RunRow.id)
    return (await db.scalars(query.with_for_update() if lock else query)).all()


async def last_of(db: AsyncSession, kind: str, ref: str) -> int | None:
    """Sequence number of the last event of a kind about an aggregate; None: not in the log (yet)."""
    return await db.scalar(select(func.max(LogRow.seq)).where(LogRow.kind == kind, LogRow.ref == ref))
