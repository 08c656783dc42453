"""Incidents: opening, notes, closing, and the one file of a matter (一事一档)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.alert import AlertMove, AlertState
from hub.domain.errors import Conflict, Invalid, NotFound
from hub.domain.events import IncidentClosed, IncidentNoted, IncidentOpened
from hub.domain.ids import AlertId, CameraId, ConferenceId, IncidentId, RunId, UnitId, new_id
from hub.domain.incident import IncidentMove, IncidentState, step
from hub.domain.roles import Right
from hub.services import alerts, cameras
from hub.services.access import ALL, SYSTEM, Reach, may_see_unit, reach, require, units_in
from hub.services.alerts import AlertView, alert_views
from hub.services.context import Actor, Context
from hub.services.dispatch_views import OrderView, order_views
from hub.services.paging import MAX_PAGE, more, newest
from hub.services.units import tree
from hub.store import duty, people
from hub.store import log as store_log
from hub.store.outbox import record
from hub.store.tables_duty import AlertRow, IncidentCameraRow, IncidentRow, RunRow

MOST_EVENTS: Final = 1_000  # of one file: the newest


@dataclass(frozen=True, slots=True)
class IncidentView:
    id: IncidentId
    title: str
    severity: str
    state: str
    unit: UnitId
    opened_at: int
    opened_by: str
    closed_at: int | None
    alerts: list[AlertId]
    cameras: list[CameraId]
    conference: ConferenceId | None
    orders: int
    orders_open: int
    run: RunId | None


@dataclass(frozen=True, slots=True)
class IncidentPage:
    items: list[IncidentView]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class TimelineView:
    seq: int
    kind: str
    at: int
    unit: str
    unit_name: str
    ref: str
    by_name: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileView:
    incident: IncidentView
    alerts: list[AlertView]
    orders: list[OrderView]
    timeline: list[TimelineView]


async def open_incident(
    ctx: Context,
    actor: Actor,
    *,
    title: str,
    severity: str = "major",
    alert: AlertId | None = None,
    camera: CameraId | None = None,
    run: RunId | None = None,
) -> IncidentView:
    """Open an incident, from an alert, a camera or nothing. An active alert is thereby acknowledged.

    Raises NotFound (alert, camera), Conflict (``alert.in_incident``, ``alert.illegal_transition``), Invalid
    (``run.not_running``).
    """
    require(actor, Right.INCIDENT_HANDLE)
    async with ctx.sessions.begin() as db:
        row = await open_in(ctx, db, actor, title=title, severity=severity, alert=alert, camera=camera, run=run)
        return (await incident_views(db, [row]))[0]


async def open_in(
    ctx: Context,
    db: AsyncSession,
    actor: Actor,
    *,
    title: str,
    severity: str = "major",
    alert: AlertId | None = None,
    camera: CameraId | None = None,
    run: RunId | None = None,
) -> IncidentRow:
    """As ``open_incident``, inside the caller's transaction; rights are the caller's matter, objects are checked."""
    cause = await alerts.reachable(ctx, db, actor, alert, lock=True) if alert is not None else None
    place = await cameras.reachable(ctx, db, actor, camera) if camera is not None else None
    if cause is not None and cause.incident is not None:
        raise Conflict("alert.in_incident", "this alert has an incident already", incident=cause.incident)
    run = run or (cause.run if cause is not None else None)
    if place is None and cause is None:
        unit = await _own_unit(ctx, db, actor)
    else:
        unit = cause.unit if cause is not None else place.unit if place is not None else actor.unit
    now = ctx.clock()
    row = IncidentRow(
        id=new_id("inc", now_ms=now),
        title=title,
        severity=severity,
        state=IncidentState.OPEN.value,
        unit=unit,
        opened_at=now,
        opened_by=actor.id,
        reason="",
        run=run,
    )
    db.add(row)
    await db.flush()
    await _bind_run(db, row)
    seen = camera or (cause.camera if cause is not None else None)
    event = IncidentOpened(
        run=run, incident=row.id, by=actor.id, title=title, severity=severity, alert=alert, camera=seen
    )
    record(db, event, unit=unit, ref=row.id, at=now)
    for each in {place.id if place else None, cause.camera if cause else None} - {None}:
        db.add(IncidentCameraRow(incident=row.id, camera=each, at=now))
    if cause is not None:
        _link(ctx, db, actor, cause, row.id)
    await db.flush()
    return row


async def add_camera(db: AsyncSession, incident: IncidentId, camera: CameraId, *, at: int) -> None:
    """Note that a camera looked at this incident (it was on the stage). Twice is once."""
    if await db.get(IncidentCameraRow, (incident, camera)) is None:
        db.add(IncidentCameraRow(incident=incident, camera=camera, at=at))
        await db.flush()


async def note(ctx: Context, actor: Actor, incident: IncidentId, *, text: str) -> IncidentView:
    """Add a line to the file. Raises NotFound, Conflict (``incident.illegal_transition``)."""
    require(actor, Right.INCIDENT_HANDLE)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, incident, lock=True)
        row.state = step(IncidentState(row.state), IncidentMove.NOTE).value
        event = IncidentNoted(run=row.run, incident=row.id, by=actor.id, text=text)
        record(db, event, unit=row.unit, ref=row.id, at=ctx.clock())
        return (await incident_views(db, [row]))[0]


async def close(ctx: Context, actor: Actor, incident: IncidentId, *, reason: str) -> IncidentView:
    """Close it. Raises NotFound, Conflict (``incident.orders_open``, ``incident.illegal_transition``)."""
    require(actor, Right.INCIDENT_HANDLE)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, incident, lock=True)
        state = step(IncidentState(row.state), IncidentMove.CLOSE)
        _, still_open = (await duty.order_counts(db, [row.id])).get(row.id, (0, 0))
        if still_open:
            raise Conflict("incident.orders_open", f"{still_open} orders are not closed yet", orders=still_open)
        row.state, row.closed_at, row.closed_by, row.reason = state.value, ctx.clock(), actor.id, reason
        event = IncidentClosed(run=row.run, incident=row.id, by=actor.id, reason=reason)
        record(db, event, unit=row.unit, ref=row.id, at=row.closed_at)
        await db.flush()
        return (await incident_views(db, [row]))[0]


async def list_incidents(
    ctx: Context, actor: Actor, *, state: str | None = None, after: str | None = None, limit: int = 50
) -> IncidentPage:
    """Incidents that concern the actor's units, newest first."""
    require(actor, Right.INCIDENT_READ)
    place = newest(after)
    limit = min(limit, MAX_PAGE)
    async with ctx.reading() as db:
        units = units_in(reach(await tree(ctx, db), actor))
        rows, total = await duty.incidents(db, units=units, state=state, after=place, limit=limit + 1)
        items = await incident_views(db, rows[:limit])
    return IncidentPage(items, total, more(rows, limit, lambda row: (row.opened_at, row.id)))


async def get_file(ctx: Context, actor: Actor, incident: IncidentId) -> FileView:
    """Everything about one matter, in one reading. Raises NotFound (``incident.unknown``).

    Whoever is merely involved (an order, a call) sees only the orders that are addressed to the own units.
    """
    require(actor, Right.INCIDENT_READ)
    async with ctx.reading() as db:
        units = await tree(ctx, db)
        area = reach(units, actor)
        row = await reachable(ctx, db, actor, incident)
        whole = may_see_unit(area, row.unit)
        found, _ = await duty.orders(db, units=None if whole else units_in(area), incident=row.id)
        events = await store_log.read(db, incident=row.id, limit=MOST_EVENTS, newest=True)
        linked = [alert for alert in await duty.alerts_of(db, [row.id]) if may_see_unit(area, alert.unit) or whole]
        return FileView(
            incident=(await incident_views(db, [row]))[0],
            alerts=await alert_views(ctx, db, linked),
            orders=await order_views(ctx, db, list(reversed(found))),
            timeline=await _timeline(ctx, db, area, whole, events),
        )


async def _timeline(
    ctx: Context, db: AsyncSession, area: Reach, whole: bool, events: Sequence[Any]
) -> list[TimelineView]:
    units = await tree(ctx, db)
    shown = [
        event
        for event in events
        if whole or may_see_unit(area, event.unit) or event.kind.startswith(("incident.", "conference."))
    ]
    by = await people.names(db, [(event.data or {}).get("by") for event in shown])
    by[SYSTEM.id] = SYSTEM.name
    return [
        TimelineView(
            seq=event.seq,
            kind=event.kind,
            at=event.at,
            unit=event.unit,
            unit_name=units.name(event.unit),
            ref=event.ref,
            by_name=by.get((event.data or {}).get("by", "")),
            data=event.data or {},
        )
        for event in shown
    ]


async def reachable(
    ctx: Context, db: AsyncSession, actor: Actor, incident: IncidentId, *, lock: bool = False
) -> IncidentRow:
    """The row of an incident that concerns the actor's units. Raises NotFound (``incident.unknown``)."""
    row = await db.get(IncidentRow, incident, with_for_update=lock or None)
    area = reach(await tree(ctx, db), actor)
    if row is None or not (area is ALL or await duty.incident_concerns(db, incident, area)):
        raise NotFound("incident.unknown", "no such incident")
    return row


async def incident_views(db: AsyncSession, rows: Sequence[IncidentRow]) -> list[IncidentView]:
    """What people see of these incidents, names resolved."""
    ids = [row.id for row in rows]
    linked: dict[str, list[str]] = {}
    for alert in await duty.alerts_of(db, ids):
        linked.setdefault(str(alert.incident), []).append(alert.id)
    places = await duty.cameras_of(db, ids)
    running = await duty.conferences_of(db, ids)
    counts = await duty.order_counts(db, ids)
    by = await people.names(db, [row.opened_by for row in rows])
    by[SYSTEM.id] = SYSTEM.name
    return [
        IncidentView(
            id=row.id,
            title=row.title,
            severity=row.severity,
            state=row.state,
            unit=row.unit,
            opened_at=row.opened_at,
            opened_by=by.get(row.opened_by, row.opened_by),
            closed_at=row.closed_at,
            alerts=linked.get(row.id, []),
            cameras=places.get(row.id, []),
            conference=running.get(row.id),
            orders=counts.get(row.id, (0, 0))[0],
            orders_open=counts.get(row.id, (0, 0))[1],
            run=row.run,
        )
        for row in rows
    ]


def _link(ctx: Context, db: AsyncSession, actor: Actor, alert: AlertRow, incident: IncidentId) -> None:
    if alert.state == AlertState.DISMISSED:
        raise Conflict("alert.illegal_transition", "this alert was dismissed")
    alert.incident = incident
    if alert.state == AlertState.ACTIVE:
        alerts.handle(ctx, db, actor, alert, AlertMove.ACKNOWLEDGE, "")


async def running_drill(db: AsyncSession, run: RunId) -> RunRow:
    """The row of a drill that runs, locked. Raises Invalid (``run.not_running``)."""
    row = await db.get(RunRow, run, with_for_update=True)
    if row is None or row.state != "running":
        raise Invalid("run.not_running", "this drill is not running", field="run")
    return row


async def _bind_run(db: AsyncSession, row: IncidentRow) -> None:
    if row.run is None:
        return
    run = await running_drill(db, row.run)
    if run.incident is None:
        run.incident = row.id


async def _own_unit(ctx: Context, db: AsyncSession, actor: Actor) -> UnitId:
    if actor.unit:
        return actor.unit
    units = await tree(ctx, db)
    for node in units.nodes.values():
        if node.parent is None:
            return node.id
    raise Invalid("incident.unit", "there is no unit that this incident could belong to")
