"""GB/T 28181 devices, and who we are to them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from hub.api import schemas_gb as schemas
from hub.api.deps import ContextDep, Requires, part
from hub.api.params import Cursor, Limit, Sought
from hub.bus.gateway_wire import Trace
from hub.domain.ids import GbId
from hub.domain.roles import Right
from hub.services import devices, gb_domain
from hub.services.context import Actor
from hub.services.devices import DevicePage, DeviceView
from hub.services.gateways import GatewayBook
from hub.services.gb_domain import DomainView
from hub.services.media import Media

router = APIRouter(tags=["devices"])
Manager = Annotated[Actor, Depends(Requires(Right.CAMERA_MANAGE))]
Book = Annotated[GatewayBook, Depends(part(GatewayBook))]
MediaDep = Annotated[Media, Depends(part(Media))]


@router.get("/gb28181", response_model=schemas.GbDomain)
async def get_domain(ctx: ContextDep, actor: Manager, book: Book) -> DomainView:
    """Who we are in GB/T 28181, and whether a gateway runs."""
    return await gb_domain.get_domain(ctx, actor, book)


@router.patch("/gb28181", response_model=schemas.GbDomain)
async def change_domain(body: schemas.GbDomainPatch, ctx: ContextDep, actor: Manager, book: Book) -> DomainView:
    """How devices that nobody listed may register."""
    return await gb_domain.change_domain(ctx, actor, book, password=body.password, accept_unknown=body.accept_unknown)


@router.get("/devices", response_model=schemas.Devices)
async def list_devices(
    ctx: ContextDep,
    actor: Manager,
    book: Book,
    q: Sought = "",
    state: Literal["online", "offline", "unknown"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DevicePage:
    """Devices within reach, by name."""
    return await devices.list_devices(ctx, actor, book, q=q, state=state, after=cursor, limit=limit)


@router.post("/devices", status_code=201, response_model=schemas.Device)
async def add_device(body: schemas.NewDevice, ctx: ContextDep, actor: Manager, book: Book) -> DeviceView:
    """List a device: 409 `device.exists`, 422 `device.unit`."""
    return await devices.add_device(ctx, actor, book, **body.model_dump())


@router.get("/devices/{device}", response_model=schemas.Device)
async def get_device(device: GbId, ctx: ContextDep, actor: Manager, book: Book) -> DeviceView:
    """One device: 404 `device.unknown`."""
    return await devices.get_device(ctx, actor, book, device)


@router.patch("/devices/{device}", response_model=schemas.Device)
async def change_device(
    device: GbId, body: schemas.DevicePatch, ctx: ContextDep, actor: Manager, book: Book
) -> DeviceView:
    """Change what is given: 404 `device.unknown`, 422 `device.unit`."""
    return await devices.change_device(ctx, actor, book, device, body.model_dump(exclude_unset=True))


@router.delete("/devices/{device}", status_code=204)
async def remove_device(device: GbId, ctx: ContextDep, actor: Manager, book: Book, media: MediaDep) -> None:
    """Take a device and its cameras out of service: 404 `device.unknown`."""
    for camera in await devices.remove_device(ctx, actor, book, device):
        await media.gone(camera)


@router.post("/devices/{device}/catalog", status_code=202)
async def sync_catalog(device: GbId, ctx: ContextDep, actor: Manager, book: Book) -> None:
    """Ask for its catalogue; `catalog_received` of the device grows: 404, 409 `device.offline`, 503 `gateway.none`."""
    await devices.sync_catalog(ctx, actor, book, device)


@router.get("/devices/{device}/channels", response_model=schemas.Channels)
async def list_channels(
    device: GbId,
    ctx: ContextDep,
    actor: Manager,
    after: GbId | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> dict[str, object]:
    """Its catalogue, by identifier: 404 `device.unknown`."""
    items, more = await devices.list_channels(ctx, actor, device, after=after, limit=limit)
    return {"items": items, "next": more}


@router.get("/devices/{device}/positions", response_model=schemas.Positions)
async def list_positions(
    device: GbId,
    ctx: ContextDep,
    actor: Manager,
    channel: GbId | None = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> dict[str, object]:
    """Where it was, newest first: 404 `device.unknown`."""
    return {"items": await devices.list_positions(ctx, actor, device, channel=channel, limit=limit)}


@router.get("/devices/{device}/trace", response_model=schemas.Trace)
async def get_trace(device: GbId, ctx: ContextDep, actor: Manager, book: Book) -> Trace:
    """The last 200 messages, passwords masked: 404 `device.unknown`, 503 `gateway.none`."""
    return await devices.get_trace(ctx, actor, book, device)
