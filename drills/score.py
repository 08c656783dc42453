"""From a log, a rubric and a run to a sheet. Pure: the same input gives the same bytes, anywhere, at any time."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from drills import wording
from drills.envelope import Envelope, Slice, cut
from drills.formula import Outcome, Verdict
from drills.metrics import KINDS
from drills.rubric import Item, Rubric

FORMAT: Final = 1


class Status(StrEnum):
    """Three kinds of no points are three different things."""

    SCORED = "scored"
    ZERO = "zero"  # asked and not done, or not done in time
    HELD = "held"  # the hub itself failed meanwhile: an evaluator decides, nobody loses
    NOT_EXERCISED = "not_exercised"  # nothing in the run asked for it


@dataclass(frozen=True, slots=True)
class Run:
    """The run to be scored, as it was planned."""

    id: str
    title: str
    units: tuple[str, ...]
    scenario_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One event that proves a mark."""

    seq: int
    kind: str
    at: int
    unit: str


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing asked, within an item. ``percent`` of its worth, two decimals; None when it carries no mark."""

    unit: str
    outcome: str
    measured_ms: int | None
    percent: str | None
    evidence: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One item of the sheet. ``points`` is None when held or not exercised. ``measured_ms``: mean of the done."""

    id: str
    title: str
    title_en: str
    metric: str
    form: str
    points: str | None
    of: str
    status: str
    explanation: str
    explanation_en: str
    measured_ms: int | None
    evidence: tuple[Evidence, ...]
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A filled sheet. ``points`` out of ``of`` counts only the items that carry points; ``full`` is the whole sheet.

    ``log_from`` and ``log_to`` are the sequence numbers of the run's start and end.
    """

    format: int
    run: str
    title: str
    rubric: str
    rubric_en: str
    language: str
    rubric_sha256: str
    scenario_sha256: str
    log_from: int
    log_to: int
    started_at: int
    ended_at: int
    points: str
    of: str
    full: str
    items: tuple[Mark, ...]

    def to_bytes(self) -> bytes:
        """Canonical JSON in UTF-8: sorted keys, no spaces, decimals as text."""
        data: dict[str, Any] = asdict(self)
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @property
    def sha256(self) -> str:
        """Hash of the canonical bytes, in hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def score(log: Iterable[Envelope], rubric: Rubric, run: Run) -> Sheet:
    """Fill the rubric's sheet from the run's part of the log. Raises Unscorable (``drills.envelope``)."""
    events = cut(log, run.id, KINDS)
    marks = tuple(_mark(item, events, frozenset(run.units)) for item in rubric.items)
    counted = [mark for mark in marks if mark.points is not None]
    return Sheet(
        format=FORMAT,
        run=run.id,
        title=run.title,
        rubric=rubric.title,
        rubric_en=rubric.title_en,
        language=rubric.language,
        rubric_sha256=rubric.sha256,
        scenario_sha256=run.scenario_sha256,
        log_from=events.started.seq,
        log_to=events.ended.seq,
        started_at=events.started.at,
        ended_at=events.ended.at,
        points=_two(sum((Fraction(mark.points or 0) for mark in counted), Fraction(0))),
        of=_two(sum((Fraction(mark.of) for mark in counted), Fraction(0))),
        full=_two(sum((Fraction(mark.of) for mark in marks), Fraction(0))),
        items=marks,
    )


def _mark(item: Item, events: Slice, units: frozenset[str]) -> Mark:
    found = item.metric.observe(events, units)
    verdicts = [item.form.verdict(observation) for observation in found]
    judged = [verdict for verdict in verdicts if verdict.outcome is not Outcome.UNFINISHED]
    status, points, proof = Status.NOT_EXERCISED, None, _proof(verdicts)
    if judged:
        total = item.form.total(judged, Fraction(item.points))
        status = Status.SCORED if total else Status.ZERO
        points = _two(total)
        if any(verdict.observation.faults and not verdict.perfect for verdict in judged):
            status, points = Status.HELD, None
    elif not found and item.absent == "zero":
        status, points, proof = Status.ZERO, _two(Fraction(0)), (events.started, events.ended)
    explain = wording.explain(item, verdicts, status.value)
    return Mark(
        id=item.id,
        title=item.title,
        title_en=item.title_en,
        metric=item.metric.id,
        form=item.form.name,
        points=points,
        of=_two(Fraction(item.points)),
        status=status.value,
        explanation=explain["zh"],
        explanation_en=explain["en"],
        measured_ms=_mean_ms(judged),
        evidence=tuple(Evidence(event.seq, event.kind, event.at, event.unit) for event in proof),
        details=tuple(_detail(verdict) for verdict in verdicts),
    )


def _detail(verdict: Verdict) -> Detail:
    item = verdict.observation
    return Detail(
        unit=item.unit,
        outcome=verdict.outcome.value,
        measured_ms=item.elapsed,
        percent=None if verdict.outcome is Outcome.UNFINISHED else _two(verdict.worth * 100),
        evidence=tuple(event.seq for event in item.evidence),
    )


def _proof(verdicts: Sequence[Verdict]) -> tuple[Envelope, ...]:
    found = {event.seq: event for verdict in verdicts for event in verdict.observation.evidence}
    return tuple(found[seq] for seq in sorted(found))


def _mean_ms(verdicts: Sequence[Verdict]) -> int | None:
    done = [verdict.observation.elapsed for verdict in verdicts if verdict.observation.elapsed is not None]
    return (2 * sum(done) + len(done)) // (2 * len(done)) if done else None


def _two(number: Fraction) -> str:
    """Two decimals, halves up, with integers only: no context, no locale, no platform can change it."""
    hundredths = (200 * number.numerator + number.denominator) // (2 * number.denominator)
    return str(Decimal((0, tuple(int(digit) for digit in str(hundredths)), -2)))
