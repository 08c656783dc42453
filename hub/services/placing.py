"""Which relay for what: decisions over what relays say of themselves. Pure.

A relay's facts (``hub.bus.registry``): the zone of the network that it stands in, the zones that it can open
connections to, and whether it drains. Its load is the larger of its share of sessions and of one processor core.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Final, Literal, TypeAlias

from hub.bus.registry import DIALS, DRAINING, ZONE
from hub.bus.relay_wire import NodeInfo
from hub.domain.ids import StreamId

FULL: Final = 0.85  # from this load on a relay's further viewers are served by another one
BETTER: Final = 0.15  # by so much the other one has to be less loaded: a leg costs both something

Way: TypeAlias = Literal["dialled", "pushed"]
"""Who opens a leg: the relay of the viewers, or the one that has the stream."""


def drains(node: NodeInfo) -> bool:
    """Whether it takes nothing new."""
    return bool(node.facts.get(DRAINING))


def dials(one: NodeInfo, other: NodeInfo) -> bool:
    """Whether one relay can open connections to another; within a zone every one can."""
    zones = one.facts.get(DIALS, "*").split(",")
    return "*" in zones or other.facts.get(ZONE, "") in (one.facts.get(ZONE, ""), *zones)


def way(origin: NodeInfo, at: NodeInfo) -> Way | None:
    """How a stream of ``origin`` comes to ``at``; ``None`` when neither can reach the other."""
    if dials(at, origin):
        return "dialled"
    return "pushed" if dials(origin, at) else None


def open_to_new(nodes: Sequence[NodeInfo]) -> Sequence[NodeInfo]:
    """Those that do not drain; all of them when every one does: better there than nowhere."""
    return [node for node in nodes if not drains(node)] or nodes


def _order(stream: StreamId, node: NodeInfo) -> tuple[int, str]:
    return round(node.load * 10), hashlib.sha256(f"{stream}/{node.id}".encode()).hexdigest()


def choose(stream: StreamId, nodes: Sequence[NodeInfo]) -> NodeInfo:
    """The relay for a new stream: least load (in tenths), equal ones by rendezvous hash. ``nodes`` is not empty."""
    return min(open_to_new(nodes), key=lambda node: _order(stream, node))


def heir(stream: StreamId, nodes: Sequence[NodeInfo], legs: Collection[str]) -> NodeInfo:
    """The relay that takes a stream over: one that has viewers of it already, else as for a new one."""
    there = [node for node in open_to_new(nodes) if node.id in legs and node.load < FULL]
    return choose(stream, there or nodes)


def viewing(
    stream: StreamId,
    origin: NodeInfo,
    nodes: Sequence[NodeInfo],
    legs: Collection[str] = (),
    at: NodeInfo | None = None,
) -> NodeInfo:
    """The relay that a further viewer of a stream is served by.

    ``at`` is where the viewer has its connection already: there, if the stream can be brought there. Otherwise where
    the stream is, unless that relay drains or is full and another one is clearly better. ``legs`` are the relays that
    carry the stream for viewers of theirs now: one more there costs no further leg.
    """
    if at is not None and (at.id == origin.id or way(origin, at) is not None):
        return at
    if not drains(origin) and origin.load < FULL:
        return origin
    others = [n for n in nodes if n.id != origin.id and not drains(n) and way(origin, n) is not None]
    if not others:
        return origin
    best = min(others, key=lambda n: (n.load >= FULL, n.id not in legs, *_order(stream, n)))
    return best if drains(origin) or best.load < origin.load - BETTER else origin
