"""Orders."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, UploadFile
from starlette.responses import Response

from hub.api.deps import ContextDep, Requires
from hub.api.pages import picture as picture_answer
from hub.api.params import Cursor, Limit
from hub.api.schemas import orders as schemas
from hub.api.schemas.base import Text
from hub.domain.ids import Id, IncidentId, OrderId, UnitId
from hub.domain.picture import MAX_BYTES
from hub.domain.roles import Right
from hub.services import dispatch
from hub.services.context import Actor
from hub.services.dispatch import OrderPage
from hub.services.dispatch_views import OrderView

router = APIRouter(prefix="/orders", tags=["orders"])
Reader = Annotated[Actor, Depends(Requires(Right.ORDER_READ))]
Issuer = Annotated[Actor, Depends(Requires(Right.ORDER_ISSUE))]
Answerer = Annotated[Actor, Depends(Requires(Right.ORDER_ANSWER))]
FormText = Annotated[Text, Form()]


@router.get("", response_model=schemas.Orders)
async def list_orders(
    ctx: ContextDep,
    actor: Reader,
    incident: IncidentId | None = None,
    unit: UnitId | None = None,
    state: schemas.OrderState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> OrderPage:
    """Orders to one's units or in their incidents, newest first."""
    return await dispatch.list_orders(ctx, actor, incident=incident, unit=unit, state=state, after=cursor, limit=limit)


@router.post("", status_code=201, response_model=schemas.Order)
async def issue_order(body: schemas.NewOrder, ctx: ContextDep, actor: Issuer) -> OrderView:
    """Issue an order: 404 `incident.unknown`, 409 incident closed, 422 `order.unit`."""
    return await dispatch.issue(
        ctx,
        actor,
        incident=body.incident,
        unit=body.unit,
        text=body.text,
        sign_within_s=body.sign_within_s,
        feedback_within_s=body.feedback_within_s,
    )


@router.get("/{order}", response_model=schemas.Order)
async def get_order(order: OrderId, ctx: ContextDep, actor: Reader) -> OrderView:
    """One order: 404 `order.unknown`."""
    return await dispatch.get_order(ctx, actor, order)


@router.post("/{order}/sign", response_model=schemas.Order)
async def sign_order(order: OrderId, ctx: ContextDep, actor: Answerer) -> OrderView:
    """Sign for it, as the unit it is addressed to: 409 `order.illegal_transition`."""
    return await dispatch.sign(ctx, actor, order)


@router.post("/{order}/feedback", response_model=schemas.Order)
async def give_feedback(
    order: OrderId,
    ctx: ContextDep,
    actor: Answerer,
    text: FormText,
    picture: Annotated[UploadFile | None, File()] = None,
) -> OrderView:
    """Report back, with a picture if there is one: 409, 422 `picture.unknown`, `picture.too_large`."""
    data = await picture.read(MAX_BYTES + 1) if picture is not None else None
    return await dispatch.give_feedback(ctx, actor, order, text=text, picture=data or None)


@router.post("/{order}/review", response_model=schemas.Order)
async def review_order(order: OrderId, body: schemas.Review, ctx: ContextDep, actor: Issuer) -> OrderView:
    """Accept the feedback or send it back: 409 `order.illegal_transition`."""
    return await dispatch.review(ctx, actor, order, accepted=body.accepted, comment=body.comment)


@router.post("/{order}/close", response_model=schemas.Order)
async def close_order(order: OrderId, ctx: ContextDep, actor: Issuer) -> OrderView:
    """Close a reviewed order: 409 `order.illegal_transition`."""
    return await dispatch.close(ctx, actor, order)


@router.get(
    "/{order}/feedback/{feedback}/picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}, "image/webp": {}}}},
)
async def get_feedback_picture(order: OrderId, feedback: Id, ctx: ContextDep, actor: Reader) -> Response:
    """The picture of a report: 404 `picture.unknown`."""
    found = await dispatch.feedback_picture(ctx, actor, order, feedback)
    return picture_answer(found.data, found.media_type)
