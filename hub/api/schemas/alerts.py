"""Alerts."""

from typing import Literal

from hub.api.schemas.base import Note, Reason, Reply, Request, Severity
from hub.domain.ids import AlertId, CameraId, IncidentId, RuleId, RunId, UnitId

AlertKind = Literal["crowd", "intrusion", "device_alarm"]
AlertState = Literal["active", "acknowledged", "dismissed"]


class Box(Reply):
    x1: float  # 0..1 of the picture's width
    y1: float
    x2: float
    y2: float
    label: str
    score: float


class Alert(Reply):
    id: AlertId
    kind: AlertKind
    camera: CameraId
    camera_name: str
    camera_name_en: str
    unit: UnitId
    unit_name: str
    rule: RuleId
    rule_name: str
    severity: Severity
    score: float
    count: int  # objects in the picture
    repeats: int  # times the same rule fired while this alert was active: folded, not new rows
    raised_at: int
    last_at: int
    state: AlertState
    handled_by: str | None  # a name
    handled_at: int | None
    reason: str
    boxes: list[Box]
    picture: str | None  # path of the JPEG with boxes
    model: str
    demonstration: bool
    incident: IncidentId | None
    run: RunId | None


class Alerts(Reply):
    items: list[Alert]
    total: int
    active: int
    next: str | None


class Acknowledge(Request):
    reason: Note = ""


class Dismiss(Request):
    reason: Reason
