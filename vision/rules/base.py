"""What every rule is, and the one state machine that they share: when to raise, repeat and re-arm."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal, Protocol

from vision.detections import Detections

Kind = Literal["crowd", "intrusion"]


class BadRule(ValueError):
    """The rule's parameters make no sense; the message names the field."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A rule fired. ``score`` 0..1 says how sure; ``boxes`` are the objects that count."""

    rule: str
    kind: Kind
    at: int
    score: float
    boxes: Detections
    repeat: bool
    """The same episode was reported before."""
    zone: tuple[tuple[float, float], ...] = ()


class Rule(Protocol):
    """One rule of one camera. Pictures come in order of time; those out of order are ignored."""

    @property
    def id(self) -> str:
        """Identifier given by the operator's system."""
        ...

    @property
    def confidence(self) -> float:
        """Least confidence that it wants of the detector."""
        ...

    def observe(self, detections: Detections, at: int) -> Finding | None:
        """Take one picture's detections, seen at ``at`` (ms). Returns a finding when it fires."""
        ...


class Phase(Enum):
    """Where an episode stands."""

    IDLE = auto()
    BUILDING = auto()  # present, not yet long enough
    RAISED = auto()
    CLEARING = auto()  # raised, and absent for a while


class Seen(Enum):
    """One picture, judged against the clock."""

    PRESENT = auto()
    HELD = auto()  # present, and long enough to raise
    ABSENT = auto()
    GONE = auto()  # absent, and long enough to forget


NEXT: Final[dict[tuple[Phase, Seen], Phase]] = {
    (Phase.IDLE, Seen.PRESENT): Phase.BUILDING,
    (Phase.IDLE, Seen.HELD): Phase.RAISED,
    (Phase.IDLE, Seen.ABSENT): Phase.IDLE,
    (Phase.IDLE, Seen.GONE): Phase.IDLE,
    (Phase.BUILDING, Seen.PRESENT): Phase.BUILDING,
    (Phase.BUILDING, Seen.HELD): Phase.RAISED,
    (Phase.BUILDING, Seen.ABSENT): Phase.BUILDING,
    (Phase.BUILDING, Seen.GONE): Phase.IDLE,
    (Phase.RAISED, Seen.PRESENT): Phase.RAISED,
    (Phase.RAISED, Seen.HELD): Phase.RAISED,
    (Phase.RAISED, Seen.ABSENT): Phase.CLEARING,
    (Phase.RAISED, Seen.GONE): Phase.IDLE,
    (Phase.CLEARING, Seen.PRESENT): Phase.RAISED,
    (Phase.CLEARING, Seen.HELD): Phase.RAISED,
    (Phase.CLEARING, Seen.ABSENT): Phase.CLEARING,
    (Phase.CLEARING, Seen.GONE): Phase.IDLE,
}


class Verdict(Enum):
    """What to tell the operator."""

    NOTHING = auto()
    RAISE = auto()
    REPEAT = auto()


@dataclass(frozen=True, slots=True)
class Timing:
    """All in ms. A detector misses a person now and then, so one short absence does not break an episode."""

    hold: int
    grace: int = 3_000  # while building, absent for longer than this starts over
    clear: int = 6_000  # once raised, absent for this long re-arms
    repeat: int = 30_000
    gap: int = 10_000  # without any picture for longer than this, nothing is known of the time between


class Episode:
    """Raised once, repeated at most every ``repeat`` ms while it lasts, re-armed when it has been clear."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._phase = Phase.IDLE
        self._since = 0  # first picture of the present run
        self._present_at = 0  # last picture that showed it
        self._absent_since: int | None = None
        self._last: int | None = None
        self._reported_at = 0

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self._phase

    def see(self, present: bool, at: int) -> Verdict:
        """Take one picture. One that is not later than the last is ignored."""
        if self._last is not None and at <= self._last:
            return Verdict.NOTHING
        if self._last is not None and at - self._last > self._timing.gap:
            self._forget_between()
        self._last = at
        before = self._phase
        self._phase = NEXT[before, self._judge(present, at)]
        if self._phase is not Phase.RAISED:
            return Verdict.NOTHING
        if before in (Phase.IDLE, Phase.BUILDING):
            self._reported_at = at
            return Verdict.RAISE
        if at - self._reported_at >= self._timing.repeat:
            self._reported_at = at
            return Verdict.REPEAT
        return Verdict.NOTHING

    def _judge(self, present: bool, at: int) -> Seen:
        if present:
            if self._phase is Phase.IDLE:
                self._since = at
            self._present_at = at
            self._absent_since = None
            return Seen.HELD if at - self._since >= self._timing.hold else Seen.PRESENT
        if self._absent_since is None:
            self._absent_since = at
        if self._phase is Phase.BUILDING:
            return Seen.GONE if at - self._present_at > self._timing.grace else Seen.ABSENT
        return Seen.GONE if at - self._absent_since >= self._timing.clear else Seen.ABSENT

    def _forget_between(self) -> None:
        """A gap: time without pictures counts neither as presence nor as absence."""
        if self._phase is Phase.BUILDING:
            self._phase = Phase.IDLE
        self._absent_since = None
