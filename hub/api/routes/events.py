"""The event log."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hub.api.deps import ContextDep, Requires
from hub.api.schemas import system as schemas
from hub.domain.roles import Right
from hub.services import events
from hub.services.context import Actor
from hub.services.events import EventPage

router = APIRouter(prefix="/events", tags=["events"])


@router.get("", response_model=schemas.Events)
async def list_events(
    ctx: ContextDep,
    actor: Annotated[Actor, Depends(Requires(Right.LOG_READ))],
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
    kind: Annotated[str | None, Query(max_length=60, pattern=r"^[a-z_.]*$")] = None,
    ref: Annotated[str | None, Query(max_length=80, pattern=r"^[A-Za-z0-9._-]*$")] = None,
) -> EventPage:
    """Events after a sequence number; `next` goes on exactly there, without holes."""
    return await events.list_events(ctx, actor, after=after, limit=limit, kind=kind, ref=ref)
