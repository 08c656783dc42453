"""The mixed tree of a catalog: civil codes, business groups, virtual organisations (GB/T 28181-2016 annex N, annex O).

What devices say about parents is often wrong: a parent that is missing, the item itself, a ring, Parental 0 with
children. The tree that comes of it has every item, no ring, and each under all of its parents that exist.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import Kind, civil_parent, is_id, kind_of, make_id
from signaling.gb28181.items import Item

PLACES = frozenset({Kind.CIVIL_CODE, Kind.BUSINESS_GROUP, Kind.VIRTUAL_ORGANISATION})


class ChannelKey(NamedTuple):
    """The same channel number may stand under two devices, so only both together name a channel."""

    device: str
    channel: str


@dataclass(frozen=True)
class Branch:
    """An item with its place. ``kind`` regards whether it truly has children."""

    item: Item
    kind: Kind
    parents: tuple[str, ...]
    children: tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """``roots`` hang directly under the device."""

    device: str
    roots: tuple[str, ...]
    branches: Mapping[str, Branch]

    def channels(self) -> tuple[Item, ...]:
        """What can be watched."""
        return tuple(each.item for each in self.branches.values() if each.kind is Kind.CHANNEL)


def build_tree(device: str, items: Iterable[Item]) -> Tree:
    """The tree of a device's catalog; of repeated numbers the last counts. The device's own entry is the root."""
    known = {item.id: item for item in items if item.id != device or item.kind is Kind.CHANNEL}
    parents = {item.id: _parents_of(item, device, known) for item in known.values()}
    _cut_rings(parents)
    children: dict[str, list[str]] = {}
    for child, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(child)
    branches = {}
    for item in known.values():
        below = tuple(children.get(item.id, ()))
        kind = kind_of(item.id, has_children=bool(below) or (item.parental if not below else None))
        branches[item.id] = Branch(item, kind, parents[item.id], below)
    return Tree(device, tuple(each for each in known if not parents[each]), branches)


def _parents_of(item: Item, device: str, known: Mapping[str, Item]) -> tuple[str, ...]:
    """The parents that exist: those of ParentID, else its business group, else its place by civil code."""
    named = [parent for parent in item.parents if parent in known and parent != item.id]
    if named or device in item.parents:
        return tuple(named)
    group = item.business_group or (item.info.business_group if item.info else "")
    if group in known and group != item.id:
        return (group,)
    code: str | None = item.civil_code
    if item.kind is Kind.CIVIL_CODE:
        code = civil_parent(item.id)
    while code:
        if code in known and code != item.id:
            return (code,)
        code = civil_parent(code)
    return ()


def _cut_rings(parents: dict[str, tuple[str, ...]]) -> None:
    """Where going up comes back, the step that closes the ring is dropped."""
    safe: set[str] = set()
    for start in parents:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(node)
                safe.add(node)
                continue
            if node in safe:
                continue
            path.append(node)
            on_path.add(node)
            kept = tuple(parent for parent in parents[node] if parent not in on_path)
            parents[node] = kept
            stack.append((node, True))
            stack.extend((parent, False) for parent in kept if parent not in safe and parent not in on_path)


def upper_ids(channels: Iterable[ChannelKey], *, centre: str, first: int = 1) -> dict[ChannelKey, str]:
    """Identifiers for an upper platform: a channel keeps its own where that is standard and free, else a new one.

    Depends on the order of ``channels`` only. Raises GbError when a million are used up.
    """
    result: dict[ChannelKey, str] = {}
    wanted = list(dict.fromkeys(channels))
    used: set[str] = set()
    for key in wanted:
        if len(key.channel) == 20 and key.channel.isdigit() and key.channel not in used:
            result[key] = key.channel
            used.add(key.channel)
    serial = first
    for key in wanted:
        if key in result:
            continue
        if not is_id(key.channel):
            raise GbError("gb28181.id", f"not an identifier: {key.channel[:40]!r}")
        while (made := make_id(centre, 131, serial)) in used:
            serial += 1
        result[key] = made
        used.add(made)
    return result
