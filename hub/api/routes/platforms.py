"""Platforms above us (级联)."""

from typing import Annotated

from fastapi import APIRouter, Depends

from hub.api import schemas_gb as schemas
from hub.api.deps import ContextDep, Requires, part
from hub.domain.ids import GbId
from hub.domain.roles import Right
from hub.services import platforms
from hub.services.context import Actor
from hub.services.gateways import GatewayBook
from hub.services.platforms import PlatformView

router = APIRouter(prefix="/platforms", tags=["platforms"])
Manager = Annotated[Actor, Depends(Requires(Right.CAMERA_MANAGE))]
Book = Annotated[GatewayBook, Depends(part(GatewayBook))]


@router.get("", response_model=schemas.Platforms)
async def list_platforms(ctx: ContextDep, actor: Manager, book: Book) -> dict[str, object]:
    """Every platform that we register with, by name."""
    return {"items": await platforms.list_platforms(ctx, actor, book)}


@router.post("", status_code=201, response_model=schemas.Platform)
async def add_platform(body: schemas.NewPlatform, ctx: ContextDep, actor: Manager, book: Book) -> PlatformView:
    """Register with one more: 409 `platform.exists`, `platform.too_many`."""
    return await platforms.add_platform(ctx, actor, book, body.model_dump())


@router.patch("/{platform}", response_model=schemas.Platform)
async def change_platform(
    platform: GbId, body: schemas.PlatformPatch, ctx: ContextDep, actor: Manager, book: Book
) -> PlatformView:
    """Change what is given: 404 `platform.unknown`."""
    return await platforms.change_platform(ctx, actor, book, platform, body.model_dump(exclude_unset=True))


@router.delete("/{platform}", status_code=204)
async def remove_platform(platform: GbId, ctx: ContextDep, actor: Manager, book: Book) -> None:
    """Register there no more: 404 `platform.unknown`."""
    await platforms.remove_platform(ctx, actor, book, platform)


@router.get("/{platform}/cameras", response_model=schemas.SharedCameras)
async def list_shared(platform: GbId, ctx: ContextDep, actor: Manager) -> dict[str, object]:
    """What it may see: 404 `platform.unknown`."""
    return {"items": await platforms.list_shared(ctx, actor, platform)}


@router.put("/{platform}/cameras", response_model=schemas.SharedCameras)
async def share_cameras(
    platform: GbId, body: schemas.ShareCameras, ctx: ContextDep, actor: Manager, book: Book
) -> dict[str, object]:
    """Let it see these and no others: 404 `platform.unknown`, 422 `camera.unknown`, `platform.id_taken`."""
    wanted = [(item.camera, item.gb_id) for item in body.items]
    return {"items": await platforms.share(ctx, actor, book, platform, wanted)}
