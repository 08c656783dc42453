"""Every kind of the event log and the payload it carries. Formats here are frozen: add, never change.

Reading rules: ``unit`` of the envelope is the unit that the event concerns (an order's receiver, a
camera's owner, a conference member's unit); ``ref`` is the identifier of the aggregate (alert, incident,
conference, order, run, camera, user). ``by`` is a user id or "system". ``run`` is set on everything
that belongs to a drill. All times are integer milliseconds since the Unix epoch, by the hub's clock.
"""

from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field


class Payload(BaseModel):
    """What one event says beyond its envelope."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]


class DrillMarked(Payload):
    """Payloads that may belong to a drill run and to an incident."""

    run: str | None = None
    incident: str | None = None


# accounts -----------------------------------------------------------------------------------------


class SignedIn(Payload):
    kind = "account.signed_in"
    by: str
    username: str
    method: str  # password | demo
    address: str


class SignInFailed(Payload):
    kind = "account.sign_in_failed"
    username: str
    address: str


class SignedOut(Payload):
    kind = "account.signed_out"
    by: str


class UserAdded(Payload):
    kind = "account.added"
    by: str
    username: str
    role: str


# cameras and rules --------------------------------------------------------------------------------


class CameraAdded(Payload):
    kind = "camera.added"
    by: str
    name: str
    scheme: str


class CameraChanged(Payload):
    """Names of the fields that were changed; never the addresses that they hold."""

    kind = "camera.changed"
    by: str
    fields: tuple[str, ...]


class CameraRemoved(Payload):
    kind = "camera.removed"
    by: str
    name: str


class CameraViewed(Payload):
    """A person opened a camera's live picture."""

    kind = "camera.viewed"
    by: str
    conference: str | None = None


class CameraControlled(Payload):
    """A person took a camera's pan and tilt, lens or presets in hand; said once per person and camera in a while."""

    kind = "camera.controlled"
    by: str
    what: str  # type of the first command: move, preset ...


class CameraTalked(Payload):
    """A person began to speak to a camera (语音广播)."""

    kind = "camera.talked"
    by: str


class CameraPlayedBack(Payload):
    """A person opened a camera's recording."""

    kind = "camera.played_back"
    by: str
    start: int
    end: int


class DeviceAdded(Payload):
    """A GB/T 28181 device was listed; ``by`` is "system" when it registered by itself with the domain's password."""

    kind = "device.added"
    by: str
    name: str


class DeviceChanged(Payload):
    """Names of the fields that were changed; never what they hold."""

    kind = "device.changed"
    by: str
    fields: tuple[str, ...]


class DeviceRemoved(Payload):
    kind = "device.removed"
    by: str
    name: str


class PlatformSet(Payload):
    """A platform above us was added or changed (级联)."""

    kind = "platform.set"
    by: str
    name: str
    enabled: bool


class PlatformRemoved(Payload):
    kind = "platform.removed"
    by: str
    name: str


class PlatformShared(Payload):
    """Which cameras a platform above us may see was changed."""

    kind = "platform.shared"
    by: str
    cameras: int


class RuleSet(Payload):
    kind = "rule.set"
    by: str
    camera: str
    rule_kind: str
    enabled: bool
    params: dict[str, Any]


class RuleRemoved(Payload):
    kind = "rule.removed"
    by: str
    camera: str


# alerts -------------------------------------------------------------------------------------------


class AlertRaised(DrillMarked):
    kind = "alert.raised"
    camera: str
    rule: str
    rule_kind: str
    severity: str
    score: float
    count: int
    model: str
    demonstration: bool
    picture_sha256: str | None = None


class AlertAcknowledged(DrillMarked):
    kind = "alert.acknowledged"
    by: str
    reason: str = ""


class AlertDismissed(DrillMarked):
    kind = "alert.dismissed"
    by: str
    reason: str


# incidents ----------------------------------------------------------------------------------------


class IncidentOpened(DrillMarked):
    kind = "incident.opened"
    by: str
    title: str
    severity: str
    alert: str | None = None
    camera: str | None = None


class IncidentNoted(DrillMarked):
    kind = "incident.noted"
    by: str
    text: str


class IncidentClosed(DrillMarked):
    kind = "incident.closed"
    by: str
    reason: str


# conferences --------------------------------------------------------------------------------------


class ConferenceOpened(DrillMarked):
    kind = "conference.opened"
    by: str
    title: str
    units: tuple[str, ...]


class ConferenceRung(DrillMarked):
    """A unit's call began to ring (envelope unit = the unit called)."""

    kind = "conference.rung"
    by: str
    member: str


class ConferenceAnswered(DrillMarked):
    kind = "conference.answered"
    by: str
    member: str


class ConferenceDeclined(DrillMarked):
    kind = "conference.declined"
    by: str
    member: str


class ConferenceMissed(DrillMarked):
    """Nobody of the unit answered in time."""

    kind = "conference.missed"
    member: str


class ConferenceJoined(DrillMarked):
    """First media packet of the member reached the relay."""

    kind = "conference.joined"
    by: str
    member: str


class ConferenceLeft(DrillMarked):
    kind = "conference.left"
    by: str
    member: str
    reason: str = ""


class ConferenceStaged(DrillMarked):
    """A camera was put on the stage for all."""

    kind = "conference.staged"
    by: str
    camera: str


class ConferenceUnstaged(DrillMarked):
    kind = "conference.unstaged"
    by: str
    camera: str


class ConferenceEnded(DrillMarked):
    kind = "conference.ended"
    by: str
    reason: str = ""


# orders -------------------------------------------------------------------------------------------


class OrderIssued(DrillMarked):
    kind = "order.issued"
    by: str
    number: int
    text: str
    sign_due_at: int
    feedback_due_at: int


class OrderDelivered(DrillMarked):
    """A terminal of the receiving unit confirmed that it shows the order."""

    kind = "order.delivered"
    by: str


class OrderSigned(DrillMarked):
    kind = "order.signed"
    by: str


class OrderFeedback(DrillMarked):
    kind = "order.feedback"
    by: str
    text: str
    picture_sha256: str | None = None


class OrderReviewed(DrillMarked):
    kind = "order.reviewed"
    by: str
    accepted: bool
    comment: str = ""


class OrderClosed(DrillMarked):
    kind = "order.closed"
    by: str


class OrderOverdue(DrillMarked):
    """A limit passed without its step; the system reminds (催办)."""

    kind = "order.overdue"
    step: str  # sign | feedback
    due_at: int


# drills -------------------------------------------------------------------------------------------


class DrillPlanned(Payload):
    kind = "drill.planned"
    by: str
    run: str
    scenario: str
    scenario_sha256: str
    rubric_sha256: str
    units: tuple[str, ...]


class DrillStarted(Payload):
    kind = "drill.started"
    by: str
    run: str


class DrillInjected(Payload):
    kind = "drill.injected"
    run: str
    inject: str
    title: str
    method: str


class DrillEnded(Payload):
    kind = "drill.ended"
    by: str
    run: str
    reason: str = ""


class DrillScored(Payload):
    kind = "drill.scored"
    by: str
    run: str
    points: str  # decimal
    of: str  # decimal
    sheet_sha256: str


# system -------------------------------------------------------------------------------------------


class SystemStarted(Payload):
    kind = "system.started"
    version: str


class NodeLost(Payload):
    kind = "system.node_lost"
    node: str
    role: str


KINDS: Final[dict[str, type[Payload]]] = {
    cls.kind: cls
    for cls in (
        SignedIn, SignInFailed, SignedOut, UserAdded,
        CameraAdded, CameraChanged, CameraRemoved, CameraViewed, CameraControlled, CameraTalked, CameraPlayedBack,
        RuleSet, RuleRemoved, DeviceAdded, DeviceChanged, DeviceRemoved, PlatformSet, PlatformRemoved, PlatformShared,
        AlertRaised, AlertAcknowledged, AlertDismissed,
        IncidentOpened, IncidentNoted, IncidentClosed,
        ConferenceOpened, ConferenceRung, ConferenceAnswered, ConferenceDeclined, ConferenceMissed,
        ConferenceJoined, ConferenceLeft, ConferenceStaged, ConferenceUnstaged, ConferenceEnded,
        OrderIssued, OrderDelivered, OrderSigned, OrderFeedback, OrderReviewed, OrderClosed, OrderOverdue,
        DrillPlanned, DrillStarted, DrillInjected, DrillEnded, DrillScored,
        SystemStarted, NodeLost,
    )
}  # fmt: skip


class Envelope(BaseModel):
    """One stored event. ``data`` is the payload as JSON, or ``None`` after an erasure."""

    model_config = ConfigDict(frozen=True)
    seq: int = Field(ge=1)
    kind: str
    at: int
    unit: str
    ref: str
    data: dict[str, Any] | None
