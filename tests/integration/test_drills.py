"""Drills through the services on a real database: from the plan to a sheet, and to the same bytes again."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from drills.score import Sheet
from hub import offline
from hub.demo.town import DRILLS, ensure_town
from hub.domain.errors import Conflict, Forbidden, HubError, Invalid, NotFound
from hub.domain.events import Envelope, NodeLost
from hub.services import accounts, dispatch, drills, incidents, scores
from hub.services.access import SYSTEM
from hub.services.context import Actor, Context
from hub.store import log
from hub.store.outbox import record
from hub.store.tables_duty import RunRow
from tests.integration.hub_rig import START, TestClock, catch_up, hub

RUBRIC = """\
rubric: 1
id: r
title: 评分表
items:
  - {id: signed, title: 签收, metric: order.signed, points: 20, form: threshold, within: 180s}
  - {id: feedback, title: 反馈, metric: order.feedback, points: 20, form: counts, within: due, late: 5, missing: 10, false: 7.5}
  - {id: answered, title: 接警, metric: call.answered, points: 20, form: threshold, within: 60s}
"""  # noqa: E501  # one item a line reads as a table
SCENARIO = """\
scenario: 1
id: s
title: 演练一
rubric: r
units: [dept-water, dept-police]
injects:
  - {id: now, at: 0s, from: 甲, to: 乙, method: phone, message: 起, expected: 做}
  - {id: later, at: 90s, from: 甲, to: 乙, method: phone, message: 承, expected: 做}
"""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the town built once: each test works on a copy."""
    folder = tmp_path_factory.mktemp("town")

    async def build() -> None:
        async with hub(folder, TestClock()) as ctx:
            await ensure_town(ctx)

    asyncio.run(build())
    return folder


@pytest.fixture
def data(town: Path, tmp_path: Path) -> Path:
    """A copy of the town's data folder."""
    return Path(shutil.copytree(town, tmp_path / "data"))


def place(source: str, part: str) -> tuple[int, int]:
    """Line and column of a part's first letter, from 1."""
    before = source[: source.index(part)]
    return before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1


async def who(ctx: Context, username: str) -> Actor:
    """One of the town's people."""
    return await accounts.actor_named(ctx, username)


async def planned(ctx: Context) -> drills.RunView:
    """A run of the scenario above."""
    organiser = await who(ctx, "organiser")
    await drills.add_scenario(ctx, organiser, text=SCENARIO, rubric=RUBRIC)
    return await drills.plan(ctx, organiser, scenario="s")


async def events_of(ctx: Context, run: str) -> list[Envelope]:
    """The log of the run."""
    await catch_up(ctx)
    async with ctx.reading() as db:
        return await log.read(db, run=run, limit=1_000)


async def play(ctx: Context, clock: TestClock, run: str, *, fail: bool = False) -> None:
    """Water signs in time, police 20 s late; water answers and is sent back once."""
    commander, water, police = [await who(ctx, name) for name in ("commander", "water", "police")]
    await drills.start(ctx, await who(ctx, "organiser"), run)
    clock.pass_(5)
    matter = await incidents.open_incident(ctx, commander, title="水位超警戒", run=run)
    orders = [
        await dispatch.issue(ctx, commander, incident=matter.id, unit=unit, text="排涝")
        for unit in ("dept-water", "dept-police")
    ]
    clock.pass_(100)
    await dispatch.sign(ctx, water, orders[0].id)
    if fail:
        async with ctx.sessions.begin() as db:
            record(db, NodeLost(node="api-1", role="api"), unit="", ref="api-1", at=clock())
    clock.pass_(100)
    await dispatch.sign(ctx, police, orders[1].id)
    clock.pass_(60)
    await dispatch.give_feedback(ctx, water, orders[0].id, text="已排涝")
    await dispatch.review(ctx, commander, orders[0].id, accepted=False, comment="补图")
    clock.pass_(1000)
    await dispatch.give_feedback(ctx, police, orders[1].id, text="已封路")
    await drills.end(ctx, await who(ctx, "organiser"), run, reason="完成")


def marks(sheet: Sheet) -> dict[str, tuple[str, str | None]]:
    """Status and points by item."""
    return {item.id: (item.status, item.points) for item in sheet.items}


async def test_a_run_through_the_services_gives_the_expected_sheet_and_again_the_same_bytes(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = (await planned(ctx)).id
        await play(ctx, clock, run)
        events = {event.kind: event for event in await events_of(ctx, run)}
        sheet = await scores.score_run(ctx, run, await who(ctx, "organiser"))
        assert marks(sheet) == {
            "signed": ("scored", "10.00"),  # water in time, police not
            "feedback": ("scored", "7.50"),  # one late, one sent back
            "answered": ("not_exercised", None),
        }
        assert (sheet.points, sheet.of, sheet.full) == ("17.50", "40.00", "60.00")
        assert (sheet.log_from, sheet.log_to) == (events["drill.started"].seq, events["drill.ended"].seq)

        clock.pass_(86_400)
        again = await scores.score_run(ctx, run, await who(ctx, "organiser"))
        assert again.to_bytes() == sheet.to_bytes()
        shown = await scores.get_sheet(ctx, await who(ctx, "evaluator"), run)
        assert shown["sheet_sha256"] == sheet.sha256
        assert shown["items"][0]["details"][0]["unit_name"] == "水利局"
        scored = [event for event in await events_of(ctx, run) if event.kind == "drill.scored"]
        assert [event.data for event in scored] == [
            {"by": (await who(ctx, "organiser")).id, "run": run, "points": "17.50", "of": "40.00",
             "sheet_sha256": sheet.sha256}
        ]  # fmt: skip


async def test_the_sheet_survives_a_restart_byte_by_byte(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = (await planned(ctx)).id
        await play(ctx, clock, run)
        await catch_up(ctx)
        first = await scores.score_run(ctx, run)
    async with hub(data, clock) as ctx:
        assert (await scores.score_run(ctx, run)).to_bytes() == first.to_bytes()
        async with ctx.reading() as db:
            assert await db.scalar(select(RunRow.sheet_json)) == first.to_bytes().decode()


async def test_a_failure_of_the_hub_holds_what_it_touched(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = (await planned(ctx)).id
        await play(ctx, clock, run, fail=True)
        await catch_up(ctx)
        sheet = await scores.score_run(ctx, run)
        assert marks(sheet)["signed"] == ("held", None)
        assert "system.node_lost" in [event.kind for event in sheet.items[0].evidence]


async def test_another_incident_at_the_same_time_is_not_scored(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = (await planned(ctx)).id
        organiser, commander = await who(ctx, "organiser"), await who(ctx, "commander")
        await drills.start(ctx, organiser, run)
        matter = await incidents.open_incident(ctx, commander, title="真事")
        await dispatch.issue(ctx, commander, incident=matter.id, unit="dept-water", text="真事")
        clock.pass_(3_000)
        await drills.end(ctx, organiser, run)
        await catch_up(ctx)
        assert {status for status, _ in marks(await scores.score_run(ctx, run)).values()} == {"not_exercised"}


async def test_injects_are_fed_in_once_at_their_times(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = await planned(ctx)
        assert await drills.inject_due(ctx) == 0
        await drills.start(ctx, await who(ctx, "organiser"), run.id)
        assert await drills.inject_due(ctx) == 0  # the first went in with the start
        clock.pass_(89.9)
        assert await drills.inject_due(ctx) == 0
        clock.pass_(0.1)
        assert [await drills.inject_due(ctx), await drills.inject_due(ctx)] == [1, 0]
        shown = await drills.get_run(ctx, await who(ctx, "commander"), run.id)
        assert [(inject.id, inject.injected_at) for inject in shown.injects] == [("now", START), ("later", clock.now)]
        fed = [event for event in await events_of(ctx, run.id) if event.kind == "drill.injected"]
        assert [(event.at, (event.data or {})["inject"]) for event in fed] == [(START, "now"), (clock.now, "later")]


async def test_an_ended_run_takes_no_more_injects(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = await planned(ctx)
        organiser = await who(ctx, "organiser")
        await drills.start(ctx, organiser, run.id)
        await drills.end(ctx, organiser, run.id)
        clock.pass_(600)
        assert await drills.inject_due(ctx) == 0


async def test_moves_out_of_order_are_refused(data: Path) -> None:
    async with hub(data, TestClock()) as ctx:
        run = await planned(ctx)
        organiser = await who(ctx, "organiser")
        with pytest.raises(Conflict):
            await drills.end(ctx, organiser, run.id)
        with pytest.raises(Conflict):
            await scores.score_run(ctx, run.id)
        await drills.start(ctx, organiser, run.id)
        with pytest.raises(Conflict):
            await drills.start(ctx, organiser, run.id)
        with pytest.raises(Conflict) as caught:
            await scores.score_run(ctx, run.id, organiser)
        assert caught.value.id == "drill.illegal_transition"
        with pytest.raises(NotFound, match="no score"):
            await scores.get_sheet(ctx, organiser, run.id)
        with pytest.raises(NotFound):
            await drills.get_run(ctx, organiser, "run-0")


async def test_only_the_organiser_runs_and_scores_and_departments_see_nothing(data: Path) -> None:
    async with hub(data, TestClock()) as ctx:
        run = await planned(ctx)
        for name in ("commander", "evaluator", "water", "system-admin"):
            actor = await who(ctx, name)
            with pytest.raises(Forbidden):
                await drills.start(ctx, actor, run.id)
            with pytest.raises(Forbidden):
                await scores.score_run(ctx, run.id, actor)
            with pytest.raises(Forbidden):
                await drills.add_scenario(ctx, actor, text=SCENARIO, rubric=RUBRIC)
        for name in ("commander", "evaluator", "organiser"):
            assert [shown.id for shown in await drills.list_runs(ctx, await who(ctx, name))] == [run.id]
        with pytest.raises(Forbidden):
            await drills.list_runs(ctx, await who(ctx, "water"))
        assert await drills.list_runs(ctx, await who(ctx, "town-1")) == []
        stranger = replace(await who(ctx, "organiser"), unit="town-1")
        with pytest.raises(NotFound):
            await drills.start(ctx, stranger, run.id)
        with pytest.raises(Forbidden):
            await drills.add_scenario(ctx, stranger, text=SCENARIO, rubric=RUBRIC)


@pytest.mark.parametrize(
    ("text", "rubric", "id", "where"),
    [
        (SCENARIO.replace("phone", "smoke"), RUBRIC, "scenario.invalid", place(SCENARIO, "phone")),
        (SCENARIO.replace("dept-police", "dept-x"), RUBRIC, "scenario.invalid", place(SCENARIO, "dept-police")),
        (SCENARIO.replace("rubric: r", "rubric: q"), RUBRIC, "scenario.invalid", place(SCENARIO, "r\nunits")),
        (SCENARIO, RUBRIC.replace("180s", "180"), "rubric.invalid", place(RUBRIC, "180s")),
        (SCENARIO, "a: &a [*a]\n", "rubric.invalid", (1, 4)),
    ],
)
async def test_a_bad_file_is_refused_with_line_and_column(
    data: Path, text: str, rubric: str, id: str, where: tuple[int, int]
) -> None:
    async with hub(data, TestClock()) as ctx:
        with pytest.raises(Invalid) as caught:
            await drills.add_scenario(ctx, SYSTEM, text=text, rubric=rubric)
        assert caught.value.id == id
        assert (caught.value.details["line"], caught.value.details["column"]) == where


async def test_a_kept_scenario_is_never_rewritten(data: Path) -> None:
    async with hub(data, TestClock()) as ctx:
        await planned(ctx)
        again = await drills.add_scenario(ctx, SYSTEM, text=SCENARIO, rubric=RUBRIC)
        assert again.id == "s"
        with pytest.raises(Conflict) as caught:
            await drills.add_scenario(ctx, SYSTEM, text=SCENARIO, rubric=RUBRIC.replace("180s", "1s"))
        assert caught.value.id == "scenario.exists"
        kept = {scenario.id: scenario for scenario in await drills.list_scenarios(ctx, SYSTEM)}["s"]
        assert (kept.text, kept.rubric) == (SCENARIO, RUBRIC)


async def test_a_rubric_bent_in_the_database_after_the_plan_is_refused(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = await planned(ctx)
        await play(ctx, clock, run.id)
        await catch_up(ctx)
        async with ctx.sessions.begin() as db:
            await db.execute(update(RunRow).values(rubric_text=RUBRIC.replace("180s", "300s")))
        with pytest.raises(Conflict) as caught:
            await scores.score_run(ctx, run.id)
        assert caught.value.id == "drill.frozen"


async def test_the_command_line_scores_without_a_running_hub_by_appending_what_waits(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = await planned(ctx)
        await play(ctx, clock, run.id)
        sheet, text = await offline.score_run(ctx, "last", "en")
        assert json.loads(sheet)["points"] == "17.50"
        assert f"({run.id})" in text


async def test_an_erased_payload_leaves_the_old_sheet_and_says_why_there_is_no_new_one(data: Path) -> None:
    clock = TestClock()
    async with hub(data, clock) as ctx:
        run = (await planned(ctx)).id
        await play(ctx, clock, run)
        events = await events_of(ctx, run)
        sheet = await scores.score_run(ctx, run)
        async with ctx.sessions.begin() as db:
            await log.erase(db, next(event.seq for event in events if event.kind == "order.signed"))
        with pytest.raises(HubError) as caught:
            await scores.score_run(ctx, run)
        assert caught.value.id == "drill.erased"
        kept = await scores.get_sheet(ctx, SYSTEM, run)
        assert kept["sheet_sha256"] == sheet.sha256


async def test_the_demo_files_are_what_the_town_offers(data: Path) -> None:
    async with hub(data, TestClock()) as ctx:
        (crowd, flood) = await drills.list_scenarios(ctx, await who(ctx, "evaluator"))
        assert flood.text == (DRILLS / "flood.scenario.yaml").read_text("utf-8")
        assert (crowd.items, flood.items, flood.injects) == (5, 5, 3)
        assert json.loads(json.dumps(flood.units)) == ["dept-emergency", "dept-water"]
