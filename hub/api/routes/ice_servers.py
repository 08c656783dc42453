"""Where a browser finds TURN: servers and credentials for its peer connections."""

from fastapi import APIRouter

from hub.api.deps import ContextDep
from hub.api.routes.media import Who, has_media
from hub.api.schemas.system import IceServer, IceServers
from hub.services.ice_servers import ice_servers

router = APIRouter(tags=["media"])


@router.get("/media/ice-servers", dependencies=[has_media])
async def get_ice_servers(ctx: ContextDep, who: Who) -> IceServers:
    """TURN servers with credentials of one's own until `expires_at`; no item where there are none."""
    found = ice_servers(ctx, who.actor)
    items = [IceServer(urls=list(found.urls), username=found.username, credential=found.credential)]
    return IceServers(items=items if found.urls else [], expires_at=found.expires_at, only=found.only)
