"""Scores of drill runs: read from the log, computed by ``drills``, kept as the very bytes that were hashed."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from drills.document import DocumentError
from drills.envelope import ENDED, FAILURES, STARTED, Unscorable
from drills.report import render
from drills.rubric import parse_rubric
from drills.scenario import parse_scenario
from drills.score import Run, Sheet, score
from hub.domain.drill import RunMove, RunState, step
from hub.domain.errors import Conflict, NotFound, TooMany, Unavailable
from hub.domain.events import DrillPlanned, DrillScored, Envelope
from hub.domain.ids import RunId
from hub.domain.roles import Right
from hub.domain.units import UnitTree
from hub.services.access import SYSTEM, require
from hub.services.context import Actor, Context
from hub.services.drills import centre, reachable
from hub.services.events import append_waiting
from hub.services.units import tree
from hub.store import drills as store
from hub.store import log as event_log
from hub.store.outbox import record
from hub.store.tables_duty import RunRow

__all__ = ["compute", "get_sheet", "render", "score_run"]

log: Final = structlog.get_logger(__name__)
PAGE: Final = 1_000
MOST_EVENTS: Final = 200_000


async def score_run(ctx: Context, run: RunId, actor: Actor = SYSTEM) -> Sheet:
    """Compute the score of an ended run and keep it; a sheet that is the same as before changes nothing.

    Raises NotFound (``drill.unknown``), Conflict (``drill.illegal_transition`` before the end; ``drill.frozen``
    where rubric or scenario are not those that were planned; ``drill.not_started``, ``.erased`` …) and
    Unavailable (``log.behind``).
    """
    require(actor, Right.DRILL_RUN)
    async with ctx.reading() as db:
        step(RunState((await reachable(ctx, db, actor, run)).state), RunMove.SCORE)
    await _need_log(ctx, run)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, run)
        events = await _events(db, run)
    sheet = await asyncio.to_thread(compute, row, events)
    await _keep(ctx, actor, run, sheet)
    return sheet


def compute(row: RunRow, events: Sequence[Envelope]) -> Sheet:
    """The sheet of a run; nothing is read or written. Raises Conflict."""
    try:
        scenario, rubric = parse_scenario(row.scenario_text), parse_rubric(row.rubric_text)
    except DocumentError as error:
        raise Conflict("drill.frozen", f"the frozen scenario or rubric is unreadable: {error}") from None
    planned = next((event for event in events if event.kind == DrillPlanned.kind and event.data is not None), None)
    if planned is None or planned.data is None:
        raise Conflict("drill.not_planned", "the log does not say how this run was planned")
    frozen = (planned.data["scenario_sha256"], planned.data["rubric_sha256"])
    if frozen != (scenario.sha256, rubric.sha256):
        raise Conflict("drill.frozen", "scenario or rubric are not those that were frozen when the run was planned")
    of = Run(row.id, scenario.title, tuple(planned.data["units"]), scenario.sha256)
    try:
        return score(events, rubric, of)
    except Unscorable as error:
        raise Conflict(f"drill.{error.id}", error.message) from None


async def get_sheet(ctx: Context, actor: Actor, run: RunId) -> dict[str, Any]:
    """The kept sheet as the interface shows it, names of units added. Raises NotFound (``score.none``)."""
    require(actor, Right.DRILL_READ)
    async with ctx.reading() as db:
        row = await reachable(ctx, db, actor, run)
        units = await tree(ctx, db)
    if row.sheet_json is None:
        raise NotFound("score.none", "this run has no score yet")
    return _shown(row.sheet_json.encode(), units)


def _shown(data: bytes, units: UnitTree) -> dict[str, Any]:
    sheet: dict[str, Any] = json.loads(data)
    for item in sheet["items"]:
        for part in (*item["evidence"], *item["details"]):
            part["unit_name"] = units.name(part["unit"])
    return sheet | {"sheet_sha256": hashlib.sha256(data).hexdigest()}


async def _need_log(ctx: Context, run: RunId) -> None:
    """The run's end, and so everything before it, must be in the log; what waits for the appender is appended now."""
    for attempt in range(2):
        async with ctx.reading() as db:
            if await store.last_of(db, ENDED, run) is not None:
                return
        if attempt == 0:
            await append_waiting(ctx)
    raise Unavailable("log.behind", "the log has not caught up with the end of this run; try again")


async def _events(db: AsyncSession, run: RunId) -> list[Envelope]:
    """Everything marked with the run, and the hub's own failures from its start on."""
    events = await _all(db, after=0, run=run)
    started = next((event.seq for event in events if event.kind == STARTED), 0)
    for kind in sorted(FAILURES):
        events += await _all(db, after=started, kind=kind)
    return events


async def _all(db: AsyncSession, *, after: int, run: RunId | None = None, kind: str | None = None) -> list[Envelope]:
    found: list[Envelope] = []
    while len(found) < MOST_EVENTS:
        page = await event_log.read(db, after=after, limit=PAGE, run=run, kind=kind)
        found += page
        if len(page) < PAGE:
            return found
        after = page[-1].seq
    raise TooMany("drill.too_long", f"more than {MOST_EVENTS} events belong to this run")


async def _keep(ctx: Context, actor: Actor, run: RunId, sheet: Sheet) -> None:
    data, now = sheet.to_bytes(), ctx.clock()
    async with ctx.sessions.begin() as db:
        row = await reachable(ctx, db, actor, run, lock=True)
        if row.sheet_sha256 == sheet.sha256:
            return
        if row.sheet_sha256 is not None:
            log.warning("drill.score_changed", run=run, before=row.sheet_sha256, after=sheet.sha256)
        row.sheet_json, row.sheet_sha256 = data.decode(), sheet.sha256
        row.points, row.of = sheet.points, sheet.of
        event = DrillScored(by=actor.id, run=run, points=sheet.points, of=sheet.of, sheet_sha256=sheet.sha256)
        record(db, event, unit=await centre(ctx, db), ref=run, at=now)
