"""Crowd and intrusion: when they fire, when they keep quiet, when they fire again."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.detections import Detections
from vision.rules.base import NEXT, BadRule, Episode, Phase, Seen, Timing, Verdict
from vision.rules.crowd import Crowd
from vision.rules.intrusion import Intrusion, inside

PERSON, BUS = 0, 5
SQUARE = [(0.4, 0.4), (0.8, 0.4), (0.8, 0.9), (0.4, 0.9)]

Track = list[tuple[int, bool]]


def people(count: int, confidence: float = 0.8, kind: int = PERSON) -> Detections:
    return Detections.of([[0.1, 0.1, 0.2, 0.5]] * count, [confidence] * count, [kind] * count)


def standing_at(x: float, y: float, confidence: float = 0.8) -> Detections:
    return Detections.of([[x - 0.05, y - 0.3, x + 0.05, y]], [confidence], [PERSON])


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    """Pictures at growing times, mostly 2 s apart, sometimes after a gap; each with or without the thing."""
    steps = draw(st.lists(st.tuples(st.sampled_from([500, 2_000, 2_000, 4_000, 11_000]), st.booleans()), max_size=60))
    times = itertools.accumulate((step for step, _ in steps), initial=1_000)
    return list(zip(itertools.islice(times, 1, None), (present for _, present in steps), strict=False))


def told(track: Track, timing: Timing) -> list[tuple[int, Verdict]]:
    episode = Episode(timing)
    return [(at, verdict) for at, present in track if (verdict := episode.see(present, at)) is not Verdict.NOTHING]


def test_every_phase_has_an_answer_to_every_picture() -> None:
    assert set(NEXT) == set(itertools.product(Phase, Seen))


@given(tracks(), st.integers(0, 12_000))
def test_nothing_is_raised_before_it_was_present_for_the_time(track: Track, hold: int) -> None:
    timing = Timing(hold=hold)
    for at, verdict in told(track, timing):
        if verdict is not Verdict.RAISE:
            continue
        present = [t for t, shown in track if shown and t <= at]
        assert present[-1] == at  # what is raised is to be seen in that very picture
        run = [at]
        for earlier in reversed(present[:-1]):
            if run[-1] - earlier > timing.gap:  # the coarsest break that the rule may bridge
                break
            run.append(earlier)
        assert at - run[-1] >= hold


@given(tracks(), st.integers(0, 6_000))
def test_it_is_raised_again_only_after_it_had_been_clear(track: Track, hold: int) -> None:
    timing = Timing(hold=hold)
    raised = [at for at, verdict in told(track, timing) if verdict is Verdict.RAISE]
    for first, second in itertools.pairwise(raised):
        absent = [
            [at for at, _ in group]
            for shown, group in itertools.groupby([p for p in track if first < p[0] < second], key=lambda p: p[1])
            if not shown
        ]
        assert any(run[-1] - run[0] >= timing.clear for run in absent)


@given(tracks())
def test_repeats_are_half_a_minute_apart(track: Track) -> None:
    reported = 0
    for at, verdict in told(track, Timing(hold=0)):
        if verdict is Verdict.REPEAT:
            assert at - reported >= 30_000
        reported = at


@given(tracks(), st.integers(0, 4_000))
def test_what_stands_long_enough_is_raised(track: Track, hold: int) -> None:
    """A rule that never fires would pass the others."""
    last = track[-1][0] if track else 0
    track = [*track, *((last + 20_000 + 2_000 * n, True) for n in range(4))]
    assert told(track, Timing(hold=hold))


def test_a_lasting_crowd_is_raised_once_and_then_repeated() -> None:
    rule = Crowd("r", person=PERSON, persons=3, seconds=4.0)
    fired = [found for at in range(0, 72_000, 2_000) if (found := rule.observe(people(4), at)) is not None]
    assert [(found.at, found.repeat) for found in fired] == [(4_000, False), (34_000, True), (64_000, True)]
    assert len(fired[0].boxes) == 4


def test_one_picture_that_misses_a_person_does_not_break_the_crowd() -> None:
    rule = Crowd("r", person=PERSON, persons=3, seconds=4.0)
    seen = [rule.observe(people(count), at) for at, count in ((0, 3), (2_000, 2), (4_000, 3))]
    assert seen[2] is not None


def test_two_such_pictures_do() -> None:
    rule = Crowd("r", person=PERSON, persons=3, seconds=4.0)
    assert not any(rule.observe(people(count), 2_000 * n) for n, count in enumerate((3, 2, 2, 3, 3)))


def test_time_without_pictures_does_not_count_as_presence() -> None:
    rule = Crowd("r", person=PERSON, persons=3, seconds=30.0)
    assert not any(rule.observe(people(5), at) for at in (0, 2_000, 60_000, 62_000))


def test_a_crowd_counts_only_persons_that_are_sure_enough() -> None:
    rule = Crowd("r", person=PERSON, persons=3, seconds=0)
    assert rule.observe(people(9, confidence=0.39), 0) is None
    assert rule.observe(people(9, kind=BUS), 2_000) is None
    assert rule.observe(people(2), 4_000) is None
    assert rule.observe(people(3), 6_000) is not None


def test_the_score_of_a_crowd_is_that_of_the_person_who_completes_it() -> None:
    mixed = Detections.of([[0, 0, 0.1, 0.1]] * 4, [0.9, 0.5, 0.8, 0.45], [PERSON] * 4)
    found = Crowd("r", person=PERSON, persons=3, seconds=0).observe(mixed, 0)
    assert found is not None
    assert found.score == pytest.approx(0.5)


def test_an_intruder_is_raised_at_once_and_again_after_the_zone_was_clear() -> None:
    rule = Intrusion("r", person=PERSON, polygon=SQUARE)
    walk = [0.2, 0.5, 0.6, 0.9, 0.9, 0.9, 0.9, 0.9, 0.6]
    fired = [2_000 * n for n, x in enumerate(walk) if rule.observe(standing_at(x, 0.7), 2_000 * n)]
    assert fired == [2_000, 16_000]


def test_whoever_steps_out_for_a_moment_is_no_new_intruder() -> None:
    rule = Intrusion("r", person=PERSON, polygon=SQUARE)
    walk = [0.5, 0.9, 0.9, 0.5]
    assert [n for n, x in enumerate(walk) if rule.observe(standing_at(x, 0.7), 2_000 * n)] == [0]


def test_the_feet_decide_not_the_head() -> None:
    rule = Intrusion("r", person=PERSON, polygon=SQUARE)
    assert rule.observe(standing_at(0.6, 0.95), 0) is None  # the body covers the zone, the feet stand before it
    assert rule.observe(standing_at(0.6, 0.85), 2_000) is not None


def test_only_those_inside_are_reported() -> None:
    two = Detections.of([[0.55, 0.4, 0.65, 0.7], [0.0, 0.4, 0.1, 0.7]], [0.5, 0.9], [PERSON, PERSON])
    found = Intrusion("r", person=PERSON, polygon=SQUARE).observe(two, 0)
    assert found is not None
    assert len(found.boxes) == 1
    assert found.score == pytest.approx(0.5)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_rectangle_holds_what_lies_between_its_sides(x: float, y: float) -> None:
    assert inside((x, y), SQUARE) is (0.4 <= x <= 0.8 and 0.4 <= y <= 0.9)


def test_a_dent_in_the_polygon_is_outside() -> None:
    letter_u = [(0.1, 0.1), (0.3, 0.1), (0.3, 0.7), (0.7, 0.7), (0.7, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
    assert not inside((0.5, 0.4), letter_u)
    assert inside((0.2, 0.4), letter_u)
    assert inside((0.5, 0.8), letter_u)


def test_pictures_out_of_order_are_ignored() -> None:
    rule = Intrusion("r", person=PERSON, polygon=SQUARE)
    assert rule.observe(standing_at(0.5, 0.7), 20_000) is not None
    for late in (5_000, 12_000, 20_000):  # taken for news, these would show the zone clear
        rule.observe(Detections.empty(), late)
    assert rule.observe(standing_at(0.5, 0.7), 21_000) is None


@pytest.mark.parametrize(
    ("params", "field"),
    [({"persons": 0}, "persons"), ({"seconds": float("nan")}, "seconds"), ({"confidence": 0.0}, "confidence")],
)
def test_a_crowd_rule_without_sense_is_refused_by_the_field(params: dict[str, float], field: str) -> None:
    with pytest.raises(BadRule, match=field):
        Crowd("r", person=PERSON, **params)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("polygon", [[], [(0.1, 0.1), (0.2, 0.2)], [(0, 0), (2, 0), (0, 2)], [(0.1, 0.1)] * 33])
def test_a_polygon_without_sense_is_refused(polygon: list[tuple[float, float]]) -> None:
    with pytest.raises(BadRule, match="polygon"):
        Intrusion("r", person=PERSON, polygon=polygon)
