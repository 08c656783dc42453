"""What the interface writes into Redis, and that it is written again when Redis has lost everything."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.client import PubSub

from hub.bus.registry import announce
from hub.bus.relay_wire import NodeInfo, RuleSpec
from hub.services.access import SYSTEM
from hub.services.cameras import add_camera, remove_camera
from hub.services.context import Context, make_context
from hub.services.rules import add_rule, enable_rule, keep_rules_published
from hub.services.system import overview, readiness
from hub.settings import Settings
from hub.store.migrate import upgrade
from tests.integration.api_rig import build_town
from tests.integration.hub_rig import TestClock
from tests.integration.redis_rig import RedisRig, running_redis


@pytest.fixture
async def redis() -> AsyncIterator[RedisRig]:
    async with running_redis() as rig:
        yield rig


@pytest.fixture
async def ctx(tmp_path: Path, redis: RedisRig) -> AsyncIterator[Context]:
    client = redis.client()
    ctx = make_context(Settings(data=tmp_path), clock=TestClock(), redis=client)
    await upgrade(ctx.engine)
    await build_town(ctx)
    yield ctx
    await ctx.close()
    await client.aclose()


async def written(redis: RedisRig) -> dict[str, list[RuleSpec]]:
    """The rules as a worker reads them."""
    client = redis.client()
    try:
        table = await client.hgetall("rules")
    finally:
        await client.aclose()
    return {str(camera): [RuleSpec.model_validate(each) for each in json.loads(text)] for camera, text in table.items()}


async def next_message(channel: PubSub) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (message := await channel.get_message(timeout=5)) is None:
            pass
    return dict(message)


async def rule_on(ctx: Context, camera: str) -> str:
    made = await add_rule(
        ctx, SYSTEM, camera=camera, kind="crowd", name="聚集", severity="major", params={"persons": 3}
    )
    return made.id


async def test_workers_see_exactly_the_enabled_rules_of_present_cameras(ctx: Context, redis: RedisRig) -> None:
    one, two = [
        (await add_camera(ctx, SYSTEM, name=f"机位 {n}", url="rtsp://10.0.0.1/x", unit="city")).id for n in (1, 2)
    ]
    first, second = await rule_on(ctx, one), await rule_on(ctx, two)
    assert {camera: [each.id for each in rules] for camera, rules in (await written(redis)).items()} == {
        one: [first],
        two: [second],
    }
    await enable_rule(ctx, SYSTEM, first, enabled=False)
    assert set(await written(redis)) == {two}
    await enable_rule(ctx, SYSTEM, first, enabled=True)
    await remove_camera(ctx, SYSTEM, two)
    specs = await written(redis)
    assert (set(specs), specs[one][0].params) == ({one}, {"persons": 3})


async def test_a_change_of_rules_is_told_and_a_new_redis_is_filled_again(ctx: Context, redis: RedisRig) -> None:
    camera = (await add_camera(ctx, SYSTEM, name="机位", url="rtsp://10.0.0.1/x", unit="city")).id
    await rule_on(ctx, camera)
    keeper = asyncio.create_task(keep_rules_published(ctx, every_s=0.05))
    try:
        client = redis.client()
        channel = client.pubsub()
        await channel.subscribe("rules")
        assert (await next_message(channel))["type"] == "subscribe"
        await client.flushall()  # as a Redis that was started anew
        assert (await next_message(channel))["data"] == "changed"
        assert set(await written(redis)) == {camera}
        await channel.aclose()  # type: ignore[no-untyped-call]  # redis-py left it untyped
        await client.aclose()
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


async def test_rules_can_be_changed_while_redis_is_dead(ctx: Context, redis: RedisRig) -> None:
    await redis.kill()
    camera = (await add_camera(ctx, SYSTEM, name="机位", url="rtsp://10.0.0.1/x", unit="city")).id
    assert (await rule_on(ctx, camera)).startswith("rule-")
    state = await readiness(ctx)
    assert (state.ready, state.parts["database"]) == (False, "ok")
    assert state.parts["redis"] != "ok"


async def test_the_overview_names_nodes_and_the_workers_model(ctx: Context, redis: RedisRig) -> None:
    assert ctx.redis is not None
    assert (await overview(ctx)).model.source == "none"
    facts = {"model": "demo-yolo", "model_source": "demonstration", "demonstration": "true", "model_sha256": "ab"}
    for node, role in (("relay-1", "relay"), ("vision-1", "vision")):
        info = {"id": node, "role": role, "url": "http://127.0.0.1:1", "since": 1, "seen_at": 2, "facts": facts}
        await announce(ctx.redis, NodeInfo.model_validate(info))
    seen = await overview(ctx)
    assert [node.id for node in seen.nodes] == ["relay-1", "vision-1"]
    assert (seen.model.name, seen.model.source, seen.model.demonstration, seen.model.sha256) == (
        "demo-yolo",
        "demonstration",
        True,
        "ab",
    )
