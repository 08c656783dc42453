"""Incidents and their files."""

from typing import Any, Literal

from hub.api.schemas.alerts import Alert
from hub.api.schemas.base import Name, Reason, Reply, Request, Severity, Text
from hub.api.schemas.orders import Order
from hub.domain.ids import AlertId, CameraId, ConferenceId, IncidentId, RunId, UnitId


class NewIncident(Request):
    title: Name
    severity: Severity = "major"
    alert: AlertId | None = None
    camera: CameraId | None = None
    run: RunId | None = None


class Incident(Reply):
    id: IncidentId
    title: str
    severity: Severity
    state: Literal["open", "closed"]
    unit: UnitId
    opened_at: int
    opened_by: str
    closed_at: int | None
    alerts: list[AlertId]
    cameras: list[CameraId]
    conference: ConferenceId | None  # the one that runs now
    orders: int
    orders_open: int
    run: RunId | None


class Incidents(Reply):
    items: list[Incident]
    total: int
    next: str | None


class CloseIncident(Request):
    reason: Reason


class NewNote(Request):
    text: Text


class TimelineItem(Reply):
    seq: int
    kind: str
    at: int
    unit: str
    unit_name: str
    ref: str
    by_name: str | None
    data: dict[str, Any]


class IncidentFile(Reply):
    """One file a matter (一事一档)."""

    incident: Incident
    alerts: list[Alert]
    orders: list["Order"]
    timeline: list[TimelineItem]
