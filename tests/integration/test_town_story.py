"""The story of the first start, against the real interface on a real socket; here without a relay or cameras."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import func, select

from hub.api.app import create_app
from hub.demo import script
from hub.demo.script import FILE, play
from hub.demo.town import ensure_town
from hub.domain.clock import system_clock
from hub.services import accounts, dispatch, drills, events, incidents, scores
from hub.services.access import SYSTEM
from hub.services.context import Context
from hub.store.tables import LogRow
from tests.integration.hub_rig import catch_up, hub


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Context, str]]:
    """The town behind a real HTTP port; nothing listens where the cameras would be."""
    with socket.socket() as nothing, socket.socket() as listener:
        nothing.bind(("127.0.0.1", 0))
        listener.bind(("127.0.0.1", 0))
        port = nothing.getsockname()[1]
        async with hub(folder, system_clock, demo_rtsp_port=port) as ctx:
            await ensure_town(ctx)
            app = create_app(ctx, own_tasks=False)
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
            async with asyncio.TaskGroup() as group:
                group.create_task(server.serve([listener]))
                try:
                    yield ctx, f"http://127.0.0.1:{listener.getsockname()[1]}"
                finally:
                    server.should_exit = True


async def test_the_first_start_leaves_a_scored_drill_and_a_closed_and_an_open_incident(tmp_path: Path) -> None:
    async with serving(tmp_path) as (ctx, url):
        await play(ctx, url, pace=0, patience_s=0.3)
        assert json.loads((tmp_path / FILE).read_text())["done"] is True
        (run,) = await drills.list_runs(ctx, SYSTEM)
        assert (run.state, run.scenario, run.sealed) == ("ended", "flood", True)
        page = await incidents.list_incidents(ctx, SYSTEM)
        assert [(item.state, item.run) for item in page.items] == [
            ("open", None),
            ("closed", run.id),
            ("closed", None),
        ]
        orders = (await dispatch.list_orders(ctx, SYSTEM)).items
        assert [order.state for order in orders] == ["signed", "closed", "closed", "closed"]
        steps = ["issued", "delivered", "signed", "feedback", "reviewed", "closed"]
        assert sorted(([step.state for step in order.steps] for order in orders), key=len) == [
            steps[:3],
            steps,
            steps,
            [*steps[:4], "returned", *steps[3:]],
        ]
        sheet = await scores.score_run(ctx, run.id)
        assert {item.id: (item.status, item.points) for item in sheet.items} == {
            "answered": ("scored", "20.00"),
            "joined": ("not_exercised", None),  # without a relay nobody can, and it costs nobody anything
            "staged": ("scored", "20.00"),
            "signed": ("scored", "20.00"),
            "feedback": ("scored", "10.00"),
        }
        assert (await events.verify(ctx)).ok


async def test_the_story_is_told_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as (ctx, url):
        await play(ctx, url, pace=0, patience_s=0.3)
        await catch_up(ctx)
        async with ctx.reading() as db:
            before = await db.scalar(select(func.max(LogRow.seq)))
        await play(ctx, url, pace=0, patience_s=0.3)
        await catch_up(ctx)
        async with ctx.reading() as db:
            assert await db.scalar(select(func.max(LogRow.seq))) == before


async def test_where_somebody_has_worked_already_no_story_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as (ctx, url):
        await incidents.open_incident(ctx, await accounts.actor_named(ctx, "commander"), title="真事")
        await play(ctx, url, pace=0, patience_s=0.3)
        assert await drills.list_runs(ctx, SYSTEM) == []


async def test_a_story_cut_short_ends_its_drill_and_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def stuck(*_: object) -> None:
        if len((await incidents.list_incidents(ctx, SYSTEM)).items) > 1:  # in the drill
            reached.set()
            await asyncio.Event().wait()

    async with serving(tmp_path) as (ctx, url):
        monkeypatch.setattr(script, "snapshot", stuck)
        task = asyncio.create_task(play(ctx, url, pace=0, patience_s=0.3))
        async with asyncio.timeout(30):
            await reached.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        monkeypatch.undo()
        assert [run.state for run in await drills.list_runs(ctx, SYSTEM)] == ["ended"]
        await play(ctx, url, pace=0, patience_s=0.3)
        runs = await drills.list_runs(ctx, SYSTEM)
        assert [(run.state, run.sealed) for run in runs] == [("ended", True), ("ended", False)]


async def test_an_interface_that_never_answers_fails_the_story_and_not_the_hub(tmp_path: Path) -> None:
    async with hub(tmp_path, system_clock) as ctx:
        await ensure_town(ctx)
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            for tries in (1, 2, 3, 3):
                await play(ctx, url, pace=0, patience_s=0)
                assert json.loads((tmp_path / FILE).read_text()) == {"tries": tries, "run": None, "done": False}
