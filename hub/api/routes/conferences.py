"""Conferences: opening and looking. Ringing and control go over ``/ws``."""

from typing import Annotated

from fastapi import APIRouter, Depends

from hub.api.deps import ContextDep, Requires
from hub.api.schemas import conferences as schemas
from hub.domain.ids import ConferenceId
from hub.domain.roles import Right
from hub.services import conference_view, conferences
from hub.services.conference_view import ConferenceView
from hub.services.context import Actor

router = APIRouter(prefix="/conferences", tags=["conferences"])
Joiner = Annotated[Actor, Depends(Requires(Right.CONFERENCE_JOIN))]
Opener = Annotated[Actor, Depends(Requires(Right.CONFERENCE_OPEN))]


@router.get("", response_model=schemas.Conferences)
async def list_conferences(ctx: ContextDep, actor: Joiner) -> dict[str, list[ConferenceView]]:
    """Running conferences that one is in, has left or is called to, newest first."""
    return {"items": await conference_view.list_conferences(ctx, actor)}


@router.post("", status_code=201, response_model=schemas.Conference)
async def open_conference(body: schemas.NewConference, ctx: ContextDep, actor: Opener) -> ConferenceView:
    """Open one and let the units ring: 404, 409 `conference.running`, `incident.closed`, 422 `conference.unit`,
    `run.not_running`.
    """
    return await conferences.open_conference(
        ctx,
        actor,
        title=body.title,
        units=body.units,
        incident=body.incident,
        alert=body.alert,
        camera=body.camera,
        run=body.run,
    )


@router.get("/{conference}", response_model=schemas.Conference)
async def get_conference(conference: ConferenceId, ctx: ContextDep, actor: Joiner) -> ConferenceView:
    """One conference, for members and units called: 404 `conference.unknown`."""
    return await conference_view.get_conference(ctx, actor, conference)
