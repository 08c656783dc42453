"""Forms: at their limits, and never better for being later."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.formula import Counts, Form, Linear, Outcome, Ratio, Step, Steps, Threshold
from drills.metrics import Observation


@dataclass(frozen=True)
class E:
    """A bare event."""

    at: int
    seq: int = 1
    kind: str = "k"
    unit: str = "u"
    ref: str = "r"
    data: dict[str, Any] = field(default_factory=dict)


def done(
    elapsed: int | None, *, unit: str = "u", until: int = 10**9, due: int | None = None, **more: Any
) -> Observation:
    """One thing asked at 0 and done after ``elapsed`` ms, or not."""
    return Observation(unit, E(0), None if elapsed is None else E(elapsed, 2), until, due=due, **more)


STEPS = Steps((Step(60_000, Fraction(100)), Step(120_000, Fraction(70)), Step(300_000, Fraction(40))))
LINEAR = Linear(60_000, 300_000)
FORMS: list[Form] = [STEPS, LINEAR, Threshold(180_000), Counts(180_000, *map(Fraction, (1, 3, 5))), Ratio(180_000, Fraction(1))]  # fmt: skip  # noqa: E501
POINTS = Fraction(10)


def points(form: Form, *observations: Observation) -> Fraction:
    """Points out of ten."""
    return form.total([form.verdict(item) for item in observations], POINTS)


@pytest.mark.parametrize(
    ("ms", "worth"),
    [(0, 10), (60_000, 10), (60_001, 7), (120_000, 7), (120_001, 4), (300_000, 4), (300_001, 0), (None, 0)],
)
def test_steps_hold_up_to_and_including_their_limit(ms: int | None, worth: int) -> None:
    assert points(STEPS, done(ms)) == worth


@pytest.mark.parametrize(
    ("ms", "worth"), [(0, 10), (60_000, 10), (180_000, 5), (299_976, Fraction(1, 1000)), (300_000, 0), (None, 0)]
)
def test_linear_falls_evenly_and_exactly(ms: int | None, worth: Fraction) -> None:
    assert points(LINEAR, done(ms)) == worth


@pytest.mark.parametrize(("ms", "worth"), [(180_000, 10), (180_001, 0), (None, 0)])
def test_threshold_is_all_or_nothing(ms: int | None, worth: int) -> None:
    assert points(Threshold(180_000), done(ms)) == worth


def test_due_takes_the_limit_of_the_request_itself() -> None:
    assert points(Threshold(None), done(500, due=500)) == 10
    assert points(Threshold(None), done(501, due=500)) == 0


def test_counts_deduct_for_late_missing_and_refused_and_stop_at_nothing() -> None:
    form = Counts(100, *map(Fraction, (1, 3, 5)))
    refused = done(50, refused=(E(60, 3),))
    assert points(form, done(100)) == 10
    assert points(form, done(101)) == 9
    assert points(form, done(None)) == 7
    assert points(form, refused) == 5
    assert points(form, done(101), done(None), refused) == 1
    assert points(form, done(None), done(None), done(None), done(None)) == 0


def test_ratio_deducts_by_percentage_point() -> None:
    form = Ratio(100, Fraction(1, 10))
    assert points(form, done(1), done(2)) == 10
    assert points(form, done(1), done(None)) == 5
    assert points(form, done(1), done(1), done(101)) == 10 - Fraction(100, 30)
    assert points(Ratio(100, Fraction(1)), done(1), done(None)) == 0


def test_units_weigh_alike_however_often_each_was_asked() -> None:
    assert points(Threshold(10), done(1, unit="a"), done(1, unit="a"), done(1, unit="a"), done(99, unit="b")) == 5


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_the_end_of_the_drill_cut_short_is_neither_good_nor_bad(form: Form) -> None:
    assert form.verdict(done(None, until=179_999)).outcome is Outcome.UNFINISHED
    assert form.verdict(done(None, until=300_000)).outcome is Outcome.MISSING
    assert form.verdict(done(None, until=10, ruled_out=E(5, 2))).outcome is Outcome.MISSING


times = st.none() | st.integers(0, 1_000_000)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@given(first=st.integers(0, 1_000_000), later=times, others=st.lists(times, max_size=4))
def test_later_is_never_better(form: Form, first: int, later: int | None, others: list[int | None]) -> None:
    if later is not None:
        first, later = sorted((first, later))
    rest = [done(ms, unit=f"u{index % 2}") for index, ms in enumerate(others)]
    before, after = points(form, done(first), *rest), points(form, done(later), *rest)
    assert 0 <= after <= before <= POINTS
