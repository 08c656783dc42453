"""What placements need to know of cameras: addresses of those that are in service."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.ids import CameraId, UnitId
from hub.store.cameras import DEVICE_ALARM
from hub.store.tables import CameraRow, RuleRow


class Address(NamedTuple):
    """Where a camera's pictures are, with passwords."""

    url: str
    sub_url: str | None = None


CHUNK: Final = 500  # SQLite bounds the variables of a statement


async def sources(db: AsyncSession, ids: Iterable[CameraId]) -> dict[CameraId, Address]:
    """Address by camera, of those among ``ids`` that were not removed."""
    found: dict[CameraId, Address] = {}
    rest = iter(ids)
    while chunk := list(islice(rest, CHUNK)):
        query = select(CameraRow.id, CameraRow.url, CameraRow.sub_url)
        query = query.where(CameraRow.id.in_(chunk), CameraRow.removed_at.is_(None))
        found.update({id: Address(url, sub_url) for id, url, sub_url in await db.execute(query)})
    return found


async def watched_sources(db: AsyncSession) -> dict[CameraId, Address]:
    """Address by camera, of those that an enabled rule looks at."""
    query = (
        select(CameraRow.id, CameraRow.url, CameraRow.sub_url)
        .join(RuleRow, RuleRow.camera == CameraRow.id)
        .where(CameraRow.removed_at.is_(None), RuleRow.removed_at.is_(None), RuleRow.enabled)
        .where(RuleRow.kind != DEVICE_ALARM)
        .distinct()
    )
    return {id: Address(url, sub_url) for id, url, sub_url in await db.execute(query)}


async def units_of(db: AsyncSession, ids: Iterable[CameraId]) -> dict[CameraId, UnitId]:
    """Unit by camera, of those among ``ids`` that were not removed."""
    found: dict[CameraId, UnitId] = {}
    rest = iter(ids)
    while chunk := list(islice(rest, CHUNK)):
        query = select(CameraRow.id, CameraRow.unit).where(CameraRow.id.in_(chunk), CameraRow.removed_at.is_(None))
        found.update({row[0]: row[1] for row in await db.execute(query)})
    return found
