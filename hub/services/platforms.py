"""Platforms above us (级联): who they are, and which of our cameras they may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.gateway_wire import CascadeEnd, CascadeInvite, CascadeMedia, CascadeTalk, UpperState
from hub.bus.relay_wire import TalkConfig
from hub.bus.relays import Relays
from hub.domain.errors import Conflict, HubError, Invalid, NotFound
from hub.domain.events import PlatformRemoved, PlatformSet, PlatformShared
from hub.domain.ids import CameraId, GbId, new_id
from hub.domain.roles import Right
from hub.services.access import need_everything, reach, require
from hub.services.context import Actor, Context
from hub.services.gateways import GatewayBook
from hub.services.placements import Placements
from hub.services.stream_config import gb_url
from hub.services.units import tree
from hub.store import devices as store
from hub.store.outbox import record
from hub.store.tables import CameraRow
from hub.store.tables_gb import PlatformRow, SharedCameraRow

log: Final = structlog.get_logger(__name__)

ABOVE: Final = "up"  # streams that live for a platform above us alone
PLAYBACK_S: Final = 6 * 3_600
TALK_S: Final = 3_600
MOST_PLATFORMS: Final = 32
MOST_SHARED: Final = 20_000
SETTABLE: Final = frozenset(
    {"name", "domain", "host", "port", "transport", "local_id", "username", "password", "expires_s", "heartbeat_s",
     "charset", "enabled"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlatformView:
    id: GbId
    name: str
    domain: str
    host: str
    port: int
    transport: str
    local_id: GbId
    username: str
    has_password: bool
    expires_s: int
    heartbeat_s: int
    charset: str
    enabled: bool
    state: str  # online | offline | registering | refused | unknown
    reason: str | None
    registered_at: int | None
    keepalive_at: int | None
    calls: int
    cameras: int


@dataclass(frozen=True, slots=True)
class SharedView:
    camera: CameraId
    name: str
    gb_id: GbId


async def list_platforms(ctx: Context, actor: Actor, book: GatewayBook) -> list[PlatformView]:
    """Every platform above us, by name."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        await _need_city(ctx, db, actor)
        rows = await store.platforms(db)
        counts = await store.shared_counts(db)
    states = await book.states()
    now = {} if states is None else {state.upper: state for state in states.uppers}
    return [_view(row, counts.get(row.id, 0), now.get(row.id)) for row in rows]


async def get_platform(ctx: Context, actor: Actor, book: GatewayBook, id: GbId) -> PlatformView:
    """One platform. Raises NotFound (``platform.unknown``)."""
    found = next((view for view in await list_platforms(ctx, actor, book) if view.id == id), None)
    if found is None:
        raise NotFound("platform.unknown", "no such platform")
    return found


async def add_platform(ctx: Context, actor: Actor, book: GatewayBook, given: Mapping[str, Any]) -> PlatformView:
    """Register with one more platform. Raises Conflict (``platform.exists``, ``platform.too_many``)."""
    require(actor, Right.CAMERA_MANAGE)
    now, id = ctx.clock(), str(given["id"])
    async with ctx.sessions.begin() as db:
        await _need_city(ctx, db, actor)
        if len(await store.platforms(db)) >= MOST_PLATFORMS:
            raise Conflict("platform.too_many", f"the hub registers with at most {MOST_PLATFORMS} platforms")
        row = await db.get(PlatformRow, id)
        if row is not None and row.removed_at is None:
            raise Conflict("platform.exists", "this platform is listed already", field="id")
        if row is None:
            row = PlatformRow(id=id, created_at=now)
            db.add(row)
        else:
            row.removed_at, row.created_at, row.revision = None, now, row.revision + 1
        _set(row, given)
        await db.flush()
        record(db, PlatformSet(by=actor.id, name=row.name, enabled=row.enabled), unit="", ref=id, at=now)
    await book.tell()
    return await get_platform(ctx, actor, book, id)


async def change_platform(
    ctx: Context, actor: Actor, book: GatewayBook, id: GbId, given: Mapping[str, Any]
) -> PlatformView:
    """Change what was given. Raises NotFound (``platform.unknown``)."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.sessions.begin() as db:
        await _need_city(ctx, db, actor)
        row = await _known(db, id, lock=True)
        if _set(row, given):
            row.revision += 1
            event = PlatformSet(by=actor.id, name=row.name, enabled=row.enabled)
            record(db, event, unit="", ref=id, at=ctx.clock())
    await book.tell()
    return await get_platform(ctx, actor, book, id)


async def remove_platform(ctx: Context, actor: Actor, book: GatewayBook, id: GbId) -> None:
    """Register there no more. Raises NotFound."""
    require(actor, Right.CAMERA_MANAGE)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        await _need_city(ctx, db, actor)
        row = await _known(db, id, lock=True)
        row.removed_at, row.password, row.revision = now, "", row.revision + 1
        await store.unshare(db, id)
        record(db, PlatformRemoved(by=actor.id, name=row.name), unit="", ref=id, at=now)
    await book.tell()


async def list_shared(ctx: Context, actor: Actor, id: GbId) -> list[SharedView]:
    """What a platform may see, by its identifier up there. Raises NotFound."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        await _need_city(ctx, db, actor)
        await _known(db, id)
        return [SharedView(camera.id, camera.name, link.gb_id) for link, camera in await store.shared(db, id)]


async def share(
    ctx: Context, actor: Actor, book: GatewayBook, id: GbId, wanted: Sequence[tuple[CameraId, GbId | None]]
) -> list[SharedView]:
    """Let a platform see these cameras and no others; without an identifier one is made in our name there.

    A camera that is shared already keeps its identifier. Raises NotFound (``platform.unknown``), Invalid
    (``camera.unknown``, ``platform.id_taken``, ``platform.too_many``).
    """
    require(actor, Right.CAMERA_MANAGE)
    if len(wanted) > MOST_SHARED:
        raise Invalid("platform.too_many", f"at most {MOST_SHARED} cameras are shared with a platform")
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        await _need_city(ctx, db, actor)
        row = await _known(db, id, lock=True)
        before = {link.camera: link.gb_id for link, _ in await store.shared(db, id)}
        chosen = await _identifiers(db, row, wanted, before)
        await store.unshare(db, id)
        await db.flush()
        db.add_all(SharedCameraRow(platform=id, camera=camera, gb_id=gb, at=now) for camera, gb in chosen.items())
        row.revision += 1
        record(db, PlatformShared(by=actor.id, cameras=len(chosen)), unit="", ref=id, at=now)
    await book.tell()
    return await list_shared(ctx, actor, id)


async def _identifiers(
    db: AsyncSession, row: PlatformRow, wanted: Sequence[tuple[CameraId, GbId | None]], before: Mapping[CameraId, GbId]
) -> dict[CameraId, GbId]:
    found: dict[CameraId, GbId] = {}
    known = set(await db.scalars(select(CameraRow.id).where(CameraRow.removed_at.is_(None))))
    for camera, given in wanted:
        if camera not in known:
            raise Invalid("camera.unknown", f"no camera {camera}", field="cameras")
        found[camera] = given or before.get(camera, "")
    taken = {gb for gb in found.values() if gb}
    if len(taken) < sum(1 for gb in found.values() if gb):
        raise Invalid("platform.id_taken", "two cameras cannot have one identifier", field="cameras")
    numbers = (f"{row.local_id[:10]:0<10}131{n:07d}" for n in range(1, 10_000_000))
    for camera, gb in found.items():
        if not gb:
            found[camera] = gb = next(number for number in numbers if number not in taken)
            taken.add(gb)
    return found


async def answer_invite(ctx: Context, book: GatewayBook, placements: Placements, report: CascadeInvite) -> None:
    """A platform above us wants a picture: have the camera opened where it may see it, and say where."""
    try:
        media = await _opened(ctx, placements, report)
    except HubError as error:
        media = CascadeMedia(error=error.id)
    if (gateway := await book.node()) is not None:
        await book.client.cascade_media(gateway.url, report.call, media)


async def _need_city(ctx: Context, db: AsyncSession, actor: Actor) -> None:
    """A platform above us sees whatever is shared with it: that is nothing for who looks after one district."""
    need_everything(reach(await tree(ctx, db), actor), Right.CAMERA_MANAGE)


async def _opened(ctx: Context, placements: Placements, report: CascadeInvite) -> CascadeMedia:
    """Live it is the camera's own stream; a recording is played for this platform alone."""
    camera = await _allowed(ctx, report.upper, report.camera)
    if report.purpose == "play":
        node = await placements.open_camera(report.camera)
        return CascadeMedia(relay=node.url, stream=report.camera)
    if camera.device is None or camera.channel is None or not 0 < report.start_s < report.end_s:
        raise Conflict("camera.not_gb28181", "this camera has no recordings")
    stream = new_id(ABOVE, now_ms=ctx.clock())
    query = {"start": report.start_s, "end": report.end_s}
    url = gb_url(camera.device, camera.channel, query=query | ({"speed": report.speed} if report.speed > 1 else {}))
    node = await placements.open_url(stream, url, keep_s=PLAYBACK_S)
    return CascadeMedia(relay=node.url, stream=stream)


async def answer_talk(
    ctx: Context, book: GatewayBook, placements: Placements, relays: Relays, ask: CascadeTalk
) -> None:
    """A platform above us wants to speak: its sound comes to a relay as a stream of its own and goes to the device."""
    camera = await _allowed(ctx, ask.upper, ask.camera)
    if camera.device is None or camera.channel is None or (gateway := await book.node()) is None:
        return
    stream = new_id(ABOVE, now_ms=ctx.clock())
    node = await placements.open_url(stream, f"gb28181://{ask.upper}/{ask.channel}?listen=1&media=udp", keep_s=TALK_S)
    config = TalkConfig(
        stream=stream, gateway=gateway.url, device=camera.device, channel=camera.channel, owner=f"gb-{ask.upper}"
    )
    try:
        await relays.put_talk(node.url, stream, config)
    except HubError as error:
        log.info("platform.talk_refused", platform=ask.upper, camera=ask.camera, error=error.id)
        await placements.drop(stream)


async def end_stream(placements: Placements, report: CascadeEnd) -> None:
    """What was opened for a platform alone is over."""
    if report.stream.startswith(f"{ABOVE}-"):
        await placements.drop(report.stream)


async def _allowed(ctx: Context, platform: GbId, camera: CameraId) -> CameraRow:
    """A camera that a platform may see. Raises NotFound."""
    async with ctx.reading() as db:
        row = await db.get(CameraRow, camera) if await store.shared_camera(db, platform, camera) else None
    if row is None or row.removed_at is not None:
        raise NotFound("camera.unknown", "no such camera is shared")
    return row


async def _known(db: AsyncSession, id: GbId, *, lock: bool = False) -> PlatformRow:
    row = await store.platform(db, id, lock=lock)
    if row is None:
        raise NotFound("platform.unknown", "no such platform")
    return row


def _set(row: PlatformRow, given: Mapping[str, Any]) -> bool:
    changed = False
    for name in SETTABLE & given.keys():
        if given[name] is not None and getattr(row, name) != given[name]:
            setattr(row, name, given[name])
            changed = True
    return changed


def _view(row: PlatformRow, cameras: int, now: UpperState | None) -> PlatformView:
    return PlatformView(
        id=row.id,
        name=row.name,
        domain=row.domain,
        host=row.host,
        port=row.port,
        transport=row.transport,
        local_id=row.local_id,
        username=row.username,
        has_password=bool(row.password),
        expires_s=row.expires_s,
        heartbeat_s=row.heartbeat_s,
        charset=row.charset,
        enabled=row.enabled,
        state=now.state if now else "unknown",
        reason=now.reason if now else None,
        registered_at=now.registered_at if now else None,
        keepalive_at=now.keepalive_at if now else None,
        calls=now.calls if now else 0,
        cameras=cameras,
    )
