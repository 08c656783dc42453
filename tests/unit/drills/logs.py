"""A small log to score: a run of two units with everything done well, and ways to bend it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RUN = "run-1"
START = 1_000_000
INCIDENT = "inc-1"
CALL = "conf-1"


@dataclass(frozen=True)
class Event:
    """A stored event."""

    seq: int
    kind: str
    at: int
    unit: str = "city"
    ref: str = ""
    data: Mapping[str, Any] | None = field(default_factory=dict)


class Log:
    """Grows a log with rising sequence numbers; ``at`` is in seconds after the run's start."""

    def __init__(self, run: str = RUN, first: int = 1) -> None:
        self.run = run
        self.events: list[Event] = []
        self._next = first

    def add(self, kind: str, at: float, unit: str = "city", ref: str = "", **data: Any) -> Event:
        """Append one event."""
        payload = data if kind.startswith("system.") else {"run": self.run, **data}
        event = Event(self._next, kind, START + round(at * 1000), unit, ref or self.run, payload)
        self._next += 1
        self.events.append(event)
        return event

    def without(self, *kinds: str) -> list[Event]:
        """All events but those of these kinds."""
        return [event for event in self.events if event.kind not in kinds]


def call(log: Log, unit: str, rung: float, answered: float | None, joined: float | None, ref: str = CALL) -> None:
    """One unit's call."""
    log.add("conference.rung", rung, unit, ref, incident=INCIDENT)
    if answered is not None:
        log.add("conference.answered", answered, unit, ref, incident=INCIDENT)
    if joined is not None:
        log.add("conference.joined", joined, unit, ref, incident=INCIDENT)


def order(log: Log, ref: str, unit: str, issued: float, signed: float | None, feedback: float | None) -> None:
    """One order with limits of 180 s and 900 s."""
    due = {"sign_due_at": START + round((issued + 180) * 1000), "feedback_due_at": START + round((issued + 900) * 1000)}
    log.add("order.issued", issued, unit, ref, incident=INCIDENT, **due)
    if signed is not None:
        log.add("order.signed", signed, unit, ref, incident=INCIDENT)
    if feedback is not None:
        log.add("order.feedback", feedback, unit, ref, incident=INCIDENT)


def good_run(run: str = RUN, first: int = 1) -> Log:
    """Two units, everything in time; 3,600 s long."""
    log = Log(run, first)
    log.add("drill.started", 0)
    log.add("incident.opened", 5, ref=INCIDENT)
    call(log, "a", 10, 22, 30)
    call(log, "b", 10, 40, 52)
    log.add("conference.staged", 60, ref=CALL, incident=INCIDENT)
    order(log, "o-1", "a", 70, 100, 400)
    order(log, "o-2", "b", 70, 130, 500)
    log.add("drill.ended", 3600)
    return log


def moved(event: Event, **changes: Any) -> Event:
    """A copy with other fields."""
    return replace(event, **changes)
