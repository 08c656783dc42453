"""Orders and feedback."""

from typing import Literal

from pydantic import Field

from hub.api.schemas.base import Note, Reply, Request, Text
from hub.domain.ids import IncidentId, OrderId, RunId, UnitId

OrderState = Literal["issued", "delivered", "signed", "feedback", "returned", "reviewed", "closed"]


class NewOrder(Request):
    incident: IncidentId
    unit: UnitId
    text: Text
    sign_within_s: int = Field(default=180, ge=10, le=86_400)
    feedback_within_s: int = Field(default=900, ge=10, le=604_800)


class OrderStep(Reply):
    state: OrderState
    at: int
    by_name: str | None
    comment: str  # of a review: what was said, above all why it was sent back


class Feedback(Reply):
    id: str
    at: int
    by_name: str
    text: str
    picture: str | None  # path


class Order(Reply):
    id: OrderId
    number: int
    incident: IncidentId
    incident_title: str
    unit: UnitId
    unit_name: str
    text: str
    state: OrderState
    issued_by: str
    issued_at: int
    sign_due_at: int
    feedback_due_at: int
    sign_overdue: bool
    feedback_overdue: bool
    steps: list[OrderStep]
    feedback: list[Feedback]
    run: RunId | None


class Orders(Reply):
    items: list[Order]
    total: int
    next: str | None


class Review(Request):
    accepted: bool
    comment: Note = ""
