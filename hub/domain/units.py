"""The organisation as a tree: city, towns, villages, departments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from hub.domain.ids import UnitId

MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class UnitNode:
    """One unit of the tree. ``kind`` is city, town, village or department."""

    id: UnitId
    parent: UnitId | None
    kind: str
    name: str
    name_en: str = ""


@dataclass(frozen=True)
class UnitTree:
    """All units by id; immutable, so that one copy serves many requests."""

    nodes: Mapping[UnitId, UnitNode] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Iterable[UnitNode]) -> "UnitTree":
        """Build a tree from its nodes in any order."""
        return cls({node.id: node for node in nodes})

    @cached_property
    def _children(self) -> Mapping[UnitId, tuple[UnitId, ...]]:
        children: dict[UnitId, list[UnitId]] = {}
        for node in self.nodes.values():
            if node.parent is not None:
                children.setdefault(node.parent, []).append(node.id)
        return {parent: tuple(ids) for parent, ids in children.items()}

    def __contains__(self, unit: object) -> bool:
        return unit in self.nodes

    def name(self, unit: UnitId) -> str:
        """Name of a unit, or the identifier itself where no such unit is known."""
        return node.name if (node := self.nodes.get(unit)) else unit

    def below(self, unit: UnitId) -> frozenset[UnitId]:
        """The unit and everything under it; of an unknown unit, only itself. Ends on a cycle too."""
        found = {unit}
        front = [unit]
        while front:
            for child in self._children.get(front.pop(), ()):
                if child not in found:
                    found.add(child)
                    front.append(child)
        return frozenset(found)

    def above(self, unit: UnitId) -> tuple[UnitId, ...]:
        """Parents from the nearest up to the root, at most ``MAX_DEPTH``."""
        chain: list[UnitId] = []
        node = self.nodes.get(unit)
        while node is not None and node.parent is not None and len(chain) < MAX_DEPTH:
            chain.append(node.parent)
            node = self.nodes.get(node.parent)
        return tuple(chain)

    def is_city(self, unit: UnitId) -> bool:
        """Whether this is the top level."""
        return (node := self.nodes.get(unit)) is not None and node.kind == "city"
