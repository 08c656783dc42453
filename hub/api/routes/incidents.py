"""Incidents."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends

from hub.api.deps import ContextDep, Requires
from hub.api.params import Cursor, Limit
from hub.api.schemas import incidents as schemas
from hub.domain.ids import IncidentId
from hub.domain.roles import Right
from hub.services import incidents
from hub.services.context import Actor
from hub.services.incidents import FileView, IncidentPage, IncidentView

router = APIRouter(prefix="/incidents", tags=["incidents"])
Reader = Annotated[Actor, Depends(Requires(Right.INCIDENT_READ))]
Handler = Annotated[Actor, Depends(Requires(Right.INCIDENT_HANDLE))]


@router.get("", response_model=schemas.Incidents)
async def list_incidents(
    ctx: ContextDep,
    actor: Reader,
    state: Literal["open", "closed"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> IncidentPage:
    """Incidents that concern one's units, newest first."""
    return await incidents.list_incidents(ctx, actor, state=state, after=cursor, limit=limit)


@router.post("", status_code=201, response_model=schemas.Incident)
async def open_incident(body: schemas.NewIncident, ctx: ContextDep, actor: Handler) -> IncidentView:
    """Open an incident: 404 `alert.unknown`, `camera.unknown`, 409 `alert.in_incident`, 422 `run.not_running`."""
    return await incidents.open_incident(
        ctx, actor, title=body.title, severity=body.severity, alert=body.alert, camera=body.camera, run=body.run
    )


@router.get("/{incident}", response_model=schemas.IncidentFile)
async def get_incident(incident: IncidentId, ctx: ContextDep, actor: Reader) -> FileView:
    """The whole file of one matter: 404 `incident.unknown`."""
    return await incidents.get_file(ctx, actor, incident)


@router.post("/{incident}/notes", response_model=schemas.Incident)
async def add_note(incident: IncidentId, body: schemas.NewNote, ctx: ContextDep, actor: Handler) -> IncidentView:
    """Add a line to the file: 409 once closed."""
    return await incidents.note(ctx, actor, incident, text=body.text)


@router.post("/{incident}/close", response_model=schemas.Incident)
async def close_incident(
    incident: IncidentId, body: schemas.CloseIncident, ctx: ContextDep, actor: Handler
) -> IncidentView:
    """Close it: 409 `incident.orders_open`, `incident.illegal_transition`."""
    return await incidents.close(ctx, actor, incident, reason=body.reason)
