"""Alerts: raised by workers' reports, folded while active, handled by people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.relay_wire import AnomalyReport
from hub.domain.alert import AlertMove, AlertState, step
from hub.domain.errors import NotFound
from hub.domain.events import AlertAcknowledged, AlertDismissed, AlertRaised
from hub.domain.ids import AlertId, CameraId, IncidentId, RuleId, RunId, UnitId, new_id
from hub.domain.picture import inspect
from hub.domain.roles import Right
from hub.services.access import need_unit, reach, require, units_in
from hub.services.context import Actor, Context
from hub.services.paging import MAX_PAGE, more, newest
from hub.services.units import tree
from hub.store import cameras, duty, people
from hub.store.outbox import record
from hub.store.pictures import Pictures
from hub.store.tables_duty import AlertRow

log: Final = structlog.get_logger(__name__)
REST_MS: Final = 120_000  # a handled alert that simply goes on is not raised again for so long ...
PAUSE_MS: Final = 30_000  # ... unless it had stopped for this long in between


@dataclass(frozen=True, slots=True)
class AlertView:
    id: AlertId
    kind: str
    camera: CameraId
    camera_name: str
    camera_name_en: str
    unit: UnitId
    unit_name: str
    rule: RuleId
    rule_name: str
    severity: str
    score: float
    count: int
    repeats: int
    raised_at: int
    last_at: int
    state: str
    handled_by: str | None
    handled_at: int | None
    reason: str
    boxes: list[Any]
    picture: str | None
    model: str
    demonstration: bool
    incident: IncidentId | None
    run: RunId | None


@dataclass(frozen=True, slots=True)
class AlertPage:
    items: list[AlertView]
    total: int
    active: int
    next: str | None


def pictures(ctx: Context) -> Pictures:
    """Where this installation keeps its pictures."""
    return Pictures(ctx.settings.data / "pictures")


@dataclass(frozen=True, slots=True)
class Finding:
    """What an alert is made of, whoever found it: a worker's rule, or the device itself."""

    camera: CameraId
    rule: RuleId
    at: int
    score: float
    count: int
    boxes: list[Any]
    model: str
    demonstration: bool


def _finding(report: AnomalyReport) -> Finding:
    boxes = [box.model_dump() for box in report.boxes]
    return Finding(
        report.camera,
        report.rule,
        report.at,
        report.score,
        report.count,
        boxes,
        report.model[:80],
        report.demonstration,
    )


async def raise_alert(ctx: Context, report: AnomalyReport, picture: bytes | None) -> AlertId | None:
    """Take a worker's report; return the alert it became part of, None when its rule is gone or switched off.

    While an alert of the same rule is active the report is folded into it; the picture of the best score stays.
    A report that comes twice is folded, too. Raises Invalid for a picture that is none.
    """
    sha256 = None
    if picture is not None:
        inspect(picture)
        sha256 = await pictures(ctx).put(picture)
    return await raise_finding(ctx, _finding(report), sha256)


async def raise_finding(ctx: Context, finding: Finding, sha256: str | None = None) -> AlertId | None:
    """The same for a finding; ``sha256`` names a picture that is kept already."""
    for _ in range(3):
        try:
            async with ctx.sessions.begin() as db:
                return await _raise(ctx, db, finding, sha256)
        except IntegrityError:
            continue  # another process raised it between our look and our insert
    return None


async def _raise(ctx: Context, db: AsyncSession, report: Finding, sha256: str | None) -> AlertId | None:
    rule = await cameras.rule(db, report.rule)
    camera = await cameras.camera(db, report.camera)
    if rule is None or camera is None or not rule.enabled or rule.camera != camera.id:
        log.info("alert.report_dropped", rule=report.rule, camera=report.camera)
        return None
    now = ctx.clock()
    if (latest := await duty.latest_alert(db, rule.id)) is not None and _continues(latest, report, now):
        if report.at > latest.last_at:
            _fold(latest, report, sha256)
        return latest.id
    row = AlertRow(
        id=new_id("alert", now_ms=now),
        kind=rule.kind,
        camera=camera.id,
        unit=camera.unit,
        rule=rule.id,
        severity=rule.severity,
        score=report.score,
        count=report.count,
        repeats=0,
        raised_at=now,
        last_at=report.at,
        state=AlertState.ACTIVE.value,
        reason="",
        boxes=report.boxes,
        picture=sha256,
        model=report.model,
        demonstration=report.demonstration,
        run=await duty.run_of_camera(db, camera.id),
    )
    db.add(row)
    await db.flush()
    event = AlertRaised(
        run=row.run,
        camera=camera.id,
        rule=rule.id,
        rule_kind=rule.kind,
        severity=rule.severity,
        score=report.score,
        count=report.count,
        model=row.model,
        demonstration=report.demonstration,
        picture_sha256=sha256,
    )
    record(db, event, unit=camera.unit, ref=row.id, at=now)
    return row.id


def _continues(row: AlertRow, report: Finding, now: int) -> bool:
    """Whether a report tells nothing new: the alert is active, or was handled a moment ago and never paused."""
    if row.state == AlertState.ACTIVE or row.handled_at is None:
        return True
    return now - row.handled_at < REST_MS and report.at - row.last_at < PAUSE_MS


def _fold(row: AlertRow, report: Finding, sha256: str | None) -> None:
    row.repeats += 1
    row.last_at = report.at
    if row.state != AlertState.ACTIVE:
        return  # what was handled keeps the picture that it was handled by
    if sha256 is not None and (row.picture is None or (report.count, report.score) > (row.count, row.score)):
        row.picture, row.score, row.count = sha256, report.score, report.count
        row.boxes = report.boxes


async def list_alerts(
    ctx: Context, actor: Actor, *, state: str | None = None, after: str | None = None, limit: int = 50
) -> AlertPage:
    """Alerts within reach, newest first, and how many are active."""
    require(actor, Right.ALERT_READ)
    place = newest(after)
    limit = min(limit, MAX_PAGE)
    async with ctx.reading() as db:
        units = units_in(reach(await tree(ctx, db), actor))
        rows, total = await duty.alerts(db, units=units, state=state, after=place, limit=limit + 1)
        active = await duty.active_alerts(db, units)
        items = await alert_views(ctx, db, rows[:limit])
    return AlertPage(items, total, active, more(rows, limit, lambda row: (row.raised_at, row.id)))


async def get_alert(ctx: Context, actor: Actor, alert: AlertId) -> AlertView:
    """One alert. Raises NotFound (``alert.unknown``)."""
    require(actor, Right.ALERT_READ)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, alert)
        return (await alert_views(ctx, db, [row]))[0]


async def get_picture(ctx: Context, actor: Actor, alert: AlertId) -> bytes:
    """The alert's JPEG with boxes. Raises NotFound (``alert.unknown``, ``picture.unknown``)."""
    require(actor, Right.ALERT_READ)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, alert)
    data = await pictures(ctx).get(row.picture) if row.picture is not None else None
    if data is None:
        raise NotFound("picture.unknown", "this alert has no picture")
    return data


async def acknowledge(ctx: Context, actor: Actor, alert: AlertId, *, reason: str = "") -> AlertView:
    """Take an alert in hand. Raises NotFound, Conflict (``alert.illegal_transition``)."""
    return await _handle(ctx, actor, alert, AlertMove.ACKNOWLEDGE, reason)


async def dismiss(ctx: Context, actor: Actor, alert: AlertId, *, reason: str) -> AlertView:
    """Say that it was nothing, and why. Raises NotFound, Conflict (``alert.illegal_transition``)."""
    return await _handle(ctx, actor, alert, AlertMove.DISMISS, reason)


async def _handle(ctx: Context, actor: Actor, alert: AlertId, move: AlertMove, reason: str) -> AlertView:
    require(actor, Right.ALERT_HANDLE)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, alert, lock=True)
        handle(ctx, db, actor, row, move, reason)
        await db.flush()
        return (await alert_views(ctx, db, [row]))[0]


def handle(ctx: Context, db: AsyncSession, actor: Actor, row: AlertRow, move: AlertMove, reason: str) -> None:
    """Move an alert of the caller's transaction. Raises IllegalTransition."""
    row.state = step(AlertState(row.state), move).value
    row.handled_by, row.handled_at, row.reason = actor.id, ctx.clock(), reason
    cls = AlertAcknowledged if move is AlertMove.ACKNOWLEDGE else AlertDismissed
    event = cls(run=row.run, incident=row.incident, by=actor.id, reason=reason)
    record(db, event, unit=row.unit, ref=row.id, at=row.handled_at)


async def reachable(ctx: Context, db: AsyncSession, actor: Actor, alert: AlertId, *, lock: bool = False) -> AlertRow:
    """The row of an alert within the actor's reach. Raises NotFound (``alert.unknown``)."""
    row = await db.get(AlertRow, alert, with_for_update=lock or None)
    if row is None:
        raise NotFound("alert.unknown", "no such alert")
    need_unit(reach(await tree(ctx, db), actor), row.unit, "alert")
    return row


async def alert_views(ctx: Context, db: AsyncSession, rows: Sequence[AlertRow]) -> list[AlertView]:
    """What people see of these alerts, names resolved."""
    units = await tree(ctx, db)
    places = await cameras.names(db, [row.camera for row in rows])
    places_en = await cameras.names_en(db, [row.camera for row in rows])
    rules = await cameras.rule_names(db, [row.rule for row in rows])
    by = await people.names(db, [row.handled_by for row in rows])
    return [
        AlertView(
            id=row.id,
            kind=row.kind,
            camera=row.camera,
            camera_name=places.get(row.camera, row.camera),
            camera_name_en=places_en.get(row.camera, ""),
            unit=row.unit,
            unit_name=units.name(row.unit),
            rule=row.rule,
            rule_name=rules.get(row.rule, row.rule),
            severity=row.severity,
            score=row.score,
            count=row.count,
            repeats=row.repeats,
            raised_at=row.raised_at,
            last_at=row.last_at,
            state=row.state,
            handled_by=by.get(row.handled_by, row.handled_by) if row.handled_by else None,
            handled_at=row.handled_at,
            reason=row.reason,
            boxes=row.boxes,
            picture=f"/api/v1/alerts/{row.id}/picture" if row.picture else None,
            model=row.model,
            demonstration=row.demonstration,
            incident=row.incident,
            run=row.run,
        )
        for row in rows
    ]
