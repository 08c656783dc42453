"""One-click sign-in by role: in the demo only, and only from this very machine. To everybody else it does not exist."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from hub.api.deps import ContextDep, local_demo
from hub.api.schemas import accounts as schemas
from hub.api.security import check_origin, set_cookie
from hub.services import accounts
from hub.services.accounts import Opened

router = APIRouter(prefix="/demo", tags=["demo"], dependencies=[Depends(local_demo)])


@router.get("/people", response_model=schemas.DemoPeople)
async def list_demo_people(ctx: ContextDep) -> dict[str, Any]:
    """People of the demo town."""
    return {"items": await accounts.list_demo_people(ctx)}


@router.post("/sessions", status_code=201, response_model=schemas.Session)
async def sign_in_demo(body: schemas.DemoSignIn, request: Request, response: Response, ctx: ContextDep) -> Opened:
    """Open a session as a person of the demo town, without a password."""
    check_origin(request, needed=False)
    address = request.client.host if request.client else ""
    opened = await accounts.demo_sign_in(ctx, username=body.username, address=address)
    set_cookie(response, request, opened.token)
    return opened
