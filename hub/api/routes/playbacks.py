"""Recordings of cameras, played from their devices."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from hub.api import schemas_gb as schemas
from hub.api.deps import Requires, part, signed_in
from hub.bus.call_wire import ControlIn
from hub.bus.streaming import Streamed
from hub.domain.ids import CameraId, StreamId
from hub.domain.roles import Right
from hub.services.accounts import SignedInAs
from hub.services.media import Media
from hub.services.playbacks import Playback, Playbacks

router = APIRouter(tags=["recordings"])
PlaybacksDep = Annotated[Playbacks, Depends(part(Playbacks))]
MediaDep = Annotated[Media, Depends(part(Media))]
Who = Annotated[SignedInAs, Depends(signed_in)]
hand: Final = Depends(Requires(Right.CAMERA_CONTROL))


@router.post("/cameras/{camera}/playbacks", status_code=201, response_model=schemas.Playback, dependencies=[hand])
async def open_playback(camera: CameraId, body: schemas.NewPlayback, who: Who, playbacks: PlaybacksDep) -> Playback:
    """Prepare one; watch it by WHEP at `/whep/playbacks/{id}`: 404, 409 `camera.not_gb28181`, 422 `records.span`."""
    return await playbacks.open(who, camera, start_s=body.start_s, end_s=body.end_s, download=body.download)


@router.post("/playbacks/{playback}/control", status_code=204, dependencies=[hand])
async def control_playback(
    playback: StreamId, body: schemas.PlaybackControl, who: Who, playbacks: PlaybacksDep
) -> None:
    """Pause, play, seek, speed: 404 `playback.unknown`, 409 `playback.not_running`."""
    await playbacks.control(who, playback, ControlIn(**body.model_dump()))


@router.get("/playbacks/{playback}.ts", dependencies=[hand], include_in_schema=False)
async def read_playback(playback: StreamId, who: Who, playbacks: PlaybacksDep, media: MediaDep) -> Response:
    """The recording as MPEG-TS, a file to keep: 404 `playback.unknown`, 503."""
    opened = await playbacks.read(who, playback)

    async def done() -> None:
        await opened.close()
        await media.forget(opened.session)

    name = f'attachment; filename="{playback}.ts"'
    return Streamed(
        opened.chunks(), media_type="video/mp2t", headers={"Content-Disposition": name}, until=opened.lost, on_done=done
    )


@router.delete("/playbacks/{playback}", status_code=204, dependencies=[hand])
async def end_playback(playback: StreamId, who: Who, playbacks: PlaybacksDep) -> None:
    """It is not needed any more: 404 `playback.unknown`."""
    await playbacks.end(who, playback)
