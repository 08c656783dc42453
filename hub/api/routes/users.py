"""People, for the security administrator."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from hub.api.deps import ContextDep, OnlineDep, Requires
from hub.api.schemas import accounts as schemas
from hub.domain.roles import Right
from hub.services import accounts
from hub.services.accounts import UserView
from hub.services.context import Actor

router = APIRouter(prefix="/users", tags=["users"])
Keeper = Annotated[Actor, Depends(Requires(Right.USER_MANAGE))]


@router.get("", response_model=schemas.Users)
async def list_users(ctx: ContextDep, online: OnlineDep, actor: Keeper) -> dict[str, Any]:
    """All users by user name."""
    items, total = await accounts.list_users(ctx, actor, online)
    return {"items": items, "total": total}


@router.post("", status_code=201, response_model=schemas.User)
async def add_user(body: schemas.NewUser, ctx: ContextDep, online: OnlineDep, actor: Keeper) -> UserView:
    """Add a person: 409 `user.exists`, 422 `user.unit`."""
    return await accounts.add_user(
        ctx,
        actor,
        username=body.username,
        name=body.name,
        role=body.role,
        unit=body.unit,
        password=body.password,
        online=online,
    )
