"""Scores: the same bytes for the same log, and the three kinds of no points kept apart."""

import json
import random
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.envelope import Unscorable
from drills.report import render, width
from drills.rubric import Rubric
from drills.score import Mark, Run, Sheet, score
from tests.unit.drills.logs import CALL, INCIDENT, RUN, START, Event, Log, call, good_run, moved, order
from tests.unit.drills.rubrics import five, one

THE_RUN = Run(RUN, "演练一", ("a", "b"), "0" * 64)
ANSWER = "metric: call.answered, points: 10, form: threshold, within: 60s"
JOIN = "metric: call.joined, points: 10, form: linear, full: 60s, zero: 300s"
STAGE = "metric: stage.camera, points: 10, form: threshold, within: 300s"
SIGN = "metric: order.signed, points: 10, form: threshold, within: due"
FEEDBACK = "metric: order.feedback, points: 10, form: counts, within: due, late: 1, missing: 3, false: 5"


def mark(log: list[Event], rubric: Rubric, run: Run = THE_RUN) -> Mark:
    """The only mark."""
    (found,) = score(log, rubric, run).items
    return found


def sheet(log: list[Event]) -> Sheet:
    """The five items."""
    return score(log, five(), THE_RUN)


def test_a_run_in_which_all_went_well_has_all_points_and_the_events_that_prove_them() -> None:
    found = sheet(good_run().events)
    assert (found.points, found.of, found.full) == ("100.00", "100.00", "100.00")
    assert {item.id: [event.seq for event in item.evidence] for item in found.items} == {
        "answered": [3, 4, 6, 7],
        "joined": [3, 5, 6, 8],
        "staged": [2, 9],
        "signed": [10, 11, 13, 14],
        "feedback": [10, 12, 13, 15],
    }
    assert {item.id: item.measured_ms for item in found.items} == {
        "answered": 21_000, "joined": 31_000, "staged": 55_000, "signed": 45_000, "feedback": 380_000,
    }  # fmt: skip
    assert (found.log_from, found.log_to) == (1, 16)


def test_a_mark_says_what_was_measured_in_both_languages() -> None:
    log = good_run()
    text = mark(log.events, one(ANSWER))
    assert text.explanation == "应完成 2 项，按时 2 项，用时 12.0 至 30.0 秒；≤ 60 秒得分，否则零分，各单位取平均"
    assert text.explanation_en == "2 asked, 2 in time, took 12.0 to 30.0 s; all ≤ 60 s, else nothing, mean over units"


def test_late_costs_by_the_form_and_only_the_late_unit_half_the_points() -> None:
    log = Log()
    log.add("drill.started", 0)
    call(log, "a", 10, 20, 20)
    call(log, "b", 10, 71, 190)
    log.add("drill.ended", 3600)
    assert mark(log.events, one(ANSWER)).points == "5.00"
    assert mark(log.events, one(JOIN)).points == "7.50"


def test_not_done_is_zero_and_names_the_event_that_asked() -> None:
    log = Log()
    log.add("drill.started", 0)
    asked = log.add("conference.rung", 10, "a", CALL)
    log.add("drill.ended", 3600)
    found = mark(log.events, one(ANSWER))
    assert (found.status, found.points, [event.seq for event in found.evidence]) == ("zero", "0.00", [asked.seq])
    assert found.measured_ms is None


def test_declined_is_zero_even_where_the_drill_ends_before_the_limit() -> None:
    log = Log()
    log.add("drill.started", 0)
    log.add("conference.rung", 10, "a", CALL)
    no = log.add("conference.declined", 12, "a", CALL)
    log.add("drill.ended", 13)
    found = mark(log.events, one(ANSWER))
    assert (found.status, found.evidence[-1].seq) == ("zero", no.seq)


def test_nothing_asked_is_not_exercised_and_leaves_the_total_alone() -> None:
    log = good_run()
    found = sheet(log.without("order.issued", "order.signed", "order.feedback"))
    states = {item.id: (item.status, item.points) for item in found.items}
    assert states["signed"] == states["feedback"] == ("not_exercised", None)
    assert (found.points, found.of, found.full) == ("60.00", "60.00", "100.00")


def test_nothing_asked_is_zero_where_the_rubric_says_so() -> None:
    log = good_run()
    found = sheet(log.without("incident.opened"))
    staged = found.items[2]
    assert (staged.status, staged.points, [event.seq for event in staged.evidence]) == ("zero", "0.00", [1, 16])
    assert (found.points, found.of) == ("80.00", "100.00")


def test_no_camera_on_the_stage_of_the_incident_is_zero() -> None:
    log = good_run()
    assert mark(log.without("conference.staged"), one(STAGE)).status == "zero"
    other = [
        moved(e, data={"run": RUN, "incident": "inc-2"}) if e.kind == "conference.staged" else e for e in log.events
    ]
    assert mark(other, one(STAGE)).status == "zero"


def test_what_the_end_of_the_drill_cut_short_carries_no_mark() -> None:
    log = Log()
    log.add("drill.started", 0)
    order(log, "o-1", "a", 10, 20, None)
    order(log, "o-2", "b", 10, None, None)
    log.add("drill.ended", 100)
    signed = mark(log.events, one(SIGN))
    assert (signed.points, [detail.outcome for detail in signed.details]) == ("10.00", ["in_time", "unfinished"])
    feedback = mark(log.events, one(FEEDBACK))
    assert (feedback.status, feedback.points) == ("not_exercised", None)


def with_failure(log: Log, at: float, role: str = "api") -> list[Event]:
    """The log with a node lost at that time, at the place where the log would have it."""
    moment = START + round(at * 1000)
    events = [moved(event, seq=event.seq * 10) for event in log.events]
    before = max(event.seq for event in events if event.at <= moment)
    return [*events, Event(before + 5, "system.node_lost", moment, data={"node": "n-1", "role": role})]


def late_signature() -> Log:
    """One order signed 20 s late."""
    log = Log()
    log.add("drill.started", 0)
    order(log, "o-1", "a", 100, 300, 400)
    log.add("drill.ended", 3600)
    return log


def test_a_failure_of_the_hub_in_the_window_holds_the_item_and_is_evidence() -> None:
    log = late_signature()
    assert mark(log.events, one(SIGN)).status == "zero"
    events = with_failure(log, 200)
    found = mark(events, one(SIGN))
    assert (found.status, found.points) == ("held", None)
    assert "system.node_lost" in [event.kind for event in found.evidence]
    assert "不扣分" in found.explanation
    assert score(events, one(SIGN), THE_RUN).of == "0.00"


@pytest.mark.parametrize(("at", "status"), [(84.9, "zero"), (85, "held"), (315, "held"), (315.1, "zero")])
def test_a_failure_counts_from_its_margin_before_to_its_margin_after(at: float, status: str) -> None:
    assert mark(with_failure(late_signature(), at), one(SIGN)).status == status


def test_the_loss_of_a_node_that_has_nothing_to_do_with_it_holds_nothing() -> None:
    assert mark(with_failure(late_signature(), 200, "vision"), one(SIGN)).status == "zero"
    assert mark(with_failure(late_signature(), 200, "something new"), one(SIGN)).status == "held"


def test_a_hub_that_starts_in_the_middle_was_away_before_and_holds_what_it_touched() -> None:
    events = [moved(event, kind="system.started") if event.kind == "system.node_lost" else event
              for event in with_failure(late_signature(), 200)]  # fmt: skip
    assert mark(events, one(SIGN)).status == "held"


def test_a_failure_takes_no_points_from_those_who_did_well_in_spite_of_it() -> None:
    log = good_run()
    found = score(with_failure(log, 80), one(SIGN), THE_RUN)
    assert (found.items[0].status, found.points) == ("scored", "10.00")


def test_refused_feedback_costs_and_the_review_is_evidence() -> None:
    log = Log()
    log.add("drill.started", 0)
    order(log, "o-1", "a", 10, 20, 30)
    review = log.add("order.reviewed", 40, "a", "o-1", accepted=False)
    log.add("order.feedback", 50, "a", "o-1")
    log.add("order.reviewed", 60, "a", "o-1", accepted=True)
    log.add("drill.ended", 3600)
    found = mark(log.events, one(FEEDBACK))
    assert found.points == "5.00"
    assert review.seq in [event.seq for event in found.evidence]


def test_a_second_ring_does_not_restart_the_clock() -> None:
    log = Log()
    log.add("drill.started", 0)
    log.add("conference.rung", 10, "a", CALL)
    log.add("conference.missed", 55, "a", CALL)
    call(log, "a", 60, 75, 75)
    log.add("drill.ended", 3600)
    assert mark(log.events, one(ANSWER)).measured_ms == 65_000


def test_units_outside_the_scenario_are_not_judged() -> None:
    log = good_run()
    assert len(mark(log.events, one(SIGN), Run(RUN, "演练", ("a",))).details) == 1


@pytest.mark.parametrize(("gone", "id"), [("drill.started", "not_started"), ("drill.ended", "not_ended")])
def test_a_run_that_has_not_ended_cannot_be_scored(gone: str, id: str) -> None:
    with pytest.raises(Unscorable) as caught:
        sheet(good_run().without(gone))
    assert caught.value.id == id


def test_an_erased_event_in_the_run_is_said_and_not_guessed() -> None:
    events = [moved(event, data=None) if event.kind == "order.signed" else event for event in good_run().events]
    with pytest.raises(Unscorable) as caught:
        sheet(events)
    assert caught.value.id == "erased"
    with pytest.raises(Unscorable, match="twice"):
        sheet([*good_run().events, good_run().events[3]])


def test_events_before_the_start_after_the_end_and_of_others_do_not_count() -> None:
    log = good_run()
    wide = [moved(event, seq=event.seq + 100) for event in log.events]
    early = Event(1, "order.issued", START, "a", "o-9", {"run": RUN, "sign_due_at": START})
    late = Event(900, "order.issued", START + 1, "a", "o-8", {"run": RUN, "sign_due_at": START})
    real = Event(105, "order.issued", START + 1, "a", "o-7", {"run": None, "sign_due_at": START})
    wide = [moved(event, seq=event.seq * 2) for event in wide]
    assert sheet([early, late, moved(real, seq=211), *wide]) == sheet(wide)


def bent(draw_at: list[int]) -> list[Event]:
    """A run whose events after the start happen at drawn times (ms), kept in order."""
    log = good_run()
    inner = log.events[1:-1]
    times = sorted(draw_at)[: len(inner)]
    return [log.events[0], *(moved(e, at=START + t) for e, t in zip(inner, times, strict=True)), log.events[-1]]


instants = st.lists(st.integers(0, 3_600_000), min_size=14, max_size=14)


@given(instants, st.integers(), st.integers(0, 40))
def test_recomputing_gives_the_same_bytes_however_the_log_is_read(at: list[int], shuffle: int, noise: int) -> None:
    events = [moved(event, seq=event.seq * 50) for event in bent(at)]
    first = sheet(events)
    others = [
        moved(event, seq=event.seq + 7, ref=event.ref + "x", data={**(event.data or {}), "run": "other"})
        for event in events[: noise % 15]
    ]
    loose = [Event(60 * n + 11, "camera.viewed", START, "a", "cam", None) for n in range(noise)]
    mixed = [*events, *others, *loose]
    random.Random(shuffle).shuffle(mixed)
    with localcontext(Context(prec=3)):
        again = sheet(mixed)
    assert again.to_bytes() == first.to_bytes()
    assert again.sha256 == first.sha256


@given(instants)
def test_points_add_up_and_no_mark_leaves_its_item(at: list[int]) -> None:
    found = sheet(bent(at))
    assert sum(Decimal(item.points or 0) for item in found.items) == Decimal(found.points)
    assert all(Decimal(0) <= Decimal(item.points or 0) <= Decimal(item.of) for item in found.items)
    assert all(item.evidence for item in found.items if item.points is not None)


def test_the_bytes_are_canonical_and_hold_no_floats() -> None:
    data = sheet(good_run().events).to_bytes()
    parsed = json.loads(data, parse_float=lambda text: pytest.fail(f"a float: {text}"))
    assert json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data


def test_a_known_log_keeps_its_hash() -> None:
    """The format is frozen: whoever changes these bytes makes old sheets irreproducible, and must raise ``format``."""
    assert sheet(good_run().events).sha256 == "2ee233117f33e0e70f76d0378e0180c938bfafa5496414116bb08e7a1b018ab1"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_report_is_aligned_where_letters_are_wide_and_names_every_item(language: str) -> None:
    found = sheet(good_run().without("order.issued"))
    text = render(found, language)
    rows = [line for line in text.splitlines() if line.startswith(("接警", "到位", "上屏", "签收"))]
    assert len(rows) == 4
    assert len({width(row[: row.index("20.00  ")] if row.count("20.00") == 1 else row[: row.rindex("20.00")]) for row in rows}) == 1  # fmt: skip  # noqa: E501
    assert found.sha256 in text
    assert ("未计分项满分 40.00" if language == "zh" else "items without points: 40.00") in text
    assert INCIDENT not in text
