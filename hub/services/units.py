"""The organisation: reading it, and adding to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.errors import Conflict, Invalid
from hub.domain.ids import UnitId, UserId
from hub.domain.units import UnitTree
from hub.services.context import Context
from hub.store import people
from hub.store.tables import UnitRow

TREE_GOOD_FOR_MS: Final = 5_000  # other processes may add units
KINDS: Final = frozenset({"city", "town", "village", "department"})


class Online(Protocol):
    """Who is connected now; kept by presence."""

    def by_unit(self) -> Mapping[UnitId, int]:
        """Connected people by unit; units without any may be left out."""
        ...

    def is_online(self, user: UserId) -> bool:
        """Whether this person has at least one open connection."""
        ...


class NobodyOnline:
    """Presence of a process that has none, such as the command line."""

    def by_unit(self) -> Mapping[UnitId, int]:
        return {}

    def is_online(self, user: UserId) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class UnitView:
    id: UnitId
    parent: UnitId | None
    kind: str
    name: str
    name_en: str
    online: int


async def tree(ctx: Context, db: AsyncSession) -> UnitTree:
    """The organisation, read at most every five seconds."""
    cache, now = ctx.units, ctx.clock()
    if cache.tree is None or not cache.good_until - TREE_GOOD_FOR_MS <= now < cache.good_until:
        cache.tree, cache.good_until = await people.unit_tree(db), now + TREE_GOOD_FOR_MS
    return cache.tree


async def list_units(ctx: Context, online: Online) -> list[UnitView]:
    """All units with the number of people connected now."""
    async with ctx.reading() as db:
        units = await tree(ctx, db)
    counts = online.by_unit()
    return [
        UnitView(node.id, node.parent, node.kind, node.name, node.name_en, counts.get(node.id, 0))
        for node in units.nodes.values()
    ]


async def add_unit(
    ctx: Context,
    *,
    id: UnitId,
    parent: UnitId | None,
    kind: str,
    name: str,
    name_en: str = "",
    position: int = 0,
) -> None:
    """Add a unit. Raises Invalid (``unit.kind``, ``unit.parent``) and Conflict (``unit.exists``)."""
    if kind not in KINDS:
        raise Invalid("unit.kind", "a unit is a city, town, village or department", field="kind")
    async with ctx.sessions.begin() as db:
        if await db.get(UnitRow, id) is not None:
            raise Conflict("unit.exists", "a unit of this id exists already")
        if (parent is None) != (kind == "city") or (parent is not None and await db.get(UnitRow, parent) is None):
            raise Invalid("unit.parent", "every unit but the city lies under a known one", field="parent")
        db.add(UnitRow(id=id, parent=parent, kind=kind, name=name, name_en=name_en, position=position))
    ctx.units.tree = None
