"""GB/T 28181 devices, their channels and positions, and the platforms above us."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.ids import CameraId, GbId, UnitId
from hub.store import listing
from hub.store.tables import CameraRow
from hub.store.tables_gb import ChannelRow, DeviceRow, GbDomainRow, PlatformRow, PositionRow, SharedCameraRow


async def domain(db: AsyncSession, *, make: bool = False) -> GbDomainRow:
    """The one row of the domain; as long as nobody set anything, what holds without. ``make`` keeps it."""
    row = await db.get(GbDomainRow, 1)
    if row is None:
        row = GbDomainRow(id=1, password="", accept_unknown=True, revision=0)
        if make:
            db.add(row)
    return row


async def device(db: AsyncSession, id: GbId, *, lock: bool = False) -> DeviceRow | None:
    """A device that was not removed."""
    row = await db.get(DeviceRow, id, with_for_update=lock or None)
    return None if row is None or row.removed_at is not None else row


async def page(
    db: AsyncSession,
    *,
    units: Collection[UnitId] | None,
    q: str,
    state: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> tuple[Sequence[DeviceRow], int]:
    """Devices by name, of ``units`` (None: all), whose name, id or address holds ``q``; and how many in all."""

    query = select(DeviceRow).where(DeviceRow.removed_at.is_(None))
    if units is not None:
        query = query.where(DeviceRow.unit.in_(units))
    if state is not None:
        query = query.where(DeviceRow.state == state)
    if q:
        query = query.where(listing.holds(q, DeviceRow.name, DeviceRow.id, DeviceRow.address))
    return await listing.page(db, query, DeviceRow.name, DeviceRow.id, after=after, limit=limit)


async def all_devices(db: AsyncSession) -> Sequence[DeviceRow]:
    """Every device that was not removed."""
    return (await db.scalars(select(DeviceRow).where(DeviceRow.removed_at.is_(None)).order_by(DeviceRow.id))).all()


async def by_state(db: AsyncSession, units: Collection[UnitId] | None) -> dict[str, int]:
    """How many devices there are in each state."""
    query = select(DeviceRow.state, func.count()).where(DeviceRow.removed_at.is_(None)).group_by(DeviceRow.state)
    if units is not None:
        query = query.where(DeviceRow.unit.in_(units))
    return {row[0]: row[1] for row in await db.execute(query)}


async def channel_counts(db: AsyncSession, ids: Collection[GbId]) -> dict[GbId, int]:
    """How many pictures each of these devices offers."""
    query = (
        select(ChannelRow.device, func.count())
        .where(ChannelRow.device.in_(ids), ChannelRow.removed_at.is_(None), ChannelRow.kind == "channel")
        .group_by(ChannelRow.device)
    )
    return {row[0]: row[1] for row in await db.execute(query)}


async def channels(db: AsyncSession, device: GbId, *, after: GbId | None, limit: int) -> Sequence[ChannelRow]:
    """A device's catalogue by identifier, removed entries left out."""
    query = select(ChannelRow).where(ChannelRow.device == device, ChannelRow.removed_at.is_(None))
    if after is not None:
        query = query.where(ChannelRow.id > after)
    return (await db.scalars(query.order_by(ChannelRow.id).limit(limit))).all()


async def channels_of(db: AsyncSession, device: GbId, ids: Collection[GbId]) -> dict[GbId, ChannelRow]:
    """These entries of a device's catalogue, removed ones too."""
    query = select(ChannelRow).where(ChannelRow.device == device, ChannelRow.id.in_(ids))
    return {row.id: row for row in await db.scalars(query)}


async def channels_ever(db: AsyncSession, device: GbId) -> int:
    """How many entries of a device's catalogues are kept, removed ones too."""
    return await db.scalar(select(func.count()).select_from(ChannelRow).where(ChannelRow.device == device)) or 0


async def unseen(db: AsyncSession, device: GbId, sn: int) -> Sequence[ChannelRow]:
    """Entries that an earlier catalogue told of and this one did not."""
    query = select(ChannelRow).where(
        ChannelRow.device == device,
        ChannelRow.removed_at.is_(None),
        or_(ChannelRow.seen_sn.is_(None), ChannelRow.seen_sn != sn),
    )
    return (await db.scalars(query)).all()


async def cameras_of(db: AsyncSession, device: GbId) -> Sequence[CameraRow]:
    """Cameras in service that are channels of this device."""
    query = select(CameraRow).where(CameraRow.device == device, CameraRow.removed_at.is_(None))
    return (await db.scalars(query)).all()


async def camera_of(db: AsyncSession, device: GbId, channel: GbId) -> CameraRow | None:
    """The camera in service behind a channel."""
    query = select(CameraRow).where(
        CameraRow.device == device, CameraRow.channel == channel, CameraRow.removed_at.is_(None)
    )
    return (await db.scalars(query.limit(1))).first()


# positions ------------------------------------------------------------------------------------------


async def positions(db: AsyncSession, device: GbId, *, channel: GbId | None, limit: int) -> Sequence[PositionRow]:
    """The last positions of a device or of one channel, newest first."""
    query = select(PositionRow).where(PositionRow.device == device)
    if channel is not None:
        query = query.where(PositionRow.channel == channel)
    return (await db.scalars(query.order_by(PositionRow.at.desc(), PositionRow.id.desc()).limit(limit))).all()


async def forget_positions(db: AsyncSession, before: int) -> None:
    """Delete what is older."""
    await db.execute(delete(PositionRow).where(PositionRow.at < before))


# platforms above us -----------------------------------------------------------------------------------


async def platform(db: AsyncSession, id: GbId, *, lock: bool = False) -> PlatformRow | None:
    """A platform that was not removed."""
    row = await db.get(PlatformRow, id, with_for_update=lock or None)
    return None if row is None or row.removed_at is not None else row


async def platforms(db: AsyncSession) -> Sequence[PlatformRow]:
    """Every platform that was not removed, by name."""
    query = select(PlatformRow).where(PlatformRow.removed_at.is_(None)).order_by(PlatformRow.name, PlatformRow.id)
    return (await db.scalars(query)).all()


async def shared_counts(db: AsyncSession) -> dict[GbId, int]:
    """How many cameras each platform may see."""
    query = (
        select(SharedCameraRow.platform, func.count())
        .join(CameraRow, and_(CameraRow.id == SharedCameraRow.camera, CameraRow.removed_at.is_(None)))
        .group_by(SharedCameraRow.platform)
    )
    return {row[0]: row[1] for row in await db.execute(query)}


async def shared(db: AsyncSession, platform: GbId) -> Sequence[tuple[SharedCameraRow, CameraRow]]:
    """What a platform may see, by its identifier up there; cameras in service only."""
    query = (
        select(SharedCameraRow, CameraRow)
        .join(CameraRow, CameraRow.id == SharedCameraRow.camera)
        .where(SharedCameraRow.platform == platform, CameraRow.removed_at.is_(None))
        .order_by(SharedCameraRow.gb_id)
    )
    return [(row[0], row[1]) for row in await db.execute(query)]


async def shared_camera(db: AsyncSession, platform: GbId, camera: CameraId) -> bool:
    """Whether a platform may see this camera."""
    return await db.get(SharedCameraRow, (platform, camera)) is not None


async def unshare(db: AsyncSession, platform: GbId) -> None:
    """A platform may see nothing any more."""
    await db.execute(delete(SharedCameraRow).where(SharedCameraRow.platform == platform))


async def revision(db: AsyncSession) -> str:
    """The name of the gateway's configuration: it changes with every change that an administrator makes."""
    parts: list[str] = []
    for table in (GbDomainRow, DeviceRow, PlatformRow):
        count, total = (
            await db.execute(select(func.count(), func.coalesce(func.sum(table.revision), 0)).select_from(table))
        ).one()
        parts.append(f"{count}.{total}")
    parts.append(str(sum((await shared_counts(db)).values())))  # a removed camera is shared no more
    return "-".join(parts)
