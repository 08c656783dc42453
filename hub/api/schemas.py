"""What the REST interface takes and gives (version 1). The console's types are generated from these.

Times are integer milliseconds since the Unix epoch by the hub's clock. Every string is bounded; unknown
fields in a request are refused.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from hub.domain.ids import (
    AlertId,
    CameraId,
    ConferenceId,
    GbId,
    Id,
    IncidentId,
    MemberId,
    OrderId,
    RuleId,
    RunId,
    UnitId,
    UserId,
)  # fmt: skip
from hub.domain.roles import Right, Role
from hub.domain.text import lines, one_line

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(one_line)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(lines)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(lines)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(lines)]
Share = Annotated[float, Field(ge=0, le=1)]  # of a picture's width or height; no NaN lies between
Severity = Literal["critical", "major", "minor", "info"]
UnitKind = Literal["city", "town", "village", "department"]
CameraState = Literal["idle", "connecting", "live", "frozen", "failed"]
RuleKind = Literal["crowd", "intrusion"]
AlertKind = Literal["crowd", "intrusion", "device_alarm"]
AlertState = Literal["active", "acknowledged", "dismissed"]
OrderState = Literal["issued", "delivered", "signed", "feedback", "returned", "reviewed", "closed"]
RunState = Literal["planned", "running", "ended"]
MemberState = Literal["ringing", "answered", "joined", "declined", "missed", "left"]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Reply(BaseModel):
    model_config = ConfigDict(from_attributes=True)


# accounts -----------------------------------------------------------------------------------------


class SignIn(Request):
    username: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(one_line)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Me(Reply):
    id: UserId
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str
    rights: list[Right]


class Session(Reply):
    token: str
    expires_at: int
    user: Me


class DemoPerson(Reply):
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str


class DemoPeople(Reply):
    items: list[DemoPerson]


class DemoSignIn(Request):
    username: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(one_line)]


class User(Reply):
    id: UserId
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str
    created_at: int
    online: bool


class Users(Reply):
    items: list[User]
    total: int


class NewUser(Request):
    username: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,63}$")]
    name: Name
    role: Role
    unit: UnitId
    password: Annotated[str, StringConstraints(min_length=12, max_length=256)]


class Unit(Reply):
    id: UnitId
    parent: UnitId | None
    kind: UnitKind
    name: str
    name_en: str
    online: int  # people of this unit who are signed in and connected now


class Units(Reply):
    items: list[Unit]


# cameras ------------------------------------------------------------------------------------------


class NewCamera(Request):
    name: Name
    url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    sub_url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None  # its smaller stream
    unit: UnitId


class CameraPatch(Request):
    """What is left out stays, addresses too; they are never answered. `sub_url: null`: it has none any more."""

    name: Name = ""
    url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] = ""
    sub_url: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None
    unit: UnitId = ""


class Camera(Reply):
    id: CameraId
    name: str
    name_en: str
    unit: UnitId
    unit_name: str
    scheme: str
    host: str | None  # without user and password; only for roles that manage cameras
    state: CameraState
    reason: str | None  # stable id when failed: source.unreachable, source.unauthorized, source.not_video,
    #                     source.unsupported_codec, source.lost, source.refused, source.no_keyframe, relay.none
    retry_at: int | None
    codec: str | None
    width: int | None
    height: int | None
    viewers: int
    watched: bool  # a rule looks at it
    device: GbId | None = None  # its GB/T 28181 device
    ptz: int = 0  # PTZType of GB/T 28181: 1 dome, 2 half dome, 3 fixed, 4 remote-controlled, 5-7 of 2022; 0 not known
    transcoded: bool = False  # somebody watches who cannot decode it as it comes
    sub_stream: bool = False  # a smaller stream of it is named


class Cameras(Reply):
    items: list[Camera]
    total: int
    next: str | None  # cursor of the next page


class Rule(Reply):
    id: RuleId
    camera: CameraId
    kind: AlertKind
    name: str
    severity: Severity
    enabled: bool
    params: dict[str, Any]


class Rules(Reply):
    items: list[Rule]


class CrowdParams(Request):
    persons: int = Field(default=3, ge=1, le=500)
    seconds: float = Field(default=4.0, ge=0, le=3_600)
    confidence: float = Field(default=0.4, ge=0.05, le=0.99)


class IntrusionParams(Request):
    polygon: list[tuple[Share, Share]] = Field(min_length=3, max_length=32)
    confidence: float = Field(default=0.4, ge=0.05, le=0.99)


class NewRule(Request):
    camera: CameraId
    name: Name
    severity: Severity = "major"
    enabled: bool = True
    kind: RuleKind
    params: dict[str, Any] = Field(default_factory=dict, max_length=16)  # CrowdParams or IntrusionParams


class RuleChange(Request):
    enabled: bool


# alerts -------------------------------------------------------------------------------------------


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


# incidents and orders -----------------------------------------------------------------------------


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


# conferences --------------------------------------------------------------------------------------


class NewConference(Request):
    title: Name
    incident: IncidentId | None = None
    alert: AlertId | None = None  # opens an incident for it when it has none
    camera: CameraId | None = None  # put on the stage at once
    run: RunId | None = None  # the drill it belongs to; an incident that there is already keeps its own
    units: list[UnitId] = Field(min_length=1, max_length=32)


class Member(Reply):
    id: MemberId
    unit: UnitId
    unit_name: str
    user: UserId | None
    name: str | None
    host: bool
    state: MemberState
    rung_at: int
    answered_at: int | None
    joined_at: int | None
    audio: bool
    video: bool
    publishing: bool  # the relay receives media of this member


class Conference(Reply):
    id: ConferenceId
    title: str
    incident: IncidentId | None
    run: RunId | None
    opened_by: str
    opened_at: int
    ended_at: int | None
    stage: CameraId | None
    stage_name: str | None
    stage_name_en: str | None
    members: list[Member]


class Conferences(Reply):
    items: list[Conference]


# drills -------------------------------------------------------------------------------------------


class Scenario(Reply):
    id: str
    title: str
    text: str  # the YAML as written
    rubric: str  # the YAML of the rubric
    sha256: str
    units: list[UnitId]
    injects: int
    items: int


class Scenarios(Reply):
    items: list[Scenario]


class NewScenario(Request):
    text: Annotated[str, StringConstraints(min_length=1, max_length=65_536)]
    rubric: Annotated[str, StringConstraints(min_length=1, max_length=65_536)]


class NewRun(Request):
    scenario: Id


class RunInject(Reply):
    id: str
    at_s: int
    title: str
    sender: str
    recipient: str
    method: str
    message: str
    expected: str
    injected_at: int | None


class Run(Reply):
    id: RunId
    title: str
    scenario: str
    state: RunState
    planned_at: int
    started_at: int | None
    ended_at: int | None
    by_name: str
    units: list[UnitId]
    injects: list[RunInject]
    incident: IncidentId | None
    points: str | None  # decimal; set once scored
    of: str | None
    sealed: bool


class Runs(Reply):
    items: list[Run]
    total: int


class ScoreEvidence(Reply):
    seq: int
    kind: str
    at: int
    unit: str
    unit_name: str


class ScoreDetail(Reply):
    """One thing asked of one unit, within an item."""

    unit: str
    unit_name: str
    outcome: Literal["in_time", "late", "missing", "unfinished"]
    measured_ms: int | None
    percent: str | None  # of its worth, a decimal; None: it carries no mark
    evidence: list[int]  # sequence numbers in the log


class ScoreItem(Reply):
    id: str
    title: str
    title_en: str
    metric: str
    form: str
    points: str | None  # None: held or not exercised
    of: str
    status: Literal["scored", "zero", "held", "not_exercised"]
    explanation: str  # measured value and limit, in Chinese
    explanation_en: str
    measured_ms: int | None
    evidence: list[ScoreEvidence]
    details: list[ScoreDetail]


class ScoreSheet(Reply):
    run: RunId
    title: str
    rubric: str  # its title
    rubric_en: str
    language: Literal["zh", "en"]
    rubric_sha256: str
    scenario_sha256: str
    log_from: int
    log_to: int
    started_at: int
    ended_at: int
    points: str
    of: str  # of the items that carry points
    full: str  # of the whole sheet
    items: list[ScoreItem]
    sheet_sha256: str


class EndRun(Request):
    reason: Note = ""


# log and system -----------------------------------------------------------------------------------


class EventItem(Reply):
    seq: int
    kind: str
    at: int
    unit: str
    ref: str
    by_name: str | None
    data: dict[str, Any] | None


class Events(Reply):
    items: list[EventItem]
    next: int  # pass as ?after=


class Node(Reply):
    id: str
    role: str
    since: int
    seen_at: int
    load: float


class Model(Reply):
    name: str
    source: Literal["environment", "data", "official", "demonstration", "none"]
    demonstration: bool
    sha256: str | None


class System(Reply):
    name: str
    version: str
    demo: bool
    now: int
    model: Model
    nodes: list[Node]


class IceServer(Reply):
    urls: list[str]
    username: str
    credential: str


class IceServers(Reply):
    items: list[IceServer]
    expires_at: int
    only: bool  # RTCConfiguration.iceTransportPolicy is "relay"


class ErrorBody(Reply):
    id: str
    message: str
    line: int | None = None
    column: int | None = None
    field: str | None = None


class Error(Reply):
    error: ErrorBody
