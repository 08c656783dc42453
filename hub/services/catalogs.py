"""What devices say of themselves: registrations, catalogues, positions, alarms.

Reports come at least once, so taking one twice must change nothing. A channel that shows pictures becomes a camera by
itself: nobody types in twenty thousand. One that a catalogue no longer tells of keeps its camera, marked as off: a
catalogue that came short must not take rules and history away.
"""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.gateway_wire import (
    CatalogItem,
    CatalogReport,
    DeviceInfoReport,
    DeviceReport,
    PositionReport,
)
from hub.domain.events import DeviceAdded
from hub.domain.ids import UnitId, new_id
from hub.domain.text import mended
from hub.services.access import SYSTEM
from hub.services.context import Context
from hub.services.gateways import GatewayBook
from hub.services.stream_config import gb_url
from hub.store import devices as store
from hub.store.outbox import record
from hub.store.tables import CameraRow, UnitRow
from hub.store.tables_gb import ChannelRow, DeviceRow, PositionRow

log: Final = structlog.get_logger(__name__)
NAME: Final = 80  # of a camera
MOST_CHANNELS: Final = 100_000  # of one device, which may be a whole city; also over time, under ever new numbers


async def take_state(ctx: Context, book: GatewayBook, report: DeviceReport) -> None:
    """A device registered, went offline or was refused. One that nobody listed is listed now, when it was let in."""
    said = report.state
    async with ctx.sessions.begin() as db:
        row = await db.get(DeviceRow, said.device)
        fresh = False
        if row is None or row.removed_at is not None:
            if said.state != "online" or not (await store.domain(db)).accept_unknown:
                return
            row = await _list(ctx, db, said.device, row)
            fresh = row is not None
            if row is None:
                return
        if report.at >= row.state_at:
            row.state, row.reason, row.state_at = said.state, said.reason, report.at
            row.detail = None if said.detail is None else said.detail[:500]
            row.address, row.transport, row.edition = said.address, said.transport, said.edition
            row.registered_at, row.failed_at, row.failure = said.registered_at, said.failed_at, said.failure
            row.user_agent = None if said.user_agent is None else said.user_agent[:200]
        never = row.catalog_at is None and said.state == "online"
    if fresh:
        await book.tell()
    if never and (node := await book.node()) is not None:
        await book.client.catalog(node.url, said.device)  # the first time by itself


async def _list(ctx: Context, db: AsyncSession, id: str, row: DeviceRow | None) -> DeviceRow | None:
    unit: UnitId | None = await db.scalar(select(UnitRow.id).where(UnitRow.parent.is_(None)).limit(1))
    if unit is None:
        return None
    now = ctx.clock()
    if row is None:
        row = DeviceRow(id=id, name=id, unit=unit, subscriptions=[], created_at=now, state_at=0, revision=1)
        db.add(row)
    else:
        row.removed_at, row.revision = None, row.revision + 1
    await db.flush()
    record(db, DeviceAdded(by=SYSTEM.id, name=row.name), unit=row.unit, ref=id, at=now)
    return row


async def take_info(ctx: Context, report: DeviceInfoReport) -> None:
    """Maker, model, firmware; and a name where we had none but the number."""
    async with ctx.sessions.begin() as db:
        if (row := await store.device(db, report.device)) is None:
            return
        row.manufacturer = mended(report.manufacturer or "", 80) or row.manufacturer
        row.model = mended(report.model or "", 80) or row.model
        row.firmware = mended(report.firmware or "", 80) or row.firmware
        if row.name == row.id and (name := mended(report.name or "", 200)):
            row.name = name


async def take_catalog(ctx: Context, report: CatalogReport) -> None:
    """One page. The last one of a complete catalogue marks as gone what it did not tell of."""
    async with ctx.sessions.begin() as db:
        row = await store.device(db, report.device, lock=True)
        if row is None:
            return
        if report.event == "DEL":
            await _delete(ctx, db, row, [item.id for item in report.items])
            return
        await _merge(ctx, db, row, report)
        if report.event is not None:
            return
        row.catalog_sn, row.catalog_received = report.sn, report.received
        row.catalog_expected, row.catalog_missing = report.expected, report.missing
        row.catalog_done = report.done
        if report.done:
            row.catalog_at = report.at
            if report.missing == 0:
                await db.flush()
                for channel in await store.unseen(db, row.id, report.sn):
                    channel.removed_at, channel.status = report.at, "off"


async def _merge(ctx: Context, db: AsyncSession, device: DeviceRow, report: CatalogReport) -> None:
    items = {item.id: item for item in report.items}  # some come twice
    known = await store.channels_of(db, device.id, list(items))
    room = MOST_CHANNELS - await store.channels_ever(db, device.id) if items.keys() - known.keys() else 0
    for item in items.values():
        row = known.get(item.id)
        only_status = report.event in ("ON", "OFF", "VLOST", "DEFECT")
        if row is None and (only_status or room <= 0):
            continue
        if row is None:
            row = ChannelRow(device=device.id, id=item.id, name="", kind=item.kind, parents=[])
            db.add(row)
            room -= 1
        if only_status:
            row.status = "on" if report.event == "ON" else "off"
            continue
        _write(row, item)
        row.removed_at = None
        if report.event is None:
            row.seen_sn = report.sn
        if item.kind == "channel":
            await _camera(ctx, db, device, row)


def _write(row: ChannelRow, item: CatalogItem) -> None:
    row.name, row.kind, row.parents = mended(item.name, 200), item.kind, [mended(each, 32) for each in item.parents]
    row.civil_code, row.manufacturer = mended(item.civil_code, 32), mended(item.manufacturer, 80)
    row.model, row.address = mended(item.model, 80), mended(item.address, 200)
    row.status, row.ptz = item.status, item.ptz
    if item.longitude is not None and item.latitude is not None:
        row.longitude, row.latitude = item.longitude, item.latitude


async def _camera(ctx: Context, db: AsyncSession, device: DeviceRow, channel: ChannelRow) -> None:
    name = (channel.name or channel.id)[:NAME].strip()
    camera = None if channel.camera is None else await db.get(CameraRow, channel.camera)
    if camera is not None and camera.removed_at is None:
        camera.name, camera.ptz = name, channel.ptz
        return
    if camera is not None and device.created_at <= (camera.removed_at or 0):
        return  # an administrator took this one away; the catalogue does not bring it back
    now = ctx.clock()
    camera = CameraRow(
        id=new_id("cam", now_ms=now),
        name=name,
        name_en="",
        unit=device.unit,
        url=gb_url(device.id, channel.id, media=device.media, sub=device.sub_stream),
        device=device.id,
        channel=channel.id,
        ptz=channel.ptz,
        created_at=now,
    )
    db.add(camera)
    await db.flush()
    channel.camera = camera.id


async def _delete(ctx: Context, db: AsyncSession, device: DeviceRow, ids: Sequence[str]) -> None:
    for channel in (await store.channels_of(db, device.id, ids)).values():
        channel.removed_at, channel.status = ctx.clock(), "off"


async def take_position(ctx: Context, report: PositionReport) -> None:
    """Where something is now. A report that comes twice is one row more at the same place, nothing worse."""
    async with ctx.sessions.begin() as db:
        if await store.device(db, report.device) is None:
            return
        channel = (await store.channels_of(db, report.device, [report.channel])).get(report.channel)
        if channel is None and report.channel != report.device:
            return  # nobody could look for it; and names that a device makes up are endless
        db.add(
            PositionRow(
                device=report.device,
                channel=report.channel,
                at=report.at,
                longitude=report.longitude,
                latitude=report.latitude,
                speed=report.speed,
                direction=report.direction,
            )
        )
        if channel is not None and report.at >= (channel.position_at or 0):
            channel.longitude, channel.latitude = report.longitude, report.latitude
            channel.position_at = report.at
