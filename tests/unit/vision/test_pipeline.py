"""Gate, detector and rules together, with a detector that answers by script."""

from collections.abc import Mapping

import pytest

from tests.unit.vision.pictures import plain
from vision import pipeline as module
from vision.detections import Detections, DetectorFailed
from vision.frames import Frame
from vision.pipeline import Pipeline, RuleConfig, make_rule
from vision.rules.base import BadRule

CROWD = RuleConfig("crowd", "crowd", {"persons": 2, "seconds": 4})
ZONE = RuleConfig("zone", "intrusion", {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "confidence": 0.6})


class Script:
    """Answers with ``persons`` people; counts how often it is asked and with which confidence."""

    def __init__(self, persons: int = 2) -> None:
        self.persons = persons
        self.asked: list[float] = []
        self.broken = False

    @property
    def classes(self) -> Mapping[int, str]:
        return {0: "person", 5: "bus"}

    def detect(self, frame: Frame, *, confidence: float) -> Detections:
        self.asked.append(confidence)
        if self.broken:
            raise DetectorFailed("broken")
        return Detections.of([[0.1, 0.1, 0.2, 0.5]] * self.persons, [0.9] * self.persons, [0] * self.persons)


def frame(at: int, shade: int = 90, camera: str = "c") -> Frame:
    return Frame(camera, at, plain(shade=shade))


def test_a_still_crowd_is_raised_though_the_detector_looked_only_once() -> None:
    """The gate must not suppress: the rule hears the last result again, with the new time."""
    script = Script()
    pipeline = Pipeline(script)
    looks = [pipeline.look(frame(at), [CROWD]) for at in (0, 2_000, 4_000)]
    assert [look.analysed for look in looks] == [True, False, False]
    assert [found.rule for found in looks[2].findings] == ["crowd"]
    assert len(script.asked) == 1


def test_the_detector_is_asked_with_the_least_confidence_that_a_rule_wants() -> None:
    script = Script()
    Pipeline(script).look(frame(0), [CROWD, ZONE])
    assert script.asked == [0.4]


def test_a_rule_that_wants_less_confidence_makes_the_detector_look_again() -> None:
    script = Script()
    pipeline = Pipeline(script)
    pipeline.look(frame(0), [ZONE])
    assert pipeline.look(frame(2_000), [ZONE, CROWD]).analysed
    assert script.asked == [0.6, 0.4]


def test_rules_that_did_not_change_keep_their_state_when_another_is_added() -> None:
    pipeline = Pipeline(Script())
    pipeline.look(frame(0), [CROWD])
    pipeline.look(frame(2_000), [CROWD, ZONE])
    found = pipeline.look(frame(4_000), [CROWD, ZONE]).findings
    assert [each.rule for each in found] == ["crowd"]  # 4 s were not begun anew; the zone was raised at 2 s


def test_a_changed_rule_begins_anew() -> None:
    pipeline = Pipeline(Script())
    pipeline.look(frame(0), [CROWD])
    pipeline.look(frame(2_000), [CROWD])
    changed = RuleConfig("crowd", "crowd", {"persons": 1, "seconds": 4})
    assert pipeline.look(frame(4_000), [changed]).findings == ()


def test_cameras_do_not_share_state() -> None:
    pipeline = Pipeline(Script())
    for n in range(4):
        assert pipeline.look(frame(n * 2_000, camera=f"c{n}"), [CROWD]).findings == ()


def test_a_bad_rule_is_named_and_the_others_go_on() -> None:
    pipeline = Pipeline(Script())
    bad = RuleConfig("bad", "intrusion", {"polygon": [[0, 0]]})
    with pytest.raises(BadRule, match="bad: polygon"):
        pipeline.look(frame(0), [bad, ZONE])
    assert [found.rule for found in pipeline.look(frame(2_000), [bad, ZONE]).findings] == ["zone"]


def test_a_failed_inference_is_not_papered_over_by_an_old_result() -> None:
    script = Script()
    pipeline = Pipeline(script)
    pipeline.look(frame(0), [CROWD])
    script.broken = True
    with pytest.raises(DetectorFailed):
        pipeline.look(frame(2_000, shade=200), [CROWD])
    with pytest.raises(DetectorFailed):
        pipeline.look(frame(4_000, shade=200), [CROWD])
    script.broken = False
    assert pipeline.look(frame(6_000, shade=200), [CROWD]).analysed


def test_without_rules_nothing_is_detected() -> None:
    script = Script()
    assert not Pipeline(script).look(frame(0), []).analysed
    assert script.asked == []


def test_the_number_of_cameras_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CAMERAS", 2)
    pipeline = Pipeline(Script())
    for name in ("a", "b", "c", "a"):
        pipeline.look(frame(0, camera=name), [CROWD])
    assert list(pipeline._watches) == ["c", "a"]


@pytest.mark.parametrize(
    ("kind", "params", "word"),
    [
        ("fire", {}, "kind"),
        ("crowd", {"persons": "many"}, "persons"),
        ("crowd", {"persons": True}, "persons"),
        ("intrusion", {}, "polygon"),
        ("intrusion", {"polygon": "abc"}, "polygon"),
        ("intrusion", {"polygon": [[0, 0], [1, 0], [1]]}, "polygon"),
        ("intrusion", {"polygon": [[0, 0], [1, 0], [1, "x"]]}, "polygon"),
    ],
)
def test_parameters_of_the_wrong_shape_are_refused_by_name(kind: str, params: dict[str, object], word: str) -> None:
    with pytest.raises(BadRule, match=word):
        make_rule(RuleConfig("r", kind, params), 0)


def test_a_model_that_knows_no_persons_cannot_serve_these_rules() -> None:
    with pytest.raises(BadRule, match="person"):
        make_rule(CROWD, -1)
