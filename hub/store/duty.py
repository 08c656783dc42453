"""Alerts, incidents and orders."""

from collections.abc import Collection, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from hub.domain.ids import CameraId, IncidentId, OrderId, RuleId, RunId, UnitId
from hub.domain.order import UNANSWERED, UNSIGNED, OrderState
from hub.store.tables_duty import (
    AlertRow,
    ConferenceRow,
    FeedbackRow,
    IncidentCameraRow,
    IncidentRow,
    MemberRow,
    OrderRow,
    OrderStepRow,
    RunRow,
)

T = TypeVar("T", AlertRow, IncidentRow, OrderRow)
Key = tuple[int, str]


async def _page(
    db: AsyncSession,
    query: Select[T],
    at: InstrumentedAttribute[int],
    id: InstrumentedAttribute[str],
    after: Key | None,
    limit: int,
) -> tuple[Sequence[T], int]:
    """Newest first, from after a key; and how many there are without paging."""
    total = await db.scalar(select(func.count()).select_from(query.subquery())) or 0
    if after is not None:
        query = query.where(tuple_(at, id) < after)
    return (await db.scalars(query.order_by(at.desc(), id.desc()).limit(limit))).all(), total


# alerts -------------------------------------------------------------------------------------------


async def latest_alert(db: AsyncSession, rule: RuleId) -> AlertRow | None:
    """The rule's newest alert, locked."""
    query = select(AlertRow).where(AlertRow.rule == rule).order_by(AlertRow.raised_at.desc(), AlertRow.id.desc())
    return await db.scalar(query.limit(1).with_for_update())


async def alerts(
    db: AsyncSession, *, units: Collection[UnitId] | None, state: str | None, after: Key | None, limit: int
) -> tuple[Sequence[AlertRow], int]:
    """Alerts of ``units`` (None: all), newest first."""
    query = select(AlertRow)
    if units is not None:
        query = query.where(AlertRow.unit.in_(units))
    if state is not None:
        query = query.where(AlertRow.state == state)
    return await _page(db, query, AlertRow.raised_at, AlertRow.id, after, limit)


async def active_alerts(db: AsyncSession, units: Collection[UnitId] | None) -> int:
    """How many alerts wait for somebody."""
    query = select(func.count()).select_from(AlertRow).where(AlertRow.state == "active")
    return await db.scalar(query if units is None else query.where(AlertRow.unit.in_(units))) or 0


async def alerts_of(db: AsyncSession, incidents: Collection[IncidentId]) -> Sequence[AlertRow]:
    """Alerts that belong to these incidents, oldest first."""
    query = select(AlertRow).where(AlertRow.incident.in_(incidents))
    return (await db.scalars(query.order_by(AlertRow.raised_at, AlertRow.id))).all()


# incidents ----------------------------------------------------------------------------------------


def involved(units: Collection[UnitId]) -> ColumnElement[bool]:
    """Incidents that these units own, have an order in or were called about."""
    ordered = select(OrderRow.incident).where(OrderRow.unit.in_(units))
    called = (
        select(ConferenceRow.incident)
        .join(MemberRow, MemberRow.conference == ConferenceRow.id)
        .where(MemberRow.unit.in_(units), ConferenceRow.incident.is_not(None))
    )
    return or_(IncidentRow.unit.in_(units), IncidentRow.id.in_(ordered), IncidentRow.id.in_(called))


async def incidents(
    db: AsyncSession, *, units: Collection[UnitId] | None, state: str | None, after: Key | None, limit: int
) -> tuple[Sequence[IncidentRow], int]:
    """Incidents that concern ``units`` (None: all), newest first."""
    query = select(IncidentRow)
    if units is not None:
        query = query.where(involved(units))
    if state is not None:
        query = query.where(IncidentRow.state == state)
    return await _page(db, query, IncidentRow.opened_at, IncidentRow.id, after, limit)


async def incident_concerns(db: AsyncSession, incident: IncidentId, units: Collection[UnitId]) -> bool:
    """Whether the incident concerns one of these units."""
    query = select(IncidentRow.id).where(IncidentRow.id == incident, involved(units))
    return await db.scalar(query) is not None


async def cameras_of(db: AsyncSession, incidents: Collection[IncidentId]) -> dict[IncidentId, list[CameraId]]:
    """Cameras of these incidents, in the order in which they were added."""
    found: dict[IncidentId, list[CameraId]] = {}
    query = select(IncidentCameraRow).where(IncidentCameraRow.incident.in_(incidents))
    for row in await db.scalars(query.order_by(IncidentCameraRow.at, IncidentCameraRow.camera)):
        found.setdefault(row.incident, []).append(row.camera)
    return found


async def conferences_of(db: AsyncSession, incidents: Collection[IncidentId]) -> dict[IncidentId, str]:
    """The conference that runs now, by incident."""
    query = select(ConferenceRow.incident, ConferenceRow.id).where(
        ConferenceRow.incident.in_(incidents), ConferenceRow.ended_at.is_(None)
    )
    rows = await db.execute(query.order_by(ConferenceRow.opened_at))
    return {incident: id for incident, id in rows if incident is not None}


async def order_counts(db: AsyncSession, incidents: Collection[IncidentId]) -> dict[IncidentId, tuple[int, int]]:
    """Orders and open orders, by incident."""
    closed = func.sum(case((OrderRow.state == OrderState.CLOSED.value, 1), else_=0))
    query = select(OrderRow.incident, func.count(), closed).where(OrderRow.incident.in_(incidents))
    rows = await db.execute(query.group_by(OrderRow.incident))
    return {incident: (count, count - int(done or 0)) for incident, count, done in rows}


async def run_of_camera(db: AsyncSession, camera: CameraId) -> RunId | None:
    """The running drill whose incident this camera belongs to."""
    query = (
        select(RunRow.id)
        .join(IncidentRow, IncidentRow.run == RunRow.id)
        .join(IncidentCameraRow, IncidentCameraRow.incident == IncidentRow.id)
        .where(RunRow.state == "running", IncidentRow.state == "open", IncidentCameraRow.camera == camera)
    )
    return await db.scalar(query.order_by(RunRow.started_at.desc()).limit(1))


# orders -------------------------------------------------------------------------------------------


async def next_number(db: AsyncSession, year: int) -> int:
    """The next free number of the year; the table refuses to give one twice."""
    return (await db.scalar(select(func.max(OrderRow.number)).where(OrderRow.year == year)) or 0) + 1


async def orders(
    db: AsyncSession,
    *,
    units: Collection[UnitId] | None,
    to: UnitId | None = None,
    incident: IncidentId | None = None,
    state: str | None = None,
    after: Key | None = None,
    limit: int = 200,
) -> tuple[Sequence[OrderRow], int]:
    """Orders to ``units`` or in incidents that these units own (None: all), newest first."""
    query = select(OrderRow)
    if units is not None:
        own = select(IncidentRow.id).where(IncidentRow.unit.in_(units))
        query = query.where(or_(OrderRow.unit.in_(units), OrderRow.incident.in_(own)))
    if to is not None:
        query = query.where(OrderRow.unit == to)
    if incident is not None:
        query = query.where(OrderRow.incident == incident)
    if state is not None:
        query = query.where(OrderRow.state == state)
    return await _page(db, query, OrderRow.issued_at, OrderRow.id, after, limit)


async def steps_of(db: AsyncSession, orders: Collection[OrderId]) -> dict[OrderId, list[OrderStepRow]]:
    """Steps of these orders as they were taken."""
    found: dict[OrderId, list[OrderStepRow]] = {}
    for row in await db.scalars(select(OrderStepRow).where(OrderStepRow.order.in_(orders)).order_by(OrderStepRow.id)):
        found.setdefault(row.order, []).append(row)
    return found


async def feedback_of(db: AsyncSession, orders: Collection[OrderId]) -> dict[OrderId, list[FeedbackRow]]:
    """Feedback on these orders, oldest first."""
    found: dict[OrderId, list[FeedbackRow]] = {}
    query = select(FeedbackRow).where(FeedbackRow.order.in_(orders)).order_by(FeedbackRow.at, FeedbackRow.id)
    for row in await db.scalars(query):
        found.setdefault(row.order, []).append(row)
    return found


async def overdue(db: AsyncSession, now: int, *, limit: int = 200, lock: bool = True) -> Sequence[OrderRow]:
    """Orders with a limit that has passed and was not reminded of yet; ``lock`` them in a writing session."""
    unsigned = and_(
        OrderRow.state.in_([state.value for state in UNSIGNED]),
        OrderRow.sign_due_at < now,
        OrderRow.sign_overdue.is_(False),
    )
    unanswered = and_(
        OrderRow.state.in_([state.value for state in UNANSWERED]),
        OrderRow.feedback_due_at < now,
        OrderRow.feedback_overdue.is_(False),
    )
    query = select(OrderRow).where(or_(unsigned, unanswered)).order_by(OrderRow.sign_due_at).limit(limit)
    return (await db.scalars(query.with_for_update() if lock else query)).all()
