"""Who is there: every process writes its NodeInfo under a key that runs out; a dead one is gone in 6 s."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from pydantic import ValidationError
from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.relay_wire import NODES_KEY, NodeInfo

Role: TypeAlias = Literal["api", "relay", "gateway", "vision"]
TTL_MS: Final = 6_000
EVERY_S: Final = 2.0
MOST_NODES: Final = 1_024
# Facts of a relay's NodeInfo:
ZONE: Final = "zone"  # the network that it stands in
DIALS: Final = "dials"  # the zones that it can open connections to, separated by commas; * for all
DRAINING: Final = "draining"  # not empty: it takes nothing new


async def announce(redis: Redis, node: NodeInfo) -> None:
    """Write a node's entry for the next 6 s. Raises RedisError."""
    await redis.set(NODES_KEY.format(id=node.id), node.model_dump_json(), px=TTL_MS)


async def withdraw(redis: Redis, node_id: str) -> None:
    """Take a node's entry away at once (an orderly stop). Raises RedisError."""
    await redis.delete(NODES_KEY.format(id=node_id))


async def heartbeat(redis: Redis, describe: Callable[[], NodeInfo], *, now: asyncio.Event | None = None) -> None:
    """Announce ``describe()`` every 2 s, and at once when ``now`` is set, until cancelled; then withdraw.

    A dead Redis is waited for.
    """
    now = now or asyncio.Event()
    outage = Outage("heartbeat")
    try:
        while True:
            try:
                await announce(redis, describe())
            except BUS_ERRORS as error:
                await asyncio.sleep(outage.failed(error))
                continue
            outage.worked()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await now.wait()
            now.clear()
    finally:
        try:
            async with asyncio.timeout(0.5):
                await withdraw(redis, describe().id)
        except (*BUS_ERRORS, TimeoutError):
            pass  # the entry runs out by itself


async def nodes(redis: Redis, role: Role | None = None) -> list[NodeInfo]:
    """Live nodes, by id; at most 1,024. An entry that cannot be read is left out. Raises RedisError."""
    keys: list[str] = []
    async for key in redis.scan_iter(match=NODES_KEY.format(id="*"), count=1_000):
        keys.append(key)
        if len(keys) >= MOST_NODES:
            break
    if not keys:
        return []
    found: dict[str, NodeInfo] = {}
    for text in await redis.mget(keys):
        if text is None:
            continue
        try:
            node = NodeInfo.model_validate_json(text)
        except ValidationError:
            continue
        if role is None or node.role == role:
            found[node.id] = node
    return [found[key] for key in sorted(found)]
