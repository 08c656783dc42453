"""Pictures of cameras: one now, or several that the device uploads."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response

from hub.api import schemas_gb as schemas
from hub.api.deps import Requires, part, signed_in
from hub.api.multipart import first_file
from hub.domain.ids import CameraId
from hub.domain.picture import MAX_BYTES, inspect
from hub.domain.roles import Right
from hub.services.accounts import SignedInAs
from hub.services.context import Actor
from hub.services.snapshots import Snapshots, Taken

router = APIRouter(prefix="/cameras", tags=["cameras"])
uploads = APIRouter(tags=["cameras"])
SnapshotsDep = Annotated[Snapshots, Depends(part(Snapshots))]
Who = Annotated[SignedInAs, Depends(signed_in)]
watches: Final = Depends(Requires(Right.CAMERA_WATCH))
Watcher = Annotated[Actor, Depends(Requires(Right.CAMERA_WATCH))]
Hand = Annotated[Actor, Depends(Requires(Right.CAMERA_CONTROL))]
Session = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,80}$")]
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
JPEG: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"image/jpeg": {}}}}


@router.get("/{camera}/snapshot", response_class=Response, responses=JPEG, dependencies=[watches])
async def snapshot(camera: CameraId, who: Who, snapshots: SnapshotsDep) -> Response:
    """The camera's picture now, as JPEG: 404 `camera.unknown`, 503 `relay.none`, `stream.not_live`."""
    data = await snapshots.now(who, camera)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.post("/{camera}/pictures", status_code=202, response_model=schemas.PicturesAsked)
async def ask_pictures(
    camera: CameraId, body: schemas.AskPictures, actor: Hand, snapshots: SnapshotsDep
) -> dict[str, str]:
    """Have the device take and upload some (edition of 2022): 409 `upload.no_address`, 422 `gb28181.edition`, 503."""
    session = await snapshots.ask(actor, camera, count=body.count, interval_s=body.interval_s)
    return {"session": session}


@router.get("/{camera}/pictures/{session}", response_model=schemas.PicturesTaken)
async def list_pictures(
    camera: CameraId, session: Session, actor: Watcher, snapshots: SnapshotsDep
) -> dict[str, list[Taken]]:
    """What the device has uploaded so far, oldest first; kept for a day."""
    return {"items": await snapshots.came(actor, camera, session)}


@router.get("/{camera}/pictures/{session}/{sha256}", response_class=Response, responses=JPEG)
async def get_picture(
    camera: CameraId, session: Session, sha256: Sha256, actor: Watcher, snapshots: SnapshotsDep
) -> Response:
    """One of them: 404 `picture.unknown`."""
    data = await snapshots.picture(actor, camera, session, sha256)
    return Response(data, media_type=inspect(data).media_type)


@uploads.api_route("/uploads/{session}", methods=["POST", "PUT"], status_code=204, include_in_schema=False)
async def upload(session: Session, request: Request, snapshots: SnapshotsDep) -> None:
    """A device brings a picture, plain or in a form; the address is its right to do so. 404 `upload.unknown`."""
    await snapshots.expects(session)  # before the body is read
    await snapshots.take(session, await first_file(request, MAX_BYTES))
