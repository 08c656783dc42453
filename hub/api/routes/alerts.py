"""Alerts."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from hub.api.deps import ContextDep, Requires
from hub.api.pages import picture
from hub.api.params import Cursor, Limit
from hub.api.schemas import alerts as schemas
from hub.domain.ids import AlertId
from hub.domain.roles import Right
from hub.services import alerts
from hub.services.alerts import AlertPage, AlertView
from hub.services.context import Actor

router = APIRouter(prefix="/alerts", tags=["alerts"])
Reader = Annotated[Actor, Depends(Requires(Right.ALERT_READ))]
Handler = Annotated[Actor, Depends(Requires(Right.ALERT_HANDLE))]


@router.get("", response_model=schemas.Alerts)
async def list_alerts(
    ctx: ContextDep,
    actor: Reader,
    state: schemas.AlertState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AlertPage:
    """Alerts within reach, newest first."""
    return await alerts.list_alerts(ctx, actor, state=state, after=cursor, limit=limit)


@router.get("/{alert}", response_model=schemas.Alert)
async def get_alert(alert: AlertId, ctx: ContextDep, actor: Reader) -> AlertView:
    """One alert: 404 `alert.unknown`."""
    return await alerts.get_alert(ctx, actor, alert)


@router.get("/{alert}/picture", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def get_alert_picture(alert: AlertId, ctx: ContextDep, actor: Reader) -> Response:
    """The picture with boxes: 404 `picture.unknown`."""
    return picture(await alerts.get_picture(ctx, actor, alert), "image/jpeg")


@router.post("/{alert}/acknowledge", response_model=schemas.Alert)
async def acknowledge_alert(alert: AlertId, body: schemas.Acknowledge, ctx: ContextDep, actor: Handler) -> AlertView:
    """Take it in hand: 409 `alert.illegal_transition`."""
    return await alerts.acknowledge(ctx, actor, alert, reason=body.reason)


@router.post("/{alert}/dismiss", response_model=schemas.Alert)
async def dismiss_alert(alert: AlertId, body: schemas.Dismiss, ctx: ContextDep, actor: Handler) -> AlertView:
    """It was nothing: 409 `alert.illegal_transition`."""
    return await alerts.dismiss(ctx, actor, alert, reason=body.reason)
