"""What a score is computed from: stored events, and the part of the log that belongs to one run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

STARTED: Final = "drill.started"
ENDED: Final = "drill.ended"
NODE_LOST: Final = "system.node_lost"
SYSTEM_STARTED: Final = "system.started"
FAILURES: Final = frozenset({NODE_LOST, SYSTEM_STARTED})
"""The hub's own failures. A hub that starts in the middle of a run was away before."""


class Envelope(Protocol):
    """One stored event; ``at`` is the hub's receive time in ms since the Unix epoch."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def unit(self) -> str: ...
    @property
    def ref(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any] | None: ...


class Unscorable(ValueError):
    """The log does not allow a score. ``id`` is stable: not_started, not_ended, erased, repeated."""

    def __init__(self, id: str, message: str) -> None:
        super().__init__(message)
        self.id = id
        self.message = message


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of one run in the order of the log, between its start and its end, and the hub's own failures."""

    started: Envelope
    ended: Envelope
    events: tuple[Envelope, ...]
    failures: tuple[Envelope, ...]

    def of(self, kind: str) -> list[Envelope]:
        """Events of one kind, in order."""
        return [event for event in self.events if event.kind == kind]


def value(event: Envelope, name: str) -> Any:
    """A field of the payload, or None."""
    return None if event.data is None else event.data.get(name)


def cut(log: Iterable[Envelope], run: str, kinds: frozenset[str]) -> Slice:
    """Take the run's slice, whatever else the log holds and in whatever order it comes.

    Only events of ``kinds`` with the run's mark, between ``drill.started`` and ``drill.ended``, count; and
    the hub's own failures, which carry no mark. Raises Unscorable, also where a payload that might have counted
    was erased: then nobody can say any more whether it did.
    """
    wanted = kinds | {STARTED, ENDED} | FAILURES
    events = sorted((event for event in log if event.kind in wanted), key=lambda event: event.seq)
    for before, after in pairwise(events):
        if before.seq == after.seq:
            raise Unscorable("repeated", f"sequence number {after.seq} stands twice in the log")
    started = _edge(events, STARTED, run, "not_started")
    ended = _edge(events, ENDED, run, "not_ended")
    within = [event for event in events if started.seq < event.seq < ended.seq]
    for event in within:
        if event.data is None:
            raise Unscorable("erased", f"event {event.seq} ({event.kind}) was erased; the run cannot be recomputed")
    return Slice(
        started=started,
        ended=ended,
        events=tuple(event for event in within if event.kind in kinds and value(event, "run") == run),
        failures=tuple(event for event in within if event.kind in FAILURES),
    )


def _edge(events: list[Envelope], kind: str, run: str, missing: str) -> Envelope:
    for event in events:
        if event.kind == kind and event.ref == run:
            return event
    raise Unscorable(missing, f"the log holds no {kind} of run {run}")
