"""GB/T 28181 devices: listing, adding, changing, removing. Passwords go in and never come out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.gateway_wire import DeviceState, Trace
from hub.domain.errors import Conflict, Invalid, NotFound, Unavailable
from hub.domain.events import DeviceAdded, DeviceChanged, DeviceRemoved
from hub.domain.ids import CameraId, GbId, UnitId
from hub.domain.roles import Right
from hub.domain.units import UnitTree
from hub.services.access import may_see_unit, need_unit, reach, require, units_in
from hub.services.context import Actor, Context
from hub.services.gateways import GatewayBook
from hub.services.live import publish_live
from hub.services.paging import MAX_PAGE, by_name, more
from hub.services.stream_config import gb_url
from hub.services.units import tree
from hub.store import devices as store
from hub.store.outbox import record
from hub.store.tables import UnitRow
from hub.store.tables_gb import ChannelRow, DeviceRow

MAX_CHANNELS: Final = 1_000
SETTABLE: Final = frozenset(
    {"name", "unit", "password", "enabled", "media", "sub_stream", "charset", "send_date", "subscriptions",
     "heartbeat_s", "heartbeat_misses"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceView:
    """``state`` and what follows it as the gateway says now, where it runs; else as it was last reported."""

    id: GbId
    name: str
    unit: UnitId
    unit_name: str
    enabled: bool
    has_password: bool
    media: str
    sub_stream: str
    charset: str
    send_date: bool
    subscriptions: list[str]
    heartbeat_s: int
    heartbeat_misses: int
    created_at: int
    state: str
    reason: str | None
    detail: str | None
    address: str | None
    transport: str | None
    registered_at: int | None
    keepalive_at: int | None
    edition: str | None
    calls: int
    failed_at: int | None
    failure: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    channels: int
    catalog_at: int | None
    catalog_received: int
    catalog_expected: int | None
    catalog_missing: int
    catalog_done: bool


@dataclass(frozen=True, slots=True)
class DevicePage:
    items: list[DeviceView]
    total: int
    online: int
    offline: int
    next: str | None


@dataclass(frozen=True, slots=True)
class ChannelView:
    id: GbId
    name: str
    kind: str
    parents: list[str]
    civil_code: str
    manufacturer: str
    model: str
    address: str
    status: str
    ptz: int
    longitude: float | None
    latitude: float | None
    position_at: int | None
    camera: CameraId | None


@dataclass(frozen=True, slots=True)
class PositionView:
    channel: GbId
    at: int
    longitude: float
    latitude: float
    speed: float | None
    direction: float | None


async def list_devices(
    ctx: Context,
    actor: Actor,
    book: GatewayBook,
    *,
    q: str = "",
    state: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> DevicePage:
    """Devices within reach, by name."""
    require(actor, Right.CAMERA_MANAGE)
    place = by_name(after)
    limit = min(limit, MAX_PAGE)
    async with ctx.reading() as db:
        units = await tree(ctx, db)
        narrowed = units_in(reach(units, actor))
        rows, total = await store.page(db, units=narrowed, q=q.strip(), state=state, after=place, limit=limit + 1)
        counts = await store.channel_counts(db, [row.id for row in rows])
        states = await store.by_state(db, narrowed)
    now = await _now(book)
    shown = rows[:limit]
    items = [_view(row, units, counts.get(row.id, 0), now.get(row.id)) for row in shown]
    return DevicePage(
        items,
        total,
        states.get("online", 0),
        states.get("offline", 0),
        more(rows, limit, lambda row: (row.name, row.id)),
    )


async def get_device(ctx: Context, actor: Actor, book: GatewayBook, device: GbId) -> DeviceView:
    """One device. Raises NotFound (``device.unknown``)."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, device)
        units = await tree(ctx, db)
        counts = await store.channel_counts(db, [device])
    return _view(row, units, counts.get(device, 0), (await _now(book)).get(device))


async def add_device(
    ctx: Context, actor: Actor, book: GatewayBook, *, id: GbId, name: str, unit: UnitId, **given: Any
) -> DeviceView:
    """List a device, so that it may register. Raises Conflict (``device.exists``), Invalid (``device.unit``)."""
    await enlist(ctx, actor, id=id, name=name, unit=unit, **given)
    await book.tell()
    return await get_device(ctx, actor, book, id)


async def enlist(ctx: Context, actor: Actor, *, id: GbId, name: str, unit: UnitId, **given: Any) -> None:
    """The same; the gateway hears of it by the loop. Raises Conflict (``device.exists``), Invalid (``device.unit``)."""
    require(actor, Right.CAMERA_MANAGE)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        await _need_own_unit(ctx, db, actor, unit)
        row = await db.get(DeviceRow, id)
        if row is not None and row.removed_at is None:
            raise Conflict("device.exists", "a device with this identifier is listed already", field="id")
        if row is None:
            row = DeviceRow(id=id, subscriptions=[], created_at=now, name=name, unit=unit)
            db.add(row)
        else:  # it comes back
            row.removed_at, row.created_at, row.revision = None, now, row.revision + 1
        _set(row, {"name": name, "unit": unit, **given})
        await db.flush()
        await db.refresh(row)
        record(db, DeviceAdded(by=actor.id, name=name), unit=unit, ref=id, at=now)


async def change_device(
    ctx: Context, actor: Actor, book: GatewayBook, device: GbId, given: Mapping[str, Any]
) -> DeviceView:
    """Change what was given. Raises NotFound (``device.unknown``), Invalid (``device.unit``)."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, device, lock=True)
        if (unit := given.get("unit")) is not None:
            await _need_own_unit(ctx, db, actor, unit)
            for camera in await store.cameras_of(db, device):
                camera.unit = unit
        if given.keys() & {"media", "sub_stream"}:
            media, sub = given.get("media") or row.media, given.get("sub_stream") or row.sub_stream
            for camera in await store.cameras_of(db, device):
                camera.url = gb_url(device, camera.channel or "", media=media, sub=sub)
        if changed := _set(row, given):
            row.revision += 1
            event = DeviceChanged(by=actor.id, fields=tuple(sorted(changed)))
            record(db, event, unit=row.unit, ref=device, at=ctx.clock())
    await book.tell()
    return await get_device(ctx, actor, book, device)


async def remove_device(ctx: Context, actor: Actor, book: GatewayBook, device: GbId) -> list[CameraId]:
    """Take a device out of service, and its cameras with it; returns these. Raises NotFound."""
    require(actor, Right.CAMERA_MANAGE)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, device, lock=True)
        row.removed_at, row.password, row.revision = now, "", row.revision + 1
        cameras = await store.cameras_of(db, device)
        for camera in cameras:
            camera.removed_at = now
        record(db, DeviceRemoved(by=actor.id, name=row.name), unit=row.unit, ref=device, at=now)
        gone = [camera.id for camera in cameras]
    for camera_id in gone:
        await publish_live(ctx, {"media_gone": camera_id})
    await book.tell()
    return gone


async def sync_catalog(ctx: Context, actor: Actor, book: GatewayBook, device: GbId) -> None:
    """Ask a device for its catalogue. Raises NotFound, Unavailable (``gateway.none``, ``device.offline``)."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        await reachable(ctx, db, actor, device)
    node = await book.need()
    await book.client.catalog(node.url, device)


async def list_channels(
    ctx: Context, actor: Actor, device: GbId, *, after: GbId | None, limit: int
) -> tuple[list[ChannelView], GbId | None]:
    """A device's catalogue by identifier. Raises NotFound."""
    require(actor, Right.CAMERA_MANAGE)
    limit = min(limit, MAX_CHANNELS)
    async with ctx.reading() as db:
        await reachable(ctx, db, actor, device)
        rows = await store.channels(db, device, after=after, limit=limit + 1)
    return [_channel(row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


async def list_positions(
    ctx: Context, actor: Actor, device: GbId, *, channel: GbId | None, limit: int
) -> list[PositionView]:
    """Where a device was, newest first. Raises NotFound."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        await reachable(ctx, db, actor, device)
        rows = await store.positions(db, device, channel=channel, limit=min(limit, MAX_CHANNELS))
    return [PositionView(row.channel, row.at, row.longitude, row.latitude, row.speed, row.direction) for row in rows]


async def get_trace(ctx: Context, actor: Actor, book: GatewayBook, device: GbId) -> Trace:
    """The last messages to and from a device, passwords masked. Raises NotFound, Unavailable."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        await reachable(ctx, db, actor, device)
    node = await book.need()
    try:
        return await book.client.trace(node.url, device)
    except NotFound:  # it never said a word
        return Trace(items=[])


async def reachable(ctx: Context, db: AsyncSession, actor: Actor, device: GbId, *, lock: bool = False) -> DeviceRow:
    """The row of a device within the actor's reach. Raises NotFound (``device.unknown``)."""
    row = await store.device(db, device, lock=lock)
    if row is None:
        raise NotFound("device.unknown", "no such device")
    need_unit(reach(await tree(ctx, db), actor), row.unit, "device")
    return row


async def _need_own_unit(ctx: Context, db: AsyncSession, actor: Actor, unit: UnitId) -> None:
    if await db.get(UnitRow, unit) is None or not may_see_unit(reach(await tree(ctx, db), actor), unit):
        raise Invalid("device.unit", "no such unit", field="unit")


def _set(row: DeviceRow, given: Mapping[str, Any]) -> set[str]:
    """Write what differs; names of these fields."""
    changed: set[str] = set()
    for name in SETTABLE & given.keys():
        value = list(given[name]) if name == "subscriptions" else given[name]
        if value is not None and getattr(row, name) != value:
            setattr(row, name, value)
            changed.add(name)
    return changed


async def _now(book: GatewayBook) -> dict[GbId, DeviceState]:
    try:
        states = await book.states()
    except Unavailable:
        return {}
    return {} if states is None else {state.device: state for state in states.items}


def _view(row: DeviceRow, units: UnitTree, channels: int, now: DeviceState | None) -> DeviceView:
    return DeviceView(
        id=row.id,
        name=row.name,
        unit=row.unit,
        unit_name=units.name(row.unit),
        enabled=row.enabled,
        has_password=bool(row.password),
        media=row.media,
        sub_stream=row.sub_stream,
        charset=row.charset,
        send_date=row.send_date,
        subscriptions=row.subscriptions,
        heartbeat_s=row.heartbeat_s,
        heartbeat_misses=row.heartbeat_misses,
        created_at=row.created_at,
        state=now.state if now else row.state,
        reason=now.reason if now else row.reason,
        detail=now.detail if now else row.detail,
        address=now.address if now else row.address,
        transport=now.transport if now else row.transport,
        registered_at=now.registered_at if now else row.registered_at,
        keepalive_at=now.keepalive_at if now else None,
        edition=now.edition if now else row.edition,
        calls=now.calls if now else 0,
        failed_at=now.failed_at if now else row.failed_at,
        failure=now.failure if now else row.failure,
        manufacturer=row.manufacturer,
        model=row.model,
        firmware=row.firmware,
        channels=channels,
        catalog_at=row.catalog_at,
        catalog_received=row.catalog_received,
        catalog_expected=row.catalog_expected,
        catalog_missing=row.catalog_missing,
        catalog_done=row.catalog_done,
    )


def _channel(row: ChannelRow) -> ChannelView:
    return ChannelView(
        id=row.id,
        name=row.name,
        kind=row.kind,
        parents=row.parents,
        civil_code=row.civil_code,
        manufacturer=row.manufacturer,
        model=row.model,
        address=row.address,
        status=row.status,
        ptz=row.ptz,
        longitude=row.longitude,
        latitude=row.latitude,
        position_at=row.position_at,
        camera=row.camera,
    )
