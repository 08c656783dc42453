"""Cameras."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from hub.api import schemas_gb
from hub.api.deps import ContextDep, Requires, StatesDep, part
from hub.api.params import Cursor, Limit, Sought
from hub.api.schemas import cameras as schemas
from hub.bus.command_wire import CommandOut, RecordsOut
from hub.domain.ids import CameraId, UnitId
from hub.domain.roles import Right
from hub.services import cameras
from hub.services.camera_control import CameraControl
from hub.services.cameras import CameraPage, CameraView
from hub.services.context import Actor

router = APIRouter(prefix="/cameras", tags=["cameras"])
Reader = Annotated[Actor, Depends(Requires(Right.CAMERA_READ))]
Manager = Annotated[Actor, Depends(Requires(Right.CAMERA_MANAGE))]
Hand = Annotated[Actor, Depends(Requires(Right.CAMERA_CONTROL))]
Control = Annotated[CameraControl, Depends(part(CameraControl))]
Seconds = Annotated[int, Query(ge=0, le=2**40, description="Unix time in seconds")]


@router.get("", response_model=schemas.Cameras)
async def list_cameras(
    ctx: ContextDep,
    states: StatesDep,
    actor: Reader,
    q: Sought = "",
    unit: UnitId | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CameraPage:
    """Cameras within reach, by name; `unit` includes the units below it."""
    return await cameras.list_cameras(ctx, actor, states, q=q, unit=unit, after=cursor, limit=limit)


@router.post("", status_code=201, response_model=schemas.Camera)
async def add_camera(body: schemas.NewCamera, ctx: ContextDep, states: StatesDep, actor: Manager) -> CameraView:
    """Add a camera: 422 `camera.url_refused`, `camera.unit`."""
    return await cameras.add_camera(
        ctx, actor, name=body.name, url=body.url, sub_url=body.sub_url, unit=body.unit, states=states
    )


@router.get("/{camera}", response_model=schemas.Camera)
async def get_camera(camera: CameraId, ctx: ContextDep, states: StatesDep, actor: Reader) -> CameraView:
    """One camera: 404 `camera.unknown`."""
    return await cameras.get_camera(ctx, actor, states, camera)


@router.patch("/{camera}", response_model=schemas.Camera)
async def change_camera(
    camera: CameraId, body: schemas.CameraPatch, ctx: ContextDep, states: StatesDep, actor: Manager
) -> CameraView:
    """Change what is given: 404 `camera.unknown`, 409 `camera.of_device`, 422 `camera.url_refused`, `camera.unit`."""
    return await cameras.change_camera(ctx, actor, states, camera, body.model_dump(exclude_unset=True))


@router.delete("/{camera}", status_code=204)
async def remove_camera(camera: CameraId, ctx: ContextDep, actor: Manager) -> None:
    """Remove a camera and its rules: 404 `camera.unknown`."""
    await cameras.remove_camera(ctx, actor, camera)


@router.post("/{camera}/commands", response_model=schemas_gb.CommandResult)
async def command_camera(camera: CameraId, body: schemas_gb.CameraCommand, actor: Hand, control: Control) -> CommandOut:
    """Turn it, focus it, call a preset ...: 404 `camera.unknown`, 409 `camera.not_gb28181`, 503 `gateway.none`."""
    return await control.command(actor, camera, body.model_dump())


@router.get("/{camera}/records", response_model=schemas_gb.Recordings)
async def list_records(camera: CameraId, actor: Hand, control: Control, start: Seconds, end: Seconds) -> RecordsOut:
    """What the device has recorded: 404, 409 `camera.not_gb28181`, 422 `records.span`, 503 `gateway.none`."""
    return await control.records(actor, camera, start_s=start, end_s=end)
