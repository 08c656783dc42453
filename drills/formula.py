"""What an observation is worth: the forms of an item, pure and exact (Fraction inside, no rounding, no floats)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Final, TypeAlias

from drills.metrics import Observation

ONE: Final = Fraction(1)
ZERO: Final = Fraction(0)


class Outcome(StrEnum):
    """What became of one thing asked."""

    IN_TIME = "in_time"
    LATE = "late"
    MISSING = "missing"
    UNFINISHED = "unfinished"  # the drill ended before the limit did: no mark, neither good nor bad


@dataclass(frozen=True, slots=True)
class Verdict:
    """One observation under one form. ``worth``: 0 to 1. ``refused``: answers that were sent back."""

    observation: Observation
    outcome: Outcome
    worth: Fraction
    refused: int = 0

    @property
    def perfect(self) -> bool:
        """Whether nothing at all was lost, so that a failure of the hub did no harm."""
        return self.worth == 1 and self.refused == 0


@dataclass(frozen=True, slots=True)
class Step:
    """Up to ``within_ms`` (inclusive), ``percent`` of the points."""

    within_ms: int
    percent: Fraction


@dataclass(frozen=True, slots=True)
class Steps:
    """Bands: the first step that holds counts; beyond the last, nothing."""

    name: ClassVar[str] = "steps"
    steps: tuple[Step, ...]

    def verdict(self, item: Observation) -> Verdict:
        """Judge one observation."""
        last = self.steps[-1].within_ms
        elapsed = item.elapsed
        if elapsed is None:
            return _not_done(item, last)
        worth = next((step.percent / 100 for step in self.steps if elapsed <= step.within_ms), ZERO)
        return Verdict(item, Outcome.IN_TIME if elapsed <= last else Outcome.LATE, worth)

    def total(self, verdicts: Sequence[Verdict], points: Fraction) -> Fraction:
        """Points of the item: mean over units of the mean of each."""
        return points * _mean_over_units(verdicts)


@dataclass(frozen=True, slots=True)
class Linear:
    """All of it up to ``full_ms``, falling evenly to nothing at ``zero_ms``."""

    name: ClassVar[str] = "linear"
    full_ms: int
    zero_ms: int

    def verdict(self, item: Observation) -> Verdict:
        """Judge one observation."""
        elapsed = item.elapsed
        if elapsed is None:
            return _not_done(item, self.zero_ms)
        worth = min(ONE, max(ZERO, Fraction(self.zero_ms - elapsed, self.zero_ms - self.full_ms)))
        return Verdict(item, Outcome.IN_TIME if worth else Outcome.LATE, worth)

    def total(self, verdicts: Sequence[Verdict], points: Fraction) -> Fraction:
        """Points of the item: mean over units of the mean of each."""
        return points * _mean_over_units(verdicts)


@dataclass(frozen=True, slots=True)
class Threshold:
    """All or nothing at a limit; ``within_ms`` None: the limit that each request carried itself."""

    name: ClassVar[str] = "threshold"
    within_ms: int | None

    def verdict(self, item: Observation) -> Verdict:
        """Judge one observation."""
        return _by_limit(item, self.within_ms)

    def total(self, verdicts: Sequence[Verdict], points: Fraction) -> Fraction:
        """Points of the item: mean over units of the mean of each."""
        return points * _mean_over_units(verdicts)


@dataclass(frozen=True, slots=True)
class Counts:
    """Deductions in points for each late, missing and refused ("false") answer, down to nothing."""

    name: ClassVar[str] = "counts"
    within_ms: int | None
    late: Fraction
    missing: Fraction
    false: Fraction

    def verdict(self, item: Observation) -> Verdict:
        """Judge one observation."""
        verdict = _by_limit(item, self.within_ms)
        return Verdict(item, verdict.outcome, verdict.worth, len(item.refused) if self.false else 0)

    def total(self, verdicts: Sequence[Verdict], points: Fraction) -> Fraction:
        """Points of the item: all of them less the deductions."""
        lost = sum((self.false * verdict.refused for verdict in verdicts), ZERO)
        lost += self.late * sum(verdict.outcome is Outcome.LATE for verdict in verdicts)
        lost += self.missing * sum(verdict.outcome is Outcome.MISSING for verdict in verdicts)
        return max(ZERO, points - lost)


@dataclass(frozen=True, slots=True)
class Ratio:
    """``per_percent`` points off for each percentage point of the asked that was not done in time."""

    name: ClassVar[str] = "ratio"
    within_ms: int | None
    per_percent: Fraction

    def verdict(self, item: Observation) -> Verdict:
        """Judge one observation."""
        return _by_limit(item, self.within_ms)

    def total(self, verdicts: Sequence[Verdict], points: Fraction) -> Fraction:
        """Points of the item."""
        done = sum(verdict.outcome is Outcome.IN_TIME for verdict in verdicts)
        missing = Fraction(100 * (len(verdicts) - done), len(verdicts))
        return max(ZERO, points - self.per_percent * missing)


Form: TypeAlias = Steps | Linear | Threshold | Counts | Ratio


def _by_limit(item: Observation, within_ms: int | None) -> Verdict:
    limit = within_ms
    if limit is None:
        limit = item.until - item.start.at if item.due is None else item.due - item.start.at
    elapsed = item.elapsed
    if elapsed is None:
        return _not_done(item, limit)
    in_time = elapsed <= limit
    return Verdict(item, Outcome.IN_TIME if in_time else Outcome.LATE, ONE if in_time else ZERO)


def _not_done(item: Observation, limit: int) -> Verdict:
    """Not done: missing once the limit passed or the unit itself said no; before that, unfinished."""
    sure = item.ruled_out is not None or item.until - item.start.at >= limit
    return Verdict(item, Outcome.MISSING if sure else Outcome.UNFINISHED, ZERO)


def _mean_over_units(verdicts: Sequence[Verdict]) -> Fraction:
    """Units weigh alike, however often each was asked."""
    by_unit: dict[str, list[Fraction]] = {}
    for verdict in verdicts:
        by_unit.setdefault(verdict.observation.unit, []).append(verdict.worth)
    means = [sum(worths, ZERO) / len(worths) for worths in by_unit.values()]
    return sum(means, ZERO) / len(means)
