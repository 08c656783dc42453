"""What is measured: pure functions from a run's slice of the log to observations.

An observation is one thing that was asked of one unit (or of the command centre): when it was asked, when it was
done, which events prove it. What it is worth is decided by a form (``drills.formula``), not here.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from drills.envelope import FAILURES, NODE_LOST, SYSTEM_STARTED, Envelope, Slice, value

Key = TypeVar("Key", bound=Hashable)

FAULT_MARGIN_MS: Final = 15_000
"""A node's loss is noticed seconds late and felt until it is back: so much before and after counts as failure."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing asked and what became of it.

    ``until``: up to when it was watched (ms since the epoch). ``due``: the limit the request itself carried.
    ``ruled_out``: an event after which it could no longer be done (declined, missed). ``refused``: reviews that
    sent the answer back. ``faults``: failures of the hub while it was asked for.
    """

    unit: str
    start: Envelope
    end: Envelope | None
    until: int
    due: int | None = None
    ruled_out: Envelope | None = None
    refused: tuple[Envelope, ...] = ()
    faults: tuple[Envelope, ...] = ()

    @property
    def elapsed(self) -> int | None:
        """Milliseconds from asked to done; None if it was not done."""
        return None if self.end is None else max(0, self.end.at - self.start.at)

    @property
    def evidence(self) -> tuple[Envelope, ...]:
        """The events that prove it, in the order of the log."""
        found = {event.seq: event for event in (self.start, *self.refused, *self.faults)}
        for event in (self.end, self.ruled_out if self.end is None else None):
            if event is not None:
                found[event.seq] = event
        return tuple(found[seq] for seq in sorted(found))


@dataclass(frozen=True, slots=True)
class Metric:
    """A named measurement. ``per_unit``: it concerns units; ``has_due``: requests carry a limit of their own;
    ``can_refuse``: an answer can be sent back; ``indifferent``: roles of nodes whose loss cannot touch it.
    """

    id: str
    measure: Callable[[Slice, frozenset[str]], list[Observation]]
    per_unit: bool
    has_due: bool = False
    can_refuse: bool = False
    indifferent: frozenset[str] = frozenset()

    def observe(self, events: Slice, units: frozenset[str]) -> list[Observation]:
        """Measure, leaving out units that do not take part, and note the hub's failures in each window."""
        found = [item for item in self.measure(events, units) if not self.per_unit or item.unit in units]
        return [self._with_faults(item, events.failures) for item in found]

    def _with_faults(self, item: Observation, failures: Iterable[Envelope]) -> Observation:
        last = item.until if item.end is None else item.end.at
        faults = tuple(
            event
            for event in failures
            if value(event, "role") not in self.indifferent
            and item.start.at - FAULT_MARGIN_MS <= event.at <= last + FAULT_MARGIN_MS
        )
        return Observation(
            item.unit, item.start, item.end, item.until, item.due, item.ruled_out, item.refused, faults
        )  # fmt: skip


def _first(events: Iterable[Envelope], after: Envelope) -> Envelope | None:
    return next((event for event in events if event.seq > after.seq), None)


def _by_key(events: Slice, kinds: Collection[str], key: Callable[[Envelope], Key]) -> dict[Key, list[Envelope]]:
    """Events of these kinds by a key, each list in the order of the log."""
    found: dict[Key, list[Envelope]] = {}
    for event in events.events:
        if event.kind in kinds:
            found.setdefault(key(event), []).append(event)
    return found


def _ref(event: Envelope) -> str:
    return event.ref


def _ref_and_unit(event: Envelope) -> tuple[str, str]:
    return event.ref, event.unit


def _calls(events: Slice, wanted: str) -> list[Observation]:
    """First ring of each unit in each conference, to the first event of ``wanted`` there."""
    over = _by_key(events, ("conference.ended",), _ref)
    done = _by_key(events, (wanted,), _ref_and_unit)
    refused = _by_key(events, ("conference.declined", "conference.missed"), _ref_and_unit)
    found = []
    for call, rings in _by_key(events, ("conference.rung",), _ref_and_unit).items():
        start, (ref, unit) = rings[0], call
        until = over[ref][0].at if ref in over else events.ended.at
        found.append(
            Observation(
                unit,
                start,
                _first(done.get(call, ()), start),
                until,
                ruled_out=_first(refused.get(call, ()), start),
            )
        )
    return found


def call_answered(events: Slice, units: frozenset[str]) -> list[Observation]:
    """Ring to answer, a unit and conference each: ``conference.rung`` → ``conference.answered``."""
    return _calls(events, "conference.answered")


def call_joined(events: Slice, units: frozenset[str]) -> list[Observation]:
    """Ring to first media at the relay: ``conference.rung`` → ``conference.joined``."""
    return _calls(events, "conference.joined")


def stage_camera(events: Slice, units: frozenset[str]) -> list[Observation]:
    """Incident to a camera on the stage for all: ``incident.opened`` → ``conference.staged`` of that incident."""
    staged = _by_key(events, ("conference.staged",), lambda event: str(value(event, "incident")))
    closed = _by_key(events, ("incident.closed",), _ref)
    found = []
    for start in events.of("incident.opened"):
        until = closed[start.ref][0].at if start.ref in closed else events.ended.at
        found.append(Observation(start.unit, start, _first(staged.get(start.ref, ()), start), until))
    return found


def order_signed(events: Slice, units: frozenset[str]) -> list[Observation]:
    """Order to signature: ``order.issued`` → ``order.signed``, an order each."""
    signed = _by_key(events, ("order.signed",), _ref)
    return [
        Observation(
            start.unit,
            start,
            _first(signed.get(start.ref, ()), start),
            events.ended.at,
            due=_whole(start, "sign_due_at"),
        )
        for start in events.of("order.issued")
    ]


def order_feedback(events: Slice, units: frozenset[str]) -> list[Observation]:
    """Order to first feedback: ``order.issued`` → ``order.feedback``; reviews that refused it are kept."""
    answers = _by_key(events, ("order.feedback",), _ref)
    reviews = _by_key(events, ("order.reviewed",), _ref)
    return [
        Observation(
            start.unit,
            start,
            _first(answers.get(start.ref, ()), start),
            events.ended.at,
            due=_whole(start, "feedback_due_at"),
            refused=tuple(event for event in reviews.get(start.ref, ()) if value(event, "accepted") is False),
        )
        for start in events.of("order.issued")
    ]


def _whole(event: Envelope, name: str) -> int | None:
    found = value(event, name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


_ORDERS_DO_NOT_NEED: Final = frozenset({"relay", "vision", "gateway"})
_CALLS_DO_NOT_NEED: Final = frozenset({"vision"})

METRICS: Final[Mapping[str, Metric]] = {
    metric.id: metric
    for metric in (
        Metric("call.answered", call_answered, per_unit=True, indifferent=_CALLS_DO_NOT_NEED),
        Metric("call.joined", call_joined, per_unit=True, indifferent=_CALLS_DO_NOT_NEED),
        Metric("stage.camera", stage_camera, per_unit=False, indifferent=_CALLS_DO_NOT_NEED),
        Metric("order.signed", order_signed, per_unit=True, has_due=True, indifferent=_ORDERS_DO_NOT_NEED),
        Metric(
            "order.feedback",
            order_feedback,
            per_unit=True,
            has_due=True,
            can_refuse=True,
            indifferent=_ORDERS_DO_NOT_NEED,
        ),
    )
}

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "conference.rung": frozenset({"run"}),
    "conference.answered": frozenset({"run"}),
    "conference.declined": frozenset({"run"}),
    "conference.missed": frozenset({"run"}),
    "conference.joined": frozenset({"run"}),
    "conference.staged": frozenset({"run", "incident"}),
    "conference.ended": frozenset({"run"}),
    "incident.opened": frozenset({"run"}),
    "incident.closed": frozenset({"run"}),
    "order.issued": frozenset({"run", "sign_due_at", "feedback_due_at"}),
    "order.signed": frozenset({"run"}),
    "order.feedback": frozenset({"run"}),
    "order.reviewed": frozenset({"run", "accepted"}),
    NODE_LOST: frozenset({"role"}),
    SYSTEM_STARTED: frozenset(),
}
"""Every kind that is read and what is read of its payload; a test holds this against the hub's own events."""

KINDS: Final = frozenset(FIELDS) - FAILURES
