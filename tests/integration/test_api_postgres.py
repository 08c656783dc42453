"""The same hub on PostgreSQL: migrations, the duty's line, parallel hands, and one chain from many writers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from hub.bus.relay_wire import AnomalyReport
from hub.domain.events import IncidentNoted
from hub.services import alerts, dispatch, events
from hub.services.context import make_context
from hub.store.migrate import migrate
from hub.store.outbox import record
from hub.store.tables import Base
from tests.integration.api_rig import Rig, api
from tests.integration.pg_rig import running_postgres

CAMERA = {"name": "东门广场", "url": "rtsp://10.0.0.5:554/main", "unit": "town-a"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_postgres() as url, api(tmp_path, database=url) as rig:
        yield rig


async def test_the_whole_hub_works_on_postgresql(rig: Rig) -> None:
    """One test, since starting a server costs more than all of it."""
    await _schema(rig)
    await _duty(rig)
    await _one_chain(rig)


async def _schema(rig: Rig) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    await asyncio.gather(*(migrate(rig.ctx.settings) for _ in range(3)))  # several processes start at once
    async with rig.ctx.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def _duty(rig: Rig) -> None:
    camera = (await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA))["id"]
    await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA | {"name": "西门"})
    first = await rig.call("commander", "GET", "/cameras", 200, params={"limit": 1, "q": "门"})
    rest = await rig.call("commander", "GET", "/cameras", 200, params={"limit": 1, "q": "门", "cursor": first["next"]})
    assert {first["items"][0]["name"], rest["items"][0]["name"]} == {"东门广场", "西门"}
    rule = await rig.call("commander", "POST", "/rules", 201, json={"camera": camera, "kind": "crowd", "name": "聚集"})
    reports = [
        AnomalyReport(
            camera=camera,
            rule=rule["id"],
            kind="crowd",
            at=rig.clock.now + n,
            score=0.5,
            count=4,
            boxes=[],
            picture=None,
            model="m",
            demonstration=False,
        )
        for n in range(5)
    ]
    made = set(await asyncio.gather(*(alerts.raise_alert(rig.ctx, each, None) for each in reports)))
    assert len(made) == 1
    incident = await rig.call("commander", "POST", "/incidents", 201, json={"title": "人群", "alert": made.pop()})
    body = {"incident": incident["id"], "unit": "dept-water", "text": "疏散", "sign_within_s": 60}
    orders = await asyncio.gather(*(rig.call("commander", "POST", "/orders", 201, json=body) for _ in range(4)))
    assert sorted(order["number"] for order in orders) == [1, 2, 3, 4]
    path = f"/orders/{orders[0]['id']}"
    async with await rig.as_("water") as client:
        answers = await asyncio.gather(*(client.post(f"/api/v1{path}/sign") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    rig.clock.pass_(61)
    assert [await dispatch.remind_overdue(rig.ctx) for _ in range(2)] == [3, 0]
    await rig.log()
    file = await rig.call("water", "GET", f"/incidents/{incident['id']}", 200)
    assert (len(file["orders"]), file["incident"]["orders_open"]) == (4, 4)
    page = await rig.call("commander", "GET", "/orders", 200, params={"limit": 3})
    assert (await rig.call("commander", "GET", "/orders", 200, params={"cursor": page["next"]}))["total"] == 4


async def _one_chain(rig: Rig) -> None:
    """Two processes write and append at once, without a lease."""
    other = make_context(rig.ctx.settings, clock=rig.clock)
    before = await events.last_seq(rig.ctx)

    async def write(each: int) -> None:
        ctx = (rig.ctx, other)[each % 2]
        for n in range(10):
            async with ctx.sessions.begin() as db:
                event = IncidentNoted(incident="inc-1", by="u", text=f"{each}-{n}")
                record(db, event, unit="city", ref="inc-1", at=1)
            await events.append_waiting(ctx)

    try:
        await asyncio.gather(*(write(each) for each in range(4)))
        found = await events.events_after(rig.ctx, before, limit=1_000)
        assert [event.seq for event in found] == list(range(before + 1, before + 41))
        assert (await events.verify(rig.ctx)).ok
    finally:
        await other.close()
