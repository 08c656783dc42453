"""Per camera: gate, detector, rules. Synchronous; belongs to one thread."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vision.detections import Detections, Detector
from vision.frames import Frame
from vision.gate import MotionGate
from vision.rules.base import BadRule, Finding, Rule
from vision.rules.crowd import Crowd
from vision.rules.intrusion import Intrusion

MAX_CAMERAS: Final = 4_096
MAX_RULES: Final = 16  # of one camera


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """A rule as the operator wrote it. Equal configurations keep their state when rules are set again."""

    id: str
    kind: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one picture. ``analysed`` is false when the gate repeated the last detections."""

    detections: Detections
    findings: tuple[Finding, ...]
    analysed: bool


@dataclass(slots=True)
class _Watch:
    configs: tuple[RuleConfig, ...] = ()
    rules: dict[str, Rule] = field(default_factory=dict)
    gate: MotionGate = field(default_factory=MotionGate)
    last: Detections | None = None
    floor: float = 0.0  # confidence that ``last`` was detected with


class Pipeline:
    """All cameras of one worker; the least recently seen one is forgotten when there are over 4,096."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._person = next((number for number, name in detector.classes.items() if name == "person"), -1)
        self._watches: OrderedDict[str, _Watch] = OrderedDict()

    def look(self, frame: Frame, rules: Sequence[RuleConfig]) -> Look:
        """Judge one picture by the camera's rules in force. A bad rule raises BadRule; others of the camera go on
        with the next picture. Raises DetectorFailed."""
        watch = self._watch(frame.camera)
        if watch.configs != tuple(rules):
            self._arm(watch, rules)
        if not watch.rules:
            return Look(Detections.empty(), (), False)
        floor = min(rule.confidence for rule in watch.rules.values())
        moved = watch.gate.moved(frame.small_grey(), frame.at)
        fresh = moved or watch.last is None or floor < watch.floor
        if fresh or watch.last is None:
            watch.last = None  # when the detector fails, the next picture must not repeat an old result
            watch.last, watch.floor = self._detector.detect(frame, confidence=floor), floor
        findings = [rule.observe(watch.last, frame.at) for rule in watch.rules.values()]
        return Look(watch.last, tuple(found for found in findings if found is not None), fresh)

    def _watch(self, camera: str) -> _Watch:
        watch = self._watches.setdefault(camera, _Watch())
        self._watches.move_to_end(camera)
        if len(self._watches) > MAX_CAMERAS:
            self._watches.popitem(last=False)
        return watch

    def _arm(self, watch: _Watch, configs: Sequence[RuleConfig]) -> None:
        """Take the rules over; those that did not change keep their state. Raises BadRule after the good ones."""
        rules: dict[str, Rule] = {}
        bad: list[str] = []
        for config in configs[:MAX_RULES]:
            same = config in watch.configs and config.id in watch.rules
            try:
                rules[config.id] = watch.rules[config.id] if same else make_rule(config, self._person)
            except BadRule as error:
                bad.append(f"{config.id}: {error}")
        watch.configs, watch.rules = tuple(configs), rules
        if bad:
            raise BadRule("; ".join(bad))


def make_rule(config: RuleConfig, person: int) -> Rule:
    """A rule from its configuration; ``person`` is the detector's class. Raises BadRule naming the field."""
    if person < 0:
        raise BadRule("the model knows no class 'person'")
    params = config.params
    confidence = _number(params, "confidence", 0.4)
    if config.kind == "crowd":
        persons, seconds = _number(params, "persons", 3), _number(params, "seconds", 4.0)
        return Crowd(config.id, person=person, persons=int(persons), seconds=seconds, confidence=confidence)
    if config.kind == "intrusion":
        return Intrusion(config.id, person=person, polygon=_polygon(params.get("polygon")), confidence=confidence)
    raise BadRule(f"kind: {config.kind} is unknown")


def _number(params: Mapping[str, object], name: str, default: float) -> float:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRule(f"{name}: a number is needed")
    return float(value)


def _polygon(value: object) -> list[tuple[float, float]]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 32:
        raise BadRule("polygon: a list of 3 to 32 points is needed")
    points: list[tuple[float, float]] = []
    for point in value:
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
            raise BadRule("polygon: each point is two numbers")
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in point):
            raise BadRule("polygon: each point is two numbers")
        points.append((float(point[0]), float(point[1])))
    return points
