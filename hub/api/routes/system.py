"""The installation itself: overview, health, metrics."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from hub.api.deps import ContextDep, CurrentActor, Requires
from hub.api.schemas import system as schemas
from hub.api.security import from_loopback
from hub.domain.roles import Right
from hub.services import system
from hub.services.system import SystemView

router = APIRouter(tags=["system"])
health = APIRouter(tags=["health"], include_in_schema=False)
_reads_system = Requires(Right.SYSTEM_READ)


@router.get("/system", response_model=schemas.System)
async def get_system(ctx: ContextDep, _: CurrentActor) -> SystemView:
    """Name, version, server time, model and nodes."""
    return await system.overview(ctx)


@health.get("/healthz")
async def healthz() -> dict[str, bool]:
    """This process answers."""
    return {"ok": True}


@health.get("/readyz")
async def readyz(ctx: ContextDep) -> Response:
    """Whether database, Redis and log work; 503 says which does not."""
    state = await system.readiness(ctx)
    return JSONResponse({"ready": state.ready, "parts": state.parts}, 200 if state.ready else 503)


@health.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text: from this machine, or with the right system.read."""
    if not from_loopback(request):
        await _reads_system(request)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
