"""Orders: issued, delivered, signed for, answered, reviewed, closed; and the reminder when a limit passes."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.errors import Conflict, Invalid, NotFound
from hub.domain.events import (
    OrderClosed,
    OrderDelivered,
    OrderFeedback,
    OrderIssued,
    OrderOverdue,
    OrderReviewed,
    OrderSigned,
    Payload,
)
from hub.domain.ids import IncidentId, OrderId, UnitId, UserId, new_id
from hub.domain.incident import IncidentMove, IncidentState
from hub.domain.incident import step as incident_step
from hub.domain.order import UNANSWERED, UNSIGNED, OrderMove, OrderState, step, year_of
from hub.domain.roles import Right
from hub.services import incidents
from hub.services.access import may_see_unit, reach, require, units_in
from hub.services.alerts import pictures
from hub.services.context import Actor, Context
from hub.services.dispatch_views import OrderView, order_views
from hub.services.images import checked_picture
from hub.services.paging import MAX_PAGE, more, newest
from hub.services.tasks import uninterrupted
from hub.services.units import tree
from hub.store import duty
from hub.store.outbox import record
from hub.store.tables_duty import FeedbackRow, IncidentRow, OrderRow, OrderStepRow

log: Final = structlog.get_logger(__name__)
MOST_FEEDBACK: Final = 100


@dataclass(frozen=True, slots=True)
class OrderPage:
    items: list[OrderView]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    data: bytes
    media_type: str


async def issue(
    ctx: Context,
    actor: Actor,
    *,
    incident: IncidentId,
    unit: UnitId,
    text: str,
    sign_within_s: int = 180,
    feedback_within_s: int = 900,
) -> OrderView:
    """Issue an order from an incident. Raises NotFound, Conflict (incident closed), Invalid (``order.unit``)."""
    require(actor, Right.ORDER_ISSUE)
    for _ in range(5):
        try:
            async with ctx.sessions.begin() as db:
                row = await _issue(ctx, db, actor, incident, unit, text, sign_within_s, feedback_within_s)
                return (await order_views(ctx, db, [row]))[0]
        except IntegrityError:
            continue  # on PostgreSQL two may reach for the same number
    raise Conflict("order.number", "no number could be drawn; try again")


async def _issue(
    ctx: Context,
    db: AsyncSession,
    actor: Actor,
    incident: IncidentId,
    unit: UnitId,
    text: str,
    sign_within_s: int,
    feedback_within_s: int,
) -> OrderRow:
    matter = await incidents.reachable(ctx, db, actor, incident, lock=True)
    incident_step(IncidentState(matter.state), IncidentMove.ORDER)
    if unit not in await tree(ctx, db):
        raise Invalid("order.unit", "no such unit", field="unit")
    now = ctx.clock()
    year = year_of(now)
    row = OrderRow(
        id=new_id("order", now_ms=now),
        year=year,
        number=await duty.next_number(db, year),
        incident=matter.id,
        unit=unit,
        text=text,
        state=OrderState.ISSUED.value,
        issued_by=actor.id,
        issued_at=now,
        sign_due_at=now + sign_within_s * 1_000,
        feedback_due_at=now + feedback_within_s * 1_000,
        sign_overdue=False,
        feedback_overdue=False,
        run=matter.run,
    )
    db.add(row)
    await db.flush()
    event = OrderIssued(
        run=row.run,
        incident=row.incident,
        by=actor.id,
        number=row.number,
        text=text,
        sign_due_at=row.sign_due_at,
        feedback_due_at=row.feedback_due_at,
    )
    await _note(db, row, event, at=now, by=actor.id)
    return row


async def list_orders(
    ctx: Context,
    actor: Actor,
    *,
    incident: IncidentId | None = None,
    unit: UnitId | None = None,
    state: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> OrderPage:
    """Orders to the actor's units, or in incidents that these own; newest first."""
    require(actor, Right.ORDER_READ)
    place = newest(after)
    limit = min(limit, MAX_PAGE)
    async with ctx.reading() as db:
        units = units_in(reach(await tree(ctx, db), actor))
        rows, total = await duty.orders(
            db, units=units, to=unit, incident=incident, state=state, after=place, limit=limit + 1
        )
        items = await order_views(ctx, db, rows[:limit])
    return OrderPage(items, total, more(rows, limit, lambda row: (row.issued_at, row.id)))


async def get_order(ctx: Context, actor: Actor, order: OrderId) -> OrderView:
    """One order. Raises NotFound (``order.unknown``)."""
    require(actor, Right.ORDER_READ)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, order)
        return (await order_views(ctx, db, [row]))[0]


async def mark_delivered(ctx: Context, actor: Actor, order: OrderId) -> None:
    """A terminal of the receiving unit shows the order (送达). Later receipts of other terminals change nothing.

    Raises NotFound (``order.unknown``) for orders to other units.
    """
    require(actor, Right.ORDER_ANSWER)
    async with ctx.sessions.begin() as db:
        row = await _addressed(ctx, db, actor, order)
        if row.state == OrderState.ISSUED:
            await _move(ctx, db, actor, row, OrderMove.DELIVER, OrderDelivered(**_marks(row), by=actor.id))


async def sign(ctx: Context, actor: Actor, order: OrderId) -> OrderView:
    """Sign for an order (签收). Raises NotFound, Conflict (``order.illegal_transition``)."""
    require(actor, Right.ORDER_ANSWER)
    async with ctx.sessions.begin() as db:
        row = await _addressed(ctx, db, actor, order)
        await _move(ctx, db, actor, row, OrderMove.SIGN, OrderSigned(**_marks(row), by=actor.id))
        row.signed_at = ctx.clock()
        return (await order_views(ctx, db, [row]))[0]


async def give_feedback(
    ctx: Context, actor: Actor, order: OrderId, *, text: str, picture: bytes | None = None
) -> OrderView:
    """Report back (反馈). Raises NotFound, Conflict, Invalid (``picture.*``)."""
    require(actor, Right.ORDER_ANSWER)
    info = sha256 = None
    if picture is not None:
        async with ctx.reading() as db:  # nobody may fill the disk with pictures for orders that take none
            known = await _may_answer(ctx, actor, await db.get(OrderRow, order))
            step(OrderState(known.state), OrderMove.FEED_BACK)
            await _need_room(db, known)
        info = await checked_picture(picture)
        sha256 = await pictures(ctx).put(picture)
    async with ctx.sessions.begin() as db:
        row = await _addressed(ctx, db, actor, order)
        await _need_room(db, row)
        now = ctx.clock()
        event = OrderFeedback(**_marks(row), by=actor.id, text=text, picture_sha256=sha256)
        await _move(ctx, db, actor, row, OrderMove.FEED_BACK, event)
        row.feedback_at = row.feedback_at or now
        feedback = FeedbackRow(
            id=new_id("fb", now_ms=now),
            order=row.id,
            at=now,
            by=actor.id,
            text=text,
            picture=sha256,
            media_type=info.media_type if info is not None else None,
        )
        db.add(feedback)
        await db.flush()
        return (await order_views(ctx, db, [row]))[0]


async def review(ctx: Context, actor: Actor, order: OrderId, *, accepted: bool, comment: str = "") -> OrderView:
    """Accept the feedback or send it back (复核). Raises NotFound, Conflict (``order.illegal_transition``)."""
    require(actor, Right.ORDER_ISSUE)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, order, lock=True)
        event = OrderReviewed(**_marks(row), by=actor.id, accepted=accepted, comment=comment)
        await _move(ctx, db, actor, row, OrderMove.ACCEPT if accepted else OrderMove.SEND_BACK, event, comment=comment)
        return (await order_views(ctx, db, [row]))[0]


async def close(ctx: Context, actor: Actor, order: OrderId) -> OrderView:
    """Close a reviewed order (归档). Raises NotFound, Conflict (``order.illegal_transition``)."""
    require(actor, Right.ORDER_ISSUE)
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, order, lock=True)
        await _move(ctx, db, actor, row, OrderMove.CLOSE, OrderClosed(**_marks(row), by=actor.id))
        return (await order_views(ctx, db, [row]))[0]


async def feedback_picture(ctx: Context, actor: Actor, order: OrderId, feedback: str) -> Picture:
    """The picture of a report. Raises NotFound (``order.unknown``, ``picture.unknown``)."""
    require(actor, Right.ORDER_READ)
    async with ctx.reading() as db:
        await reachable(ctx, db, actor, order)
        row = await db.get(FeedbackRow, feedback)
    data = None
    if row is not None and row.order == order and row.picture is not None:
        data = await pictures(ctx).get(row.picture)
    if data is None or row is None or row.media_type is None:
        raise NotFound("picture.unknown", "this report has no picture")
    return Picture(data, row.media_type)


async def remind_overdue(ctx: Context) -> int:
    """Record once for each limit that has passed (催办); return how many were recorded."""
    now = ctx.clock()
    async with ctx.reading() as db:
        if not await duty.overdue(db, now, limit=1, lock=False):
            return 0
    count = 0
    async with ctx.sessions.begin() as db:
        for row in await duty.overdue(db, now):
            state = OrderState(row.state)
            if state in UNSIGNED and row.sign_due_at < now and not row.sign_overdue:
                row.sign_overdue = True
                _remind(db, row, "sign", row.sign_due_at, now)
                count += 1
            if state in UNANSWERED and row.feedback_due_at < now and not row.feedback_overdue:
                row.feedback_overdue = True
                _remind(db, row, "feedback", row.feedback_due_at, now)
                count += 1
    return count


async def watch_overdue(ctx: Context, *, every_s: float = 1.0) -> None:
    """Remind until cancelled. A database that is away for a moment is waited for."""
    while True:
        try:
            while await uninterrupted(remind_overdue(ctx)) >= MAX_PAGE:
                pass  # more than one batch had passed at once
        except SQLAlchemyError as error:
            log.warning("orders.reminder_failed", error=type(error).__name__)
        await asyncio.sleep(every_s)


async def reachable(ctx: Context, db: AsyncSession, actor: Actor, order: OrderId, *, lock: bool = False) -> OrderRow:
    """The row of an order to the actor's units or in an incident of theirs. Raises NotFound (``order.unknown``)."""
    row = await db.get(OrderRow, order, with_for_update=lock or None)
    if row is not None:
        area = reach(await tree(ctx, db), actor)
        if may_see_unit(area, row.unit):
            return row
        matter = await db.get(IncidentRow, row.incident)
        if matter is not None and may_see_unit(area, matter.unit):
            return row
    raise NotFound("order.unknown", "no such order")


async def _addressed(ctx: Context, db: AsyncSession, actor: Actor, order: OrderId) -> OrderRow:
    return await _may_answer(ctx, actor, await db.get(OrderRow, order, with_for_update=True))


async def _may_answer(ctx: Context, actor: Actor, row: OrderRow | None) -> OrderRow:
    """Only the unit that an order is addressed to answers it."""
    if row is None or (actor.role is not None and row.unit != actor.unit):
        raise NotFound("order.unknown", "no such order")
    return row


async def _need_room(db: AsyncSession, row: OrderRow) -> None:
    if len((await duty.feedback_of(db, [row.id])).get(row.id, [])) >= MOST_FEEDBACK:
        raise Conflict("order.feedback_full", f"an order has at most {MOST_FEEDBACK} reports")


async def _move(
    ctx: Context, db: AsyncSession, actor: Actor, row: OrderRow, move: OrderMove, event: Payload, *, comment: str = ""
) -> None:
    row.state = step(OrderState(row.state), move).value
    await _note(db, row, event, at=ctx.clock(), by=actor.id, comment=comment)


async def _note(db: AsyncSession, row: OrderRow, event: Payload, *, at: int, by: UserId, comment: str = "") -> None:
    db.add(OrderStepRow(order=row.id, state=row.state, at=at, by=by, comment=comment))
    record(db, event, unit=row.unit, ref=row.id, at=at)
    await db.flush()


def _remind(db: AsyncSession, row: OrderRow, step_name: str, due_at: int, now: int) -> None:
    event = OrderOverdue(**_marks(row), step=step_name, due_at=due_at)
    record(db, event, unit=row.unit, ref=row.id, at=now)


def _marks(row: OrderRow) -> dict[str, str | None]:
    return {"run": row.run, "incident": row.incident}
