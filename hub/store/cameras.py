"""Cameras and rules."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.ids import CameraId, RuleId, UnitId
from hub.store import listing
from hub.store.tables import CameraRow, RuleRow

DEVICE_ALARM: Final = "device_alarm"
"""The rule that stands for what a device reports by itself: no worker looks at the picture for it."""


async def camera(db: AsyncSession, id: CameraId, *, lock: bool = False) -> CameraRow | None:
    """A camera that was not removed."""
    row = await db.get(CameraRow, id, with_for_update=lock or None)
    return None if row is None or row.removed_at is not None else row


async def page(
    db: AsyncSession,
    *,
    units: Collection[UnitId] | None,
    q: str,
    after: tuple[str, str] | None,
    limit: int,
) -> tuple[Sequence[CameraRow], int]:
    """Cameras by name, of ``units`` (None: all), whose name holds ``q``; and how many there are without paging."""

    query = select(CameraRow).where(CameraRow.removed_at.is_(None))
    if units is not None:
        query = query.where(CameraRow.unit.in_(units))
    if q:
        query = query.where(listing.holds(q, CameraRow.name, CameraRow.name_en))
    return await listing.page(db, query, CameraRow.name, CameraRow.id, after=after, limit=limit)


async def names(db: AsyncSession, ids: Collection[CameraId | None]) -> dict[CameraId, str]:
    """Names of these cameras, removed ones too."""
    wanted = {id for id in ids if id}
    if not wanted:
        return {}
    return dict((await db.execute(select(CameraRow.id, CameraRow.name).where(CameraRow.id.in_(wanted)))).all())


async def names_en(db: AsyncSession, ids: Collection[CameraId | None]) -> dict[CameraId, str]:
    """English names of these cameras, removed ones too; "" where there is none."""
    wanted = {id for id in ids if id}
    if not wanted:
        return {}
    return dict((await db.execute(select(CameraRow.id, CameraRow.name_en).where(CameraRow.id.in_(wanted)))).all())


async def watched(db: AsyncSession, ids: Collection[CameraId]) -> set[CameraId]:
    """Which of these cameras an enabled rule looks at."""
    query = select(RuleRow.camera).where(
        RuleRow.camera.in_(ids), RuleRow.enabled, RuleRow.removed_at.is_(None), RuleRow.kind != DEVICE_ALARM
    )
    return set(await db.scalars(query.distinct()))


async def rule(db: AsyncSession, id: RuleId, *, lock: bool = False) -> RuleRow | None:
    """A rule that was not removed."""
    row = await db.get(RuleRow, id, with_for_update=lock or None)
    return None if row is None or row.removed_at is not None else row


async def rules(
    db: AsyncSession, *, camera: CameraId | None = None, units: Collection[UnitId] | None = None, enabled: bool = False
) -> Sequence[RuleRow]:
    """Rules of a camera, or of all cameras of ``units``; oldest first."""
    query = select(RuleRow).join(CameraRow, CameraRow.id == RuleRow.camera)
    query = query.where(RuleRow.removed_at.is_(None), CameraRow.removed_at.is_(None))
    if camera is not None:
        query = query.where(RuleRow.camera == camera)
    if units is not None:
        query = query.where(CameraRow.unit.in_(units))
    if enabled:
        query = query.where(RuleRow.enabled)
    return (await db.scalars(query.order_by(RuleRow.created_at, RuleRow.id))).all()


async def rule_names(db: AsyncSession, ids: Collection[RuleId]) -> dict[RuleId, str]:
    """Names of these rules, removed ones too."""
    query = select(RuleRow.id, RuleRow.name).where(RuleRow.id.in_(set(ids)))
    return dict((await db.execute(query)).all())
