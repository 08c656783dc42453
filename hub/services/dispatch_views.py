"""What people see of orders."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.ids import IncidentId, OrderId, RunId, UnitId
from hub.services.context import Context
from hub.services.units import tree
from hub.store import duty, people
from hub.store.tables_duty import FeedbackRow, IncidentRow, OrderRow, OrderStepRow


@dataclass(frozen=True, slots=True)
class StepView:
    state: str
    at: int
    by_name: str | None
    comment: str


@dataclass(frozen=True, slots=True)
class FeedbackView:
    id: str
    at: int
    by_name: str
    text: str
    picture: str | None


@dataclass(frozen=True, slots=True)
class OrderView:
    id: OrderId
    number: int
    incident: IncidentId
    incident_title: str
    unit: UnitId
    unit_name: str
    text: str
    state: str
    issued_by: str
    issued_at: int
    sign_due_at: int
    feedback_due_at: int
    sign_overdue: bool
    feedback_overdue: bool
    steps: list[StepView]
    feedback: list[FeedbackView]
    run: RunId | None


async def order_views(ctx: Context, db: AsyncSession, rows: Sequence[OrderRow]) -> list[OrderView]:
    """These orders with their steps and feedback, names resolved."""
    ids = [row.id for row in rows]
    steps, feedback = await duty.steps_of(db, ids), await duty.feedback_of(db, ids)
    titles = await _titles(db, {row.incident for row in rows})
    units = await tree(ctx, db)
    who = {row.issued_by for row in rows}
    who |= {each.by for group in steps.values() for each in group if each.by is not None}
    who |= {each.by for group in feedback.values() for each in group}
    by = {"system": "系统"} | await people.names(db, who)
    return [
        OrderView(
            id=row.id,
            number=row.number,
            incident=row.incident,
            incident_title=titles.get(row.incident, ""),
            unit=row.unit,
            unit_name=units.name(row.unit),
            text=row.text,
            state=row.state,
            issued_by=by.get(row.issued_by, row.issued_by),
            issued_at=row.issued_at,
            sign_due_at=row.sign_due_at,
            feedback_due_at=row.feedback_due_at,
            sign_overdue=row.sign_overdue,
            feedback_overdue=row.feedback_overdue,
            steps=[_step(each, by) for each in steps.get(row.id, [])],
            feedback=[_feedback(each, by) for each in feedback.get(row.id, [])],
            run=row.run,
        )
        for row in rows
    ]


async def _titles(db: AsyncSession, ids: set[IncidentId]) -> dict[IncidentId, str]:
    rows = await db.execute(select(IncidentRow.id, IncidentRow.title).where(IncidentRow.id.in_(ids)))
    return dict(rows.all())


def _step(row: OrderStepRow, by: dict[str, str]) -> StepView:
    return StepView(row.state, row.at, by.get(row.by, row.by) if row.by is not None else None, row.comment)


def _feedback(row: FeedbackRow, by: dict[str, str]) -> FeedbackView:
    path = f"/api/v1/orders/{row.order}/feedback/{row.id}/picture" if row.picture else None
    return FeedbackView(row.id, row.at, by.get(row.by, row.by), row.text, path)
