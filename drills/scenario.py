"""A scenario: who takes part and what is fed in when (the MSEL). Format 1, described in docs/drills.md."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drills.document import DocumentError, Fields, Node, duration, identifier, integer, read, refuse, text

METHODS: Final = ("system", "phone", "radio", "message", "person")
MAX_UNITS: Final = 64
MAX_INJECTS: Final = 200

_TOP: Final = frozenset({"scenario", "id", "title", "title_en", "rubric", "units", "injects"})
_INJECT: Final = frozenset({"id", "at", "title", "from", "to", "method", "message", "expected"})

__all__ = ["METHODS", "DocumentError", "Inject", "Scenario", "parse_scenario"]


@dataclass(frozen=True, slots=True)
class Inject:
    """One line of the MSEL: what reaches the exercise at a time after its start, and what should follow."""

    id: str
    at_ms: int
    title: str
    sender: str
    recipient: str
    method: str
    message: str
    expected: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A drill as planned; ``injects`` in the order of their times. ``sha256`` is of the text as written.

    ``places``: line and column of the fields that only the hub can check (``rubric``, ``units[0]`` …).
    """

    id: str
    title: str
    title_en: str
    rubric: str
    units: tuple[str, ...]
    injects: tuple[Inject, ...]
    sha256: str
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)


def parse_scenario(source: str) -> Scenario:
    """Read a scenario's YAML. Raises DocumentError with line and column."""
    top = Fields.of(read(source), "", _TOP)
    integer(top.need("scenario"), "scenario", low=1, high=1)
    title = top.text("title", limit=80)
    rubric = top.need("rubric")
    places = {"rubric": (rubric.line, rubric.column)}
    units: list[str] = []
    for node, path in top.entries("units", low=1, high=MAX_UNITS):
        if (unit := identifier(node, path)) in units:
            refuse(node, f"the unit {unit!r} stands twice", path)
        units.append(unit)
        places[path] = (node.line, node.column)
    injects: dict[str, Inject] = {}
    for node, path in top.entries("injects", low=0, high=MAX_INJECTS):
        inject = _inject(node, path)
        if inject.id in injects:
            refuse(node, f"the inject {inject.id!r} stands twice", path)
        injects[inject.id] = inject
    return Scenario(
        id=top.identifier("id"),
        title=title,
        title_en=top.text("title_en", limit=80, default=title),
        rubric=top.identifier("rubric"),
        units=tuple(units),
        injects=tuple(sorted(injects.values(), key=lambda inject: inject.at_ms)),
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        places=places,
    )


def _inject(node: Node, path: str) -> Inject:
    line = Fields.of(node, path, _INJECT)
    message = text(line.need("message"), line.at("message"), limit=1_000)
    return Inject(
        id=line.identifier("id"),
        at_ms=duration(line.need("at"), line.at("at")),
        title=line.text("title", limit=80, default=message.splitlines()[0][:40]),
        sender=line.text("from", limit=80),
        recipient=line.text("to", limit=80),
        method=line.choice("method", METHODS),
        message=message,
        expected=line.text("expected", limit=500),
    )
