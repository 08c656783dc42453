"""Rubbish in Redis: passed over and said, while what is right goes on."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from hub.bus import registry, streams
from hub.bus.relay_wire import LIVE_CHANNEL, REPORTS_STREAM, STATES_CHANNEL, NodeInfo
from hub.bus.streams import GroupReader
from signaling import wire
from tests.integration.live_rig import LiveRig, live_hub, until
from tests.integration.redis_rig import running_redis
from tests.integration.test_bus_reports import alert_of, send, watched

NOISE = [b"", b"\xff\xfe\x00", b"x", b"null", b"[]", b"[" * 100_000, b"{}", b'{"a":' * 20_000]
LIVE: list[Any] = [
    {"seq": "x"},
    {"ring": {}},
    {"ring": "x" * 10_000},
    {"ring": "\0"},
    {"conference": 1},
    {"presence": 1},
    {"presence": "other", "people": {"u-1": {"unhashable": []}, "u-2": 3}},
    {"ring_ended": 1, "reason": "no such", "unit": "city"},
    {"ring_ended": 1, "reason": ["x"], "unit": "dept-water"},
    {"media_gone": 1, "stream": []},
    {"session_ended": None},
]


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


def raw(rig: Any) -> Redis:
    return Redis(unix_socket_path=str(rig.settings.redis_socket))


async def test_entries_that_are_no_text_do_not_stop_the_reader() -> None:
    async with running_redis() as redis, raw(redis) as poison, redis.client() as client:
        for noise in NOISE:
            await poison.xadd("work", {"json": noise})
        await poison.xadd("work", {b"\xff": b"\xff"})
        await streams.publish(client, "work", "good", maxlen=100)
        async for entry in GroupReader(client, "work", "group", "me").entries():
            if entry.text == "good":
                break


async def test_a_registry_with_rubbish_in_it_still_shows_the_nodes() -> None:
    node = NodeInfo(id="relay-1", role="relay", url="http://127.0.0.1:1", since=1, seen_at=1)
    async with running_redis() as redis, raw(redis) as poison, redis.client() as client:
        for n, noise in enumerate(NOISE):
            await poison.set(f"node:{n}", noise)
        nan = node.model_dump() | {"id": "nan", "load": float("nan")}
        await poison.set("node:nan", json.dumps(nan))
        await poison.lpush("node:list", b"\xff")
        await poison.set(b"node:\xff", b"\xff")
        await registry.announce(client, node)
        assert await registry.nodes(client) == [node]


async def test_rubbish_on_the_channels_closes_no_socket(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws, raw(rig.redis) as poison:
        for channel in (LIVE_CHANNEL, STATES_CHANNEL):
            for noise in NOISE + [json.dumps(message).encode() for message in LIVE]:
                await poison.publish(channel, noise)
        await rig.call("commander", "POST", "/api/v1/incidents", 201, json={"title": "积水"})
        await ws.expect(wire.Event, lambda event: event.kind == "incident.opened")
        opened = await rig.open_conference("dept-water")
        await ws.expect(wire.ConferenceState, lambda told: told.conference["id"] == opened["id"])


@pytest.mark.parametrize(
    "change",
    [
        {"score": float("nan")},
        {"score": float("inf")},
        {"at": 10**30},
        {"at": -1},
        {"count": 10**20},
        {"boxes": [{"x1": float("nan"), "y1": 0, "x2": 1, "y2": 1, "label": "person", "score": 1}]},
        {"boxes": [{"x1": 0, "y1": 0, "x2": 1, "y2": 1, "label": "person", "score": 1}] * 2_000},
    ],
)
async def test_numbers_that_are_none_never_reach_an_alert(rig: LiveRig, change: dict[str, Any]) -> None:
    """One NaN in the list, and nobody could be shown any alert: JSON has no such number."""
    report = await watched(rig)
    async with await rig.socket("commander") as ws, raw(rig.redis) as poison:
        await poison.xadd(REPORTS_STREAM, {"json": json.dumps(report.model_dump() | change)})
        await send(rig, report.model_dump_json())
        assert (await alert_of(rig, ws))["score"] == report.score
        await until(lambda: rig.apis[0].live.reports.counts["dropped"] == 1)
