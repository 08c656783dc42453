"""The event log on a real database: no holes, no forks, and no tampering that goes unseen."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import create_async_engine

from hub.domain.chain import GENESIS, Anchor, row_hash
from hub.domain.errors import Unavailable
from hub.domain.events import IncidentNoted, OrderSigned, SignedOut
from hub.services import events
from hub.services.context import Context, make_context
from hub.settings import Settings
from hub.store import log
from hub.store.migrate import upgrade
from hub.store.outbox import record
from hub.store.tables import LogHeadRow, LogPayloadRow, LogRow, OutboxRow
from hub.store.verify import Verdict, verify
from tests.integration.hub_rig import TestClock
from tests.integration.redis_rig import running_redis

N = 6


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    ctx = make_context(Settings(data=tmp_path), clock=TestClock())
    await upgrade(ctx.engine)
    yield ctx
    await ctx.close()


async def note(ctx: Context, *texts: str) -> None:
    """Record one event a text, all in one transaction."""
    async with ctx.sessions.begin() as db:
        for line in texts:
            event = IncidentNoted(run="run-1", incident="inc-1", by="u-1", text=line)
            record(db, event, unit="city", ref="inc-1", at=ctx.clock())


async def chain(ctx: Context, count: int = N) -> None:
    await note(ctx, *(f"第 {n} 行" for n in range(1, count + 1)))
    assert await events.append_waiting(ctx) == count


async def check(ctx: Context, *anchors: Anchor) -> Verdict:
    async with ctx.reading() as db:
        return await verify(db, anchors=anchors)


async def run(ctx: Context, *statements: Any) -> None:
    """Tamper as somebody with a database shell would, who asks no foreign key."""
    engine = create_async_engine(ctx.settings.database)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(statement)
    await engine.dispose()


async def test_an_event_exists_exactly_if_its_transaction_was_committed(ctx: Context) -> None:
    async with ctx.sessions() as db:
        record(db, SignedOut(by="u-1"), unit="city", ref="u-1", at=1)
        await db.flush()
        await db.rollback()
    assert not ctx.wake.is_set()
    await note(ctx, "so")
    assert ctx.wake.is_set()
    await events.append_waiting(ctx)
    assert [event.kind for event in await events.events_after(ctx, 0)] == ["incident.noted"]


async def test_a_chain_is_whole_and_its_rows_hold_what_was_said(ctx: Context) -> None:
    await chain(ctx)
    assert await check(ctx) == Verdict(ok=True, rows=N, head=N, erased=0)
    found = await events.events_after(ctx, 2)
    assert [(each.seq, each.data and each.data["text"]) for each in found] == [
        (n, f"第 {n} 行") for n in range(3, N + 1)
    ]
    async with ctx.reading() as db:
        first = await db.get_one(LogRow, 1)
        assert (first.prev, first.alg, first.incident, first.run) == (GENESIS, "sha256", "inc-1", "run-1")
        assert (await db.scalar(select(OutboxRow.id))) is None


async def test_an_empty_log_is_whole(ctx: Context) -> None:
    assert await check(ctx) == Verdict(ok=True, rows=0, head=0, erased=0)


LOG_COLUMNS = {
    "kind": "order.signed",
    "at": 1,
    "unit": "town-b",
    "ref": "inc-2",
    "alg": "sha3-256",
    "payload_hash": "f" * 64,
    "prev": "e" * 64,
    "hash": "d" * 64,
    "incident": "inc-2",
    "run": None,
}
PAYLOAD_COLUMNS = {"salt": "00" * 16, "data": '{"text":"x"}'}


def test_every_column_of_the_log_is_tampered_with_below() -> None:
    assert set(LOG_COLUMNS) | {"seq"} == set(LogRow.__table__.columns.keys())
    assert set(PAYLOAD_COLUMNS) | {"seq"} == set(LogPayloadRow.__table__.columns.keys())


@pytest.mark.parametrize("seq", [1, 3, N])
@pytest.mark.parametrize("column", LOG_COLUMNS)
async def test_a_change_of_any_column_is_found_where_it_is(ctx: Context, column: str, seq: int) -> None:
    await chain(ctx)
    await run(ctx, update(LogRow).where(LogRow.seq == seq).values({column: LOG_COLUMNS[column]}))
    verdict = await check(ctx)
    assert (verdict.ok, verdict.broken_at) == (False, seq), verdict


@pytest.mark.parametrize("value", ["", "no hex", None, "00" * 16])
@pytest.mark.parametrize("column", PAYLOAD_COLUMNS)
async def test_a_change_of_a_payload_is_found(ctx: Context, column: str, value: str | None) -> None:
    await chain(ctx)
    await run(ctx, update(LogPayloadRow).where(LogPayloadRow.seq == 4).values({column: value}))
    verdict = await check(ctx)
    assert (verdict.ok, verdict.broken_at) == (False, 4), verdict


@pytest.mark.parametrize("seq", range(1, N + 1))
async def test_a_removed_row_is_found_also_at_the_end(ctx: Context, seq: int) -> None:
    await chain(ctx)
    await run(ctx, delete(LogPayloadRow).where(LogPayloadRow.seq == seq), delete(LogRow).where(LogRow.seq == seq))
    verdict = await check(ctx)
    assert (verdict.ok, verdict.broken_at) == (False, seq)
    assert verdict.reason.startswith("missing")


async def test_a_removed_payload_is_no_erasure(ctx: Context) -> None:
    await chain(ctx)
    await run(ctx, delete(LogPayloadRow).where(LogPayloadRow.seq == 2))
    assert (await check(ctx)).broken_at == 2


async def test_a_tail_cut_together_with_the_head_is_found_by_the_anchor_outside(ctx: Context) -> None:
    await chain(ctx)
    async with ctx.reading() as db:
        before = await db.get_one(LogRow, 4)
    await run(
        ctx,
        delete(LogPayloadRow).where(LogPayloadRow.seq > 4),
        delete(LogRow).where(LogRow.seq > 4),
        update(LogHeadRow).values(seq=4, hash=before.hash),
    )
    assert (await check(ctx)).ok  # the database alone is consistent again
    verdict = await events.verify(ctx)
    assert (verdict.ok, verdict.broken_at) == (False, 5)
    assert "anchor" in verdict.reason


async def test_a_chain_written_anew_from_some_row_on_is_found_by_the_anchor_outside(ctx: Context) -> None:
    await chain(ctx)
    async with ctx.reading() as db:
        last = await db.get_one(LogRow, N)
    forged = row_hash(
        last.alg, seq=N, kind=last.kind, at=1, unit="city", ref="inc-1", payload_hash=last.payload_hash, prev=last.prev
    )
    await run(
        ctx,
        update(LogRow).where(LogRow.seq == N).values(at=1, hash=forged),
        update(LogHeadRow).values(hash=forged),
    )
    assert (await check(ctx)).ok
    assert (await events.verify(ctx)).broken_at == N


@pytest.mark.parametrize(
    "statement",
    [
        update(LogHeadRow).values(hash="0" * 64),
        update(LogHeadRow).values(seq=N - 1),
        update(LogHeadRow).values(seq=N + 1),
        delete(LogHeadRow),
        insert(LogPayloadRow).values(seq=N + 5, salt="00", data="{}"),
    ],
)
async def test_a_wrong_head_or_a_stray_payload_is_found(ctx: Context, statement: object) -> None:
    await chain(ctx)
    await run(ctx, statement)
    assert not (await check(ctx)).ok


async def test_rows_without_a_head_are_not_appended_to(ctx: Context) -> None:
    await chain(ctx)
    await run(ctx, delete(LogHeadRow))
    await note(ctx, "more")
    with pytest.raises(Unavailable, match="no head"):
        await events.append_waiting(ctx)


async def test_an_erasure_takes_the_words_and_leaves_the_chain(ctx: Context) -> None:
    await chain(ctx)
    async with ctx.sessions.begin() as db:
        await log.erase(db, 3)
    assert await events.verify(ctx) == Verdict(ok=True, rows=N, head=N, erased=1)
    assert (await events.events_after(ctx, 2))[0].data is None


Step = tuple[str, int]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["note", "append", "erase"]), st.integers(1, 4)), max_size=12))
def test_whatever_is_noted_appended_and_erased_the_chain_stays_whole(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    async def play() -> None:
        ctx = make_context(Settings(data=tmp_path_factory.mktemp("log")), clock=TestClock())
        try:
            await upgrade(ctx.engine)
            noted = 0
            for what, count in steps:
                if what == "note":
                    await note(ctx, *("x" for _ in range(count)))
                    noted += count
                elif what == "append":
                    async with ctx.sessions.begin() as db:
                        await log.append_batch(db, limit=count)
                else:
                    async with ctx.sessions.begin() as db:
                        await log.erase(db, count)
            await events.append_waiting(ctx)
            verdict = await check(ctx)
            assert (verdict.ok, verdict.rows) == (True, noted)
            assert [event.seq for event in await events.events_after(ctx, 0)] == list(range(1, noted + 1))
        finally:
            await ctx.close()

    asyncio.run(play())


async def test_many_writers_and_two_appenders_make_one_chain_without_holes(ctx: Context, tmp_path: Path) -> None:
    """Two contexts stand for two processes on one database; there is no lease, so only the database keeps order."""
    other = make_context(Settings(data=tmp_path), clock=ctx.clock)

    async def write(context: Context, count: int) -> None:
        for n in range(count):
            await note(context, f"{n}")

    seen: list[int] = []
    done = asyncio.Event()

    async def follow() -> None:
        after = 0
        while len(seen) < 60:
            for event in await events.events_after(ctx, after):
                seen.append(event.seq)
                after = event.seq
            if done.is_set() and len(seen) < 60:
                await events.append_waiting(ctx)

    try:
        appenders = [asyncio.create_task(events.run_appender(each)) for each in (ctx, other)]
        async with asyncio.timeout(60):
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(follow())
                async with asyncio.TaskGroup() as writers:
                    for context in (ctx, other, ctx, other):
                        writers.create_task(write(context, 15))
                done.set()
            await reader
        for task in appenders:
            task.cancel()
        await asyncio.wait(appenders)
        assert seen == list(range(1, 61))  # whoever follows by ?after= misses nothing
        assert (await events.verify(ctx)).ok
    finally:
        await other.close()


async def test_with_redis_one_appender_leads_and_another_takes_over(tmp_path: Path) -> None:
    async with running_redis() as redis:
        client = redis.client()
        one, two = (make_context(Settings(data=tmp_path), clock=TestClock(), redis=client) for _ in range(2))
        await upgrade(one.engine)
        live = client.pubsub()
        await live.subscribe("live")
        assert (await live.get_message(timeout=5))["type"] == "subscribe"

        async def told() -> int:
            async with asyncio.timeout(60):
                while True:
                    message = await live.get_message(ignore_subscribe_messages=True, timeout=5)
                    if message is not None:
                        return int(json.loads(message["data"])["seq"])

        try:
            first, second = (asyncio.create_task(events.run_appender(each)) for each in (one, two))
            await note(one, "a")
            assert await told() == 1
            first.cancel()
            await asyncio.wait([first])
            await note(two, "b")
            assert await told() == 2
            await redis.kill()  # the nerve is cut: the memory goes on
            await note(two, "c")
            async with asyncio.timeout(30):
                while await events.last_seq(two) < 3:  # noqa: ASYNC110  # it is the database that we wait for
                    await asyncio.sleep(0.05)
            second.cancel()
            await asyncio.wait([second])
            assert (await events.verify(two)).ok
        finally:
            await live.aclose()  # type: ignore[no-untyped-call]  # redis-py left it untyped
            await client.aclose()
            await one.close()
            await two.close()


async def test_events_are_found_by_incident_run_and_unit(ctx: Context) -> None:
    async with ctx.sessions.begin() as db:
        record(db, OrderSigned(run="run-1", incident="inc-1", by="u"), unit="dept-a", ref="order-1", at=1)
        record(db, OrderSigned(run="run-1", by="u"), unit="dept-b", ref="order-2", at=2)
        record(db, OrderSigned(incident="inc-2", by="u"), unit="dept-a", ref="order-3", at=3)
    await events.append_waiting(ctx)

    async def refs(**given: Any) -> list[str]:
        async with ctx.reading() as db:
            return [event.ref for event in await log.read(db, **given)]

    assert await refs(incident="inc-1") == ["order-1"]
    assert await refs(run="run-1") == ["order-1", "order-2"]
    assert await refs(units=["dept-a"]) == ["order-1", "order-3"]
    assert await refs(units=[]) == []
    assert await refs(limit=1, newest=True) == ["order-3"]
