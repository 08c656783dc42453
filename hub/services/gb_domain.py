"""Who we are in GB/T 28181, and how devices that nobody listed may register."""

from dataclasses import dataclass
from typing import Final

from hub.domain.errors import Unavailable
from hub.domain.events import DeviceChanged
from hub.domain.roles import Right
from hub.services.access import need_everything, reach, require
from hub.services.context import Actor, Context
from hub.services.gateways import GatewayBook
from hub.services.units import tree
from hub.store import devices as store
from hub.store.outbox import record

REF: Final = "gb28181"


@dataclass(frozen=True, slots=True)
class DomainView:
    running: bool
    server_id: str | None
    domain: str | None
    address: str | None
    has_password: bool
    accept_unknown: bool


async def get_domain(ctx: Context, actor: Actor, book: GatewayBook) -> DomainView:
    """What holds now; the gateway says who we are."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.reading() as db:
        row = await store.domain(db)
    try:
        node = await book.node()
    except Unavailable:
        node = None
    facts = {} if node is None else node.facts
    return DomainView(
        running=node is not None,
        server_id=facts.get("server_id"),
        domain=facts.get("domain"),
        address=facts.get("sip"),
        has_password=bool(row.password),
        accept_unknown=row.accept_unknown,
    )


async def change_domain(
    ctx: Context, actor: Actor, book: GatewayBook, *, password: str | None, accept_unknown: bool | None
) -> DomainView:
    """Change what was given."""
    require(actor, Right.CAMERA_MANAGE)
    async with ctx.sessions.begin() as db:
        need_everything(reach(await tree(ctx, db), actor), Right.CAMERA_MANAGE)
        row = await store.domain(db, make=True)
        changed: list[str] = []
        if password is not None and row.password != password:
            row.password = password
            changed.append("password")
        if accept_unknown is not None and row.accept_unknown != accept_unknown:
            row.accept_unknown = accept_unknown
            changed.append("accept_unknown")
        if changed:
            row.revision += 1
            event = DeviceChanged(by=actor.id, fields=tuple(sorted(changed)))
            record(db, event, unit="", ref=REF, at=ctx.clock())
    await book.tell()
    return await get_domain(ctx, actor, book)
