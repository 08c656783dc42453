"""The hub's own failures reach the log, from a real Redis whose entries run out."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.bus import registry
from hub.bus.relay_wire import NODES_KEY, NodeInfo
from hub.domain.clock import system_clock
from hub.services import nodes
from hub.services.context import Context, make_context
from hub.settings import Settings
from hub.store.tables import Base, OutboxRow
from tests.integration.redis_rig import running_redis


def relay(id: str) -> NodeInfo:
    """A relay's entry."""
    return NodeInfo(id=id, role="relay", url="http://127.0.0.1:1", since=0, seen_at=0)


async def lost(ctx: Context) -> list[str]:
    """Nodes that the log was told of."""
    async with ctx.reading() as db:
        return list(await db.scalars(select(OutboxRow.ref).where(OutboxRow.kind == "system.node_lost")))


async def test_a_node_whose_entry_runs_out_is_recorded_and_one_that_leaves_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "EVERY_S", 0.02)
    monkeypatch.setattr(nodes, "SLACK_MS", 100)
    async with running_redis() as rig:
        redis = rig.client()
        ctx = make_context(Settings(data=tmp_path), clock=system_clock, redis=redis)
        async with ctx.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await registry.announce(redis, relay("relay-left"))
        await registry.announce(redis, relay("relay-lost"))
        task = asyncio.create_task(nodes.watch_nodes(ctx))
        try:
            await asyncio.sleep(0.2)  # a look or more
            await registry.withdraw(redis, "relay-left")
            await redis.pexpire(NODES_KEY.format(id="relay-lost"), 300)
            for _ in range(1_000):
                if await lost(ctx):
                    break
                await asyncio.sleep(0.02)
            assert await lost(ctx) == ["relay-lost"]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await ctx.close()
            await redis.aclose()
