"""Drills: scenarios, runs, scores."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from hub.api.deps import ContextDep, Requires
from hub.api.schemas import drills as schemas
from hub.domain.ids import RunId
from hub.domain.roles import Right
from hub.services import drills, scores
from hub.services.context import Actor
from hub.services.drills import RunView, ScenarioView

router = APIRouter(prefix="/drills", tags=["drills"])
Reader = Annotated[Actor, Depends(Requires(Right.DRILL_READ))]
Organiser = Annotated[Actor, Depends(Requires(Right.DRILL_RUN))]


@router.get("/scenarios", response_model=schemas.Scenarios)
async def list_scenarios(ctx: ContextDep, actor: Reader) -> dict[str, list[ScenarioView]]:
    """Scenarios, by title."""
    return {"items": await drills.list_scenarios(ctx, actor)}


@router.post("/scenarios", status_code=201, response_model=schemas.Scenario)
async def add_scenario(body: schemas.NewScenario, ctx: ContextDep, actor: Organiser) -> ScenarioView:
    """Add a scenario with its rubric: 409 `scenario.exists`; 422 `scenario.invalid`, `rubric.invalid` with the line."""
    return await drills.add_scenario(ctx, actor, text=body.text, rubric=body.rubric)


@router.get("/runs", response_model=schemas.Runs)
async def list_runs(ctx: ContextDep, actor: Reader) -> dict[str, Any]:
    """The latest 200 runs, newest first."""
    runs = await drills.list_runs(ctx, actor)
    return {"items": runs, "total": len(runs)}


@router.post("/runs", status_code=201, response_model=schemas.Run)
async def plan_run(body: schemas.NewRun, ctx: ContextDep, actor: Organiser) -> RunView:
    """Plan a run: scenario and rubric are frozen. 404 `scenario.unknown`."""
    return await drills.plan(ctx, actor, scenario=body.scenario)


@router.get("/runs/{run}", response_model=schemas.Run)
async def get_run(run: RunId, ctx: ContextDep, actor: Reader) -> RunView:
    """One run: 404 `drill.unknown`."""
    return await drills.get_run(ctx, actor, run)


@router.post("/runs/{run}/start", response_model=schemas.Run)
async def start_run(run: RunId, ctx: ContextDep, actor: Organiser) -> RunView:
    """Start it: 409 `drill.illegal_transition`, 429 `drill.too_many`."""
    return await drills.start(ctx, actor, run)


@router.post("/runs/{run}/end", response_model=schemas.Run)
async def end_run(run: RunId, body: schemas.EndRun, ctx: ContextDep, actor: Organiser) -> RunView:
    """End it: 409 `drill.illegal_transition`."""
    return await drills.end(ctx, actor, run, reason=body.reason)


@router.post("/runs/{run}/score", response_model=schemas.ScoreSheet)
async def score_run(run: RunId, ctx: ContextDep, actor: Organiser) -> dict[str, Any]:
    """Compute the score from the log, again if need be: the same bytes. 409 while it runs, 503 `log.behind`."""
    await scores.score_run(ctx, run, actor)
    return await scores.get_sheet(ctx, actor, run)


@router.get("/runs/{run}/score", response_model=schemas.ScoreSheet)
async def get_score(run: RunId, ctx: ContextDep, actor: Reader) -> dict[str, Any]:
    """The sheet as it was computed: 404 `score.none`."""
    return await scores.get_sheet(ctx, actor, run)
