"""Tables of alerts, incidents, orders, conferences and drills."""

from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from hub.store.tables import BIG, ID, Base

_ACTIVE = text("state = 'active'")


class AlertRow(Base):
    __tablename__ = "alerts"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    camera: Mapped[str] = mapped_column(ForeignKey("cameras.id"), index=True)
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    rule: Mapped[str] = mapped_column(ForeignKey("rules.id"))
    severity: Mapped[str] = mapped_column(String(20))
    score: Mapped[float]
    count: Mapped[int] = mapped_column(Integer)
    repeats: Mapped[int] = mapped_column(Integer, default=0)
    raised_at: Mapped[int]
    last_at: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    handled_by: Mapped[str | None] = mapped_column(ID)
    handled_at: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(500), default="")
    boxes: Mapped[list[Any]]
    picture: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the JPEG
    model: Mapped[str] = mapped_column(String(80))
    demonstration: Mapped[bool]
    incident: Mapped[str | None] = mapped_column(ForeignKey("incidents.id"), index=True)
    run: Mapped[str | None] = mapped_column(ID)
    __table_args__ = (
        Index(None, "raised_at", "id"),
        # at most one active alert a rule: repeats are folded into it
        Index("uq_alerts_active", "rule", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    )


class IncidentRow(Base):
    __tablename__ = "incidents"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    severity: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    opened_at: Mapped[int]
    opened_by: Mapped[str] = mapped_column(ID)
    closed_at: Mapped[int | None]
    closed_by: Mapped[str | None] = mapped_column(ID)
    reason: Mapped[str] = mapped_column(String(500), default="")
    run: Mapped[str | None] = mapped_column(ID, index=True)
    __table_args__ = (Index(None, "opened_at", "id"),)


class IncidentCameraRow(Base):
    __tablename__ = "incident_cameras"
    incident: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    camera: Mapped[str] = mapped_column(ForeignKey("cameras.id"), primary_key=True)
    at: Mapped[int]


class OrderRow(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    year: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)  # counts within the year
    incident: Mapped[str] = mapped_column(ForeignKey("incidents.id"), index=True)
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20))
    issued_by: Mapped[str] = mapped_column(ID)
    issued_at: Mapped[int]
    sign_due_at: Mapped[int]
    feedback_due_at: Mapped[int]
    signed_at: Mapped[int | None]
    feedback_at: Mapped[int | None]  # the first
    sign_overdue: Mapped[bool] = mapped_column(default=False)
    feedback_overdue: Mapped[bool] = mapped_column(default=False)
    run: Mapped[str | None] = mapped_column(ID)
    __table_args__ = (UniqueConstraint("year", "number"), Index(None, "issued_at", "id"), Index(None, "state"))


class OrderStepRow(Base):
    __tablename__ = "order_steps"
    id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    order: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    state: Mapped[str] = mapped_column(String(20))
    at: Mapped[int]
    by: Mapped[str | None] = mapped_column(ID)
    comment: Mapped[str] = mapped_column(String(500), server_default="", default="")


class FeedbackRow(Base):
    __tablename__ = "order_feedback"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    order: Mapped[str] = mapped_column(ForeignKey("orders.id"), index=True)
    at: Mapped[int]
    by: Mapped[str] = mapped_column(ID)
    text: Mapped[str] = mapped_column(Text)
    picture: Mapped[str | None] = mapped_column(String(64))
    media_type: Mapped[str | None] = mapped_column(String(20))


class ConferenceRow(Base):
    __tablename__ = "conferences"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    incident: Mapped[str | None] = mapped_column(ForeignKey("incidents.id"), index=True)
    run: Mapped[str | None] = mapped_column(ID)
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"))  # of who opened it
    opened_by: Mapped[str] = mapped_column(ID)
    opened_at: Mapped[int]
    ended_at: Mapped[int | None]
    stage: Mapped[str | None] = mapped_column(ForeignKey("cameras.id"))


class MemberRow(Base):
    __tablename__ = "conference_members"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    conference: Mapped[str] = mapped_column(ForeignKey("conferences.id"), index=True)
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    user: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    host: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(20))
    rung_at: Mapped[int]
    until: Mapped[int]  # rings no longer than this
    answered_at: Mapped[int | None]
    joined_at: Mapped[int | None]
    left_at: Mapped[int | None]
    audio: Mapped[bool] = mapped_column(default=True)
    video: Mapped[bool] = mapped_column(default=True)
    publishing: Mapped[bool] = mapped_column(default=False)


class ScenarioRow(Base):
    __tablename__ = "drill_scenarios"
    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    rubric: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    units: Mapped[list[str]]
    injects: Mapped[int] = mapped_column(Integer)
    items: Mapped[int] = mapped_column(Integer)
    added_at: Mapped[int]
    added_by: Mapped[str] = mapped_column(ID)


class RunRow(Base):
    """A drill run keeps its own copy of scenario and rubric: what was frozen is what is scored."""

    __tablename__ = "drill_runs"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    scenario: Mapped[str] = mapped_column(String(80))
    scenario_text: Mapped[str] = mapped_column(Text)
    rubric_text: Mapped[str] = mapped_column(Text)
    scenario_sha256: Mapped[str] = mapped_column(String(64))
    rubric_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(20), index=True)
    planned_at: Mapped[int]
    started_at: Mapped[int | None]
    ended_at: Mapped[int | None]
    by: Mapped[str] = mapped_column(ID)
    by_name: Mapped[str] = mapped_column(String(80))
    units: Mapped[list[str]]
    injects: Mapped[list[Any]]
    incident: Mapped[str | None] = mapped_column(ID)
    points: Mapped[str | None] = mapped_column(String(20))
    of: Mapped[str | None] = mapped_column(String(20))
    sheet_sha256: Mapped[str | None] = mapped_column(String(64))
    sheet_json: Mapped[str | None] = mapped_column(Text)
