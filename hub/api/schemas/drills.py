"""Drills: scenarios, runs, score sheets."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from hub.api.schemas.base import Note, Reply, Request
from hub.domain.ids import Id, IncidentId, RunId, UnitId

RunState = Literal["planned", "running", "ended"]


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
