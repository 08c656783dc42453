"""Drills: scenarios, runs with their injects, and scores computed from the log of exactly that run."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from drills.document import DocumentError
from drills.rubric import Rubric, parse_rubric
from drills.scenario import Scenario, parse_scenario
from hub.domain.drill import RunMove, RunState, step
from hub.domain.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from hub.domain.events import DrillEnded, DrillInjected, DrillPlanned, DrillStarted
from hub.domain.ids import IncidentId, RunId, UnitId, new_id
from hub.domain.roles import Right
from hub.domain.units import UnitTree
from hub.services.access import may_see_any, may_see_unit, reach, require
from hub.services.context import Actor, Context
from hub.services.tasks import uninterrupted
from hub.services.units import tree
from hub.store import drills as store
from hub.store.outbox import record
from hub.store.tables_duty import RunRow, ScenarioRow

log: Final = structlog.get_logger(__name__)
MOST_SCENARIOS: Final = store.MOST
MOST_RUNNING: Final = 8
INJECTOR_PERIOD_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ScenarioView:
    id: str
    title: str
    text: str
    rubric: str
    sha256: str
    units: list[UnitId]
    injects: int
    items: int


@dataclass(frozen=True, slots=True)
class InjectView:
    id: str
    at_s: int
    title: str
    sender: str
    recipient: str
    method: str
    message: str
    expected: str
    injected_at: int | None


@dataclass(frozen=True, slots=True)
class RunView:
    id: RunId
    title: str
    scenario: str
    state: str
    planned_at: int
    started_at: int | None
    ended_at: int | None
    by_name: str
    units: list[UnitId]
    injects: list[InjectView]
    incident: IncidentId | None
    points: str | None
    of: str | None
    sealed: bool


# scenarios ----------------------------------------------------------------------------------------


def read_scenario(text: str, units: UnitTree) -> Scenario:
    """Parse a scenario whose units exist. Raises Invalid (``scenario.invalid``) with line and column."""
    try:
        scenario = parse_scenario(text)
        for index, unit in enumerate(scenario.units):
            if unit not in units:
                line, column = scenario.places[f"units[{index}]"]
                raise DocumentError(f"no such unit: {unit}", line=line, column=column, path=f"units[{index}]")
    except DocumentError as error:
        raise _invalid("scenario.invalid", error) from None
    return scenario


def read_rubric(text: str) -> Rubric:
    """Parse a rubric. Raises Invalid (``rubric.invalid``) with line and column."""
    try:
        return parse_rubric(text)
    except DocumentError as error:
        raise _invalid("rubric.invalid", error) from None


def _invalid(id: str, error: DocumentError) -> Invalid:
    return Invalid(id, error.message, line=error.line, column=error.column, field=error.path or None)


async def add_scenario(ctx: Context, actor: Actor, *, text: str, rubric: str) -> ScenarioView:
    """Keep a scenario with its rubric. One that is kept is never rewritten: a changed one needs an id of its own.

    Raises Invalid (``scenario.invalid``, ``rubric.invalid``), Conflict (``scenario.exists``, unless it is the very
    same text), TooMany (``scenario.too_many``).
    """
    require(actor, Right.DRILL_RUN)
    try:
        return await _add_scenario(ctx, actor, text, rubric)
    except IntegrityError:  # on PostgreSQL two may reach for the same id
        raise Conflict("scenario.exists", "there is a scenario of this id already; choose another") from None


async def _add_scenario(ctx: Context, actor: Actor, text: str, rubric: str) -> ScenarioView:
    sheet = read_rubric(rubric)
    async with ctx.sessions.begin() as db:
        units = await tree(ctx, db)
        scenario = read_scenario(text, units)
        if scenario.rubric != sheet.id:
            line, column = scenario.places["rubric"]
            message = f"the rubric given is {sheet.id!r}, not {scenario.rubric!r}"
            raise Invalid("scenario.invalid", message, line=line, column=column, field="rubric")
        _need_units(units, actor, scenario.units)
        if (kept := await db.get(ScenarioRow, scenario.id)) is not None:
            if (kept.text, kept.rubric) != (text, rubric):
                raise Conflict("scenario.exists", f"there is a scenario {scenario.id!r} already; choose another id")
            return _scenario_view(kept)
        if await store.scenario_count(db) >= MOST_SCENARIOS:
            raise TooMany("scenario.too_many", f"at most {MOST_SCENARIOS} scenarios are kept")
        row = ScenarioRow(
            id=scenario.id,
            title=scenario.title,
            text=text,
            rubric=rubric,
            sha256=scenario.sha256,
            units=list(scenario.units),
            injects=len(scenario.injects),
            items=len(sheet.items),
            added_at=ctx.clock(),
            added_by=actor.id,
        )
        db.add(row)
        await db.flush()
        return _scenario_view(row)


async def list_scenarios(ctx: Context, actor: Actor) -> list[ScenarioView]:
    """Scenarios that concern units within reach, by title."""
    require(actor, Right.DRILL_READ)
    async with ctx.reading() as db:
        area = reach(await tree(ctx, db), actor)
        return [_scenario_view(row) for row in await store.scenarios(db) if may_see_any(area, row.units)]


def _need_units(units: UnitTree, actor: Actor, wanted: Sequence[UnitId]) -> None:
    """Raise Forbidden (``drill.units``) unless the actor reaches every unit that is to take part."""
    area = reach(units, actor)
    if not all(may_see_unit(area, unit) for unit in wanted):
        raise Forbidden("drill.units", "this drill concerns units that are not yours")


def _scenario_view(row: ScenarioRow) -> ScenarioView:
    return ScenarioView(
        row.id, row.title, row.text, row.rubric, row.sha256, list(row.units), row.injects, row.items
    )  # fmt: skip


# runs ---------------------------------------------------------------------------------------------


async def plan(ctx: Context, actor: Actor, *, scenario: str) -> RunView:
    """Plan a run: scenario and rubric are copied and their hashes go into the log, so that nobody bends them later.

    Raises NotFound (``scenario.unknown``).
    """
    require(actor, Right.DRILL_RUN)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        source = await db.get(ScenarioRow, scenario)
        units = await tree(ctx, db)
        if source is None or not may_see_any(reach(units, actor), source.units):
            raise NotFound("scenario.unknown", "no such scenario")
        parsed, rubric = read_scenario(source.text, units), read_rubric(source.rubric)
        _need_units(units, actor, parsed.units)
        row = RunRow(
            id=new_id("run", now_ms=now),
            title=parsed.title,
            scenario=parsed.id,
            scenario_text=source.text,
            rubric_text=source.rubric,
            scenario_sha256=parsed.sha256,
            rubric_sha256=rubric.sha256,
            state=RunState.PLANNED.value,
            planned_at=now,
            by=actor.id,
            by_name=actor.name,
            units=list(parsed.units),
            injects=[asdict(inject) | {"injected_at": None} for inject in parsed.injects],
        )
        db.add(row)
        event = DrillPlanned(
            by=actor.id,
            run=row.id,
            scenario=parsed.id,
            scenario_sha256=parsed.sha256,
            rubric_sha256=rubric.sha256,
            units=parsed.units,
        )
        record(db, event, unit=await centre(ctx, db), ref=row.id, at=now)
        return _view(row)


async def start(ctx: Context, actor: Actor, run: RunId) -> RunView:
    """Start a planned run; injects of time 0 are fed in at once. Raises NotFound, Conflict, TooMany."""
    require(actor, Right.DRILL_RUN)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, run, lock=True)
        row.state = step(RunState(row.state), RunMove.START).value
        if len(await store.running(db)) > MOST_RUNNING:
            raise TooMany("drill.too_many", f"at most {MOST_RUNNING} drills run at the same time")
        row.started_at = now
        record(db, DrillStarted(by=actor.id, run=row.id), unit=await centre(ctx, db), ref=row.id, at=now)
        _inject_due(db, row, now, unit=await centre(ctx, db))
        return _view(row)


async def end(ctx: Context, actor: Actor, run: RunId, *, reason: str = "") -> RunView:
    """End a running run; what happens later does not count. Raises NotFound, Conflict."""
    require(actor, Right.DRILL_RUN)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, run, lock=True)
        row.state = step(RunState(row.state), RunMove.END).value
        row.ended_at = now
        event = DrillEnded(by=actor.id, run=row.id, reason=reason)
        record(db, event, unit=await centre(ctx, db), ref=row.id, at=now)
        return _view(row)


async def list_runs(ctx: Context, actor: Actor) -> list[RunView]:
    """Runs that concern units within reach, newest first."""
    require(actor, Right.DRILL_READ)
    async with ctx.reading() as db:
        area = reach(await tree(ctx, db), actor)
        return [_view(row) for row in await store.runs(db) if may_see_any(area, row.units)]


async def get_run(ctx: Context, actor: Actor, run: RunId) -> RunView:
    """One run. Raises NotFound (``drill.unknown``)."""
    require(actor, Right.DRILL_READ)
    async with ctx.reading() as db:
        return _view(await reachable(ctx, db, actor, run))


async def reachable(ctx: Context, db: AsyncSession, actor: Actor, run: RunId, *, lock: bool = False) -> RunRow:
    """The row of a run that concerns units within the actor's reach. Raises NotFound (``drill.unknown``)."""
    row = await db.get(RunRow, run, with_for_update=lock or None)
    if row is None or not may_see_any(reach(await tree(ctx, db), actor), row.units):
        raise NotFound("drill.unknown", "no such drill run")
    return row


# injects ------------------------------------------------------------------------------------------


async def run_injector(ctx: Context) -> None:
    """Feed injects in at their times, until cancelled. Every api process may run it: a row lock keeps each to once."""
    while True:
        try:
            await uninterrupted(inject_due(ctx))
        except SQLAlchemyError as error:  # a database that is away for a moment must not end the drill
            log.warning("drill.injector_failed", error=type(error).__name__)
        await asyncio.sleep(INJECTOR_PERIOD_S)


async def inject_due(ctx: Context) -> int:
    """Feed in what is due now; return how many."""
    now = ctx.clock()
    async with ctx.reading() as db:
        if not any(_due(row, now) for row in await store.running(db)):
            return 0
    async with ctx.sessions.begin() as db:
        unit = await centre(ctx, db)
        return sum([_inject_due(db, row, now, unit=unit) for row in await store.running(db, lock=True)])


def _due(row: RunRow, now: int) -> list[dict[str, Any]]:
    if row.started_at is None:
        return []
    return [item for item in row.injects if item["injected_at"] is None and row.started_at + item["at_ms"] <= now]


def _inject_due(db: AsyncSession, row: RunRow, now: int, *, unit: UnitId) -> int:
    due = _due(row, now)
    for item in due:
        step(RunState(row.state), RunMove.INJECT)
        event = DrillInjected(run=row.id, inject=item["id"], title=item["title"], method=item["method"])
        record(db, event, unit=unit, ref=row.id, at=now)
    if due:
        fed = {item["id"] for item in due}
        row.injects = [item | {"injected_at": now} if item["id"] in fed else item for item in row.injects]
    return len(due)


async def centre(ctx: Context, db: AsyncSession) -> UnitId:
    """The unit that a run as a whole concerns: the command centre."""
    nodes = (await tree(ctx, db)).nodes.values()
    return next((node.id for node in nodes if node.kind == "city"), "")


# views --------------------------------------------------------------------------------------------


def _view(row: RunRow) -> RunView:
    return RunView(
        id=row.id,
        title=row.title,
        scenario=row.scenario,
        state=row.state,
        planned_at=row.planned_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        by_name=row.by_name,
        units=list(row.units),
        injects=[_inject_view(item) for item in row.injects],
        incident=row.incident,
        points=row.points,
        of=row.of,
        sealed=row.sheet_sha256 is not None,
    )


def _inject_view(item: dict[str, Any]) -> InjectView:
    return InjectView(
        id=item["id"],
        at_s=item["at_ms"] // 1_000,
        title=item["title"],
        sender=item["sender"],
        recipient=item["recipient"],
        method=item["method"],
        message=item["message"],
        expected=item["expected"],
        injected_at=item["injected_at"],
    )
