"""The hub's own failures go into its log: a node whose entry ran out was lost, one that took its entry away left.

Drills depend on it: what a failure touched is held and costs nobody points.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError

from hub.bus import leases, registry
from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import NODES_KEY, NodeInfo
from hub.domain.events import NodeLost
from hub.services.context import Context
from hub.services.tasks import uninterrupted
from hub.store.outbox import record

log: Final = structlog.get_logger(__name__)
LEASE: Final = "node-watch"
LEASE_MS: Final = 6_000
EVERY_S: Final = 1.0
SLACK_MS: Final = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """A node as last looked at, and when its entry would have run out (ms by the hub's clock)."""

    node: NodeInfo
    expires_at: int


@dataclass(slots=True)
class NodeWatch:
    """Tells nodes that were lost from those that left; pure, fed with one look after the other."""

    known: dict[str, Seen] = field(default_factory=dict)

    def look(self, now: Mapping[str, Seen], at: int) -> list[NodeInfo]:
        """Take a look at the live nodes; return those lost since the last one.

        An entry that vanished well before its time was taken away by its node, in an orderly stop (or with all of
        Redis, which says nothing about the node); it is forgotten without a word.
        """
        gone = [seen for id, seen in self.known.items() if id not in now]
        self.known = dict(now)
        return [seen.node for seen in gone if seen.expires_at <= at + SLACK_MS]

    def forget(self) -> None:
        """Redis was away: what is not there afterwards proves nothing."""
        self.known.clear()


async def watch_nodes(ctx: Context) -> None:
    """Record lost nodes until cancelled. Every api process looks, the holder of the lease records."""
    if ctx.redis is None:
        await asyncio.Event().wait()
        return
    watch, holder = NodeWatch(), f"watch-{secrets.token_hex(8)}"
    while True:
        try:
            lost = watch.look(await _look(ctx.redis, ctx), ctx.clock())
            if await leases.acquire(ctx.redis, LEASE, holder, ttl_ms=LEASE_MS) == holder:
                await uninterrupted(_record(ctx, lost))
        except BUS_ERRORS:
            watch.forget()
        except SQLAlchemyError as error:
            log.warning("nodes.not_recorded", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


async def _look(redis: Redis, ctx: Context) -> dict[str, Seen]:
    found = await registry.nodes(redis)
    async with redis.pipeline(transaction=False) as pipe:
        for node in found:
            pipe.pttl(NODES_KEY.format(id=node.id))
        left = await pipe.execute()
    at = ctx.clock()
    return {node.id: Seen(node, at + max(0, int(ms))) for node, ms in zip(found, left, strict=True)}


async def _record(ctx: Context, lost: list[NodeInfo]) -> None:
    if not lost:
        return
    async with ctx.sessions.begin() as db:
        for node in lost:
            log.warning("node.lost", node=node.id, role=node.role)
            record(db, NodeLost(node=node.id, role=node.role), unit="", ref=node.id, at=ctx.clock())
