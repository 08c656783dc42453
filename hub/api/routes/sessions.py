"""Signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from hub.api.deps import ContextDep, CurrentActor, anybody_signed_in, signed_in
from hub.api.schemas import accounts as schemas
from hub.api.security import check_origin, clear_cookie, set_cookie
from hub.services import accounts
from hub.services.accounts import MeView, Opened, SignedInAs

router = APIRouter(prefix="/sessions", tags=["sessions"])


@router.post("", status_code=201, response_model=schemas.Session)
async def sign_in(body: schemas.SignIn, request: Request, response: Response, ctx: ContextDep) -> Opened:
    """Open a session: 401 `session.wrong`, 429 `session.too_many`."""
    check_origin(request, needed=False)
    opened = await accounts.sign_in(
        ctx, username=body.username, password=body.password, address=request.client.host if request.client else ""
    )
    set_cookie(response, request, opened.token)
    return opened


@router.get("/current", response_model=schemas.Me)
async def who_am_i(ctx: ContextDep, actor: CurrentActor) -> MeView:
    """The signed-in person and the rights of the role."""
    return await accounts.me(ctx, actor)


@router.delete("/current", status_code=204, dependencies=[Depends(anybody_signed_in)])
async def sign_out(
    request: Request, response: Response, ctx: ContextDep, who: Annotated[SignedInAs, Depends(signed_in)]
) -> None:
    """End this session; its sockets close."""
    await accounts.sign_out(ctx, who)
    clear_cookie(response, request)
