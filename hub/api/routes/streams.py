"""Cameras for players and other platforms: MPEG-TS over HTTP, as it came, with the same rights as on the wall."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from hub.api.deps import Requires, part, signed_in
from hub.bus.streaming import Streamed
from hub.domain.ids import CameraId
from hub.domain.roles import Right
from hub.services.accounts import SignedInAs
from hub.services.media import Media

router = APIRouter(tags=["media"])
MediaDep = Annotated[Media, Depends(part(Media))]
Who = Annotated[SignedInAs, Depends(signed_in)]
watches: Final = Depends(Requires(Right.CAMERA_WATCH))


@router.get("/streams/{camera}.ts", dependencies=[watches], include_in_schema=False)
async def read_camera(camera: CameraId, who: Who, media: MediaDep) -> Response:
    """A camera without end: 404 `camera.unknown`, 429 `relay.full`, 503 `relay.none`, `stream.not_live`."""
    opened = await media.read_camera(who, camera)

    async def done() -> None:
        await opened.close()
        await media.forget(opened.session)

    return Streamed(opened.chunks(), media_type="video/mp2t", until=opened.lost, on_done=done)
