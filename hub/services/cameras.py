"""Cameras: adding, finding, removing. A camera's URL goes in and never comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.relay_wire import StreamState
from hub.domain.errors import Conflict, Invalid, NotFound
from hub.domain.events import CameraAdded, CameraChanged, CameraRemoved
from hub.domain.ids import CameraId, GbId, UnitId, new_id
from hub.domain.roles import Right
from hub.domain.source_url import check_url
from hub.domain.units import UnitTree
from hub.services.access import holds, may_see_unit, need_unit, reach, require, units_in
from hub.services.context import Actor, Context
from hub.services.live import publish_live
from hub.services.paging import MAX_PAGE, by_name, more
from hub.services.rules import publish_rules
from hub.services.units import tree
from hub.store import cameras as store
from hub.store.outbox import record
from hub.store.tables import CameraRow, UnitRow


class CameraStates(Protocol):
    """What relays say about streams; filled from their reports."""

    def state_of(self, camera: CameraId) -> StreamState | None:
        """The last report about this camera; None: nobody has wanted it."""
        ...


class NoStates:
    """States of a process that hears no relay, such as the command line."""

    def state_of(self, camera: CameraId) -> StreamState | None:
        return None


@dataclass(frozen=True, slots=True)
class CameraView:
    id: CameraId
    name: str
    name_en: str
    unit: UnitId
    unit_name: str
    scheme: str
    host: str | None
    state: str
    reason: str | None
    retry_at: int | None
    codec: str | None
    width: int | None
    height: int | None
    viewers: int
    watched: bool
    device: GbId | None = None
    ptz: int = 0  # PTZType of GB/T 28181: 1 dome, 2 half dome, 3 fixed, 4 remote-controlled; 0 not known
    transcoded: bool = False
    sub_stream: bool = False  # a smaller stream of it is named


@dataclass(frozen=True, slots=True)
class CameraPage:
    items: list[CameraView]
    total: int
    next: str | None


async def add_camera(
    ctx: Context,
    actor: Actor,
    *,
    name: str,
    url: str,
    unit: UnitId,
    sub_url: str | None = None,
    name_en: str = "",
    id: CameraId | None = None,
    states: CameraStates | None = None,
) -> CameraView:
    """Add a camera; ``sub_url`` is its smaller stream. Raises Invalid (``camera.url_refused``, ``camera.unit``)."""
    require(actor, Right.CAMERA_MANAGE)
    check_source(url)
    if sub_url is not None:
        check_source(sub_url, field="sub_url")
    now = ctx.clock()
    row = CameraRow(
        id=id or new_id("cam", now_ms=now), name=name, name_en=name_en, unit=unit, url=url, sub_url=sub_url,
        created_at=now,
    )  # fmt: skip
    async with ctx.sessions.begin() as db:
        units = await _need_own_unit(ctx, db, actor, unit)
        db.add(row)
        await db.flush()
        record(db, CameraAdded(by=actor.id, name=name, scheme=_scheme(url)), unit=unit, ref=row.id, at=now)
    return _view(row, units, actor, states or NoStates(), watched=False)


async def change_camera(
    ctx: Context, actor: Actor, states: CameraStates, camera: CameraId, given: Mapping[str, str | None]
) -> CameraView:
    """Change what is given of name, url, sub_url (None: it has none any more) and unit; relays hear of it in a second.

    Raises NotFound (``camera.unknown``), Conflict (``camera.of_device``), Invalid as ``add_camera``.
    """
    require(actor, Right.CAMERA_MANAGE)
    for field in ("url", "sub_url"):
        if (address := given.get(field)) is not None:
            check_source(address, field=field)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, camera, lock=True)
        if row.device is not None:
            raise Conflict("camera.of_device", "a GB/T 28181 camera is as its device says; change the device")
        unit = given.get("unit")
        units = await tree(ctx, db) if unit is None else await _need_own_unit(ctx, db, actor, unit)
        changed = {field: value for field, value in given.items() if getattr(row, field) != value}
        for field, value in changed.items():
            setattr(row, field, value)
        if "name" in changed:
            row.name_en = ""  # that of another name
        await db.flush()
        watched = await store.watched(db, [camera])
        if changed:
            event = CameraChanged(by=actor.id, fields=tuple(sorted(changed)))
            record(db, event, unit=row.unit, ref=camera, at=ctx.clock())
    if "unit" in changed:
        await publish_live(ctx, {"media_gone": camera})  # who watches is asked anew whether he may
    return _view(row, units, actor, states, watched=bool(watched))


async def _need_own_unit(ctx: Context, db: AsyncSession, actor: Actor, unit: UnitId) -> UnitTree:
    """The units, of which this is one within reach. Raises Invalid (``camera.unit``)."""
    units = await tree(ctx, db)
    if await db.get(UnitRow, unit) is None or not may_see_unit(reach(units, actor), unit):
        raise Invalid("camera.unit", "no such unit", field="unit")
    return units


async def remove_camera(ctx: Context, actor: Actor, camera: CameraId) -> None:
    """Remove a camera and its rules from service; what happened before keeps its name. Raises NotFound."""
    require(actor, Right.CAMERA_MANAGE)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, camera, lock=True)
        row.removed_at = now
        row.url, row.sub_url = "", None  # nothing needs the password of a camera that is gone
        record(db, CameraRemoved(by=actor.id, name=row.name), unit=row.unit, ref=row.id, at=now)
    await publish_live(ctx, {"media_gone": camera})  # also what is played back from it and said to it
    await publish_rules(ctx)


async def list_cameras(
    ctx: Context,
    actor: Actor,
    states: CameraStates,
    *,
    q: str = "",
    unit: UnitId | None = None,
    after: str | None = None,
    limit: int = 50,
) -> CameraPage:
    """Cameras within reach, by name. ``unit`` narrows to a unit and what lies below it."""
    require(actor, Right.CAMERA_READ)
    place = by_name(after)
    limit = min(limit, MAX_PAGE)
    async with ctx.reading() as db:
        units = await tree(ctx, db)
        wanted = units_in(reach(units, actor))
        if unit is not None:
            wanted = units.below(unit) if wanted is None else units.below(unit) & wanted
        rows, total = await store.page(db, units=wanted, q=q.strip(), after=place, limit=limit + 1)
        watched = await store.watched(db, [row.id for row in rows])
    shown = rows[:limit]
    items = [_view(row, units, actor, states, watched=row.id in watched) for row in shown]
    return CameraPage(items, total, more(rows, limit, lambda row: (row.name, row.id)))


async def get_camera(ctx: Context, actor: Actor, states: CameraStates, camera: CameraId) -> CameraView:
    """One camera. Raises NotFound (``camera.unknown``)."""
    require(actor, Right.CAMERA_READ)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, camera)
        watched = await store.watched(db, [camera])
        units = await tree(ctx, db)
    return _view(row, units, actor, states, watched=bool(watched))


async def reachable(ctx: Context, db: AsyncSession, actor: Actor, camera: CameraId, *, lock: bool = False) -> CameraRow:
    """The row of a camera within the actor's reach. Raises NotFound (``camera.unknown``)."""
    row = await store.camera(db, camera, lock=lock)
    if row is None:
        raise NotFound("camera.unknown", "no such camera")
    need_unit(reach(await tree(ctx, db), actor), row.unit, "camera")
    return row


def check_source(url: str, *, field: str = "url") -> None:
    """Refuse what is no camera address. Raises Invalid (``camera.url_refused``)."""
    try:
        check_url(url)
    except Invalid as error:
        raise Invalid(error.id, error.message, **{**error.details, "field": field}) from None


def _view(row: CameraRow, units: UnitTree, actor: Actor, states: CameraStates, *, watched: bool) -> CameraView:
    state = states.state_of(row.id)
    return CameraView(
        id=row.id,
        name=row.name,
        name_en=row.name_en,
        unit=row.unit,
        unit_name=units.name(row.unit),
        scheme=_scheme(row.url),
        host=_host(row.url) if holds(actor, Right.CAMERA_MANAGE) else None,
        state=state.state if state else "idle",
        reason=state.reason if state else None,
        retry_at=state.retry_at if state else None,
        codec=state.codec if state else None,
        width=state.width if state else None,
        height=state.height if state else None,
        viewers=state.viewers if state else 0,
        watched=watched,
        device=row.device,
        ptz=row.ptz,
        transcoded=state.transcoded if state else False,
        sub_stream=row.sub_url is not None,
    )


def _scheme(url: str) -> str:
    return urlsplit(url).scheme


def _host(url: str) -> str | None:
    """Host and port, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or None
