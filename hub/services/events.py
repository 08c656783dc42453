"""Reading the log, and the one task that appends to it."""

import asyncio
import json
import os
import secrets
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from hub.bus import leases
from hub.bus.connection import BUS_ERRORS
from hub.domain.chain import Anchor
from hub.domain.errors import HubError
from hub.domain.events import Envelope
from hub.domain.roles import Right
from hub.services.access import reach, require, units_in
from hub.services.context import Actor, Context
from hub.services.live import publish_live
from hub.services.tasks import uninterrupted
from hub.services.units import tree
from hub.store import log as store
from hub.store import people
from hub.store.tables import OutboxRow
from hub.store.verify import Verdict
from hub.store.verify import verify as verify_chain

log: Final = structlog.get_logger(__name__)
MAX_PAGE: Final = 1_000
LEASE: Final = "log"
LEASE_MS: Final = 6_000
LOOK_EVERY_S: Final = 0.25  # other processes' commits do not wake us


HEAD: Final = Gauge("sharpeyes_log_head", "Sequence number of the last event that this process appended")


@dataclass(frozen=True, slots=True)
class EventView:
    """One event for people: as stored, and the name of who did it (None: the system, or erased)."""

    seq: int
    kind: str
    at: int
    unit: str
    ref: str
    by_name: str | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class EventPage:
    items: list[EventView]
    next: int


async def list_events(
    ctx: Context, actor: Actor, *, after: int = 0, limit: int = 200, kind: str | None = None, ref: str | None = None
) -> EventPage:
    """Events after a sequence number, within reach; ``next`` goes on exactly behind what was looked at."""
    require(actor, Right.LOG_READ)
    limit = min(limit, MAX_PAGE)
    async with ctx.reading() as db:  # one snapshot: the head belongs to the rows
        units = units_in(reach(await tree(ctx, db), actor))
        head = await store.head_seq(db)
        items = await store.read(db, after=after, limit=limit, kind=kind, ref=ref, units=units)
        by = await people.names(db, [(item.data or {}).get("by") for item in items])
    views = [_view(item, by) for item in items]
    return EventPage(views, items[-1].seq if len(items) == limit else max(head, after))


def _view(item: Envelope, by: dict[str, str]) -> EventView:
    name = by.get((item.data or {}).get("by", ""))
    return EventView(item.seq, item.kind, item.at, item.unit, item.ref, name, item.data)


async def events_after(ctx: Context, after: int, *, limit: int = 200) -> list[Envelope]:
    """Events for the hub's own use (live sockets, scores): unfiltered, in order."""
    async with ctx.reading() as db:
        return await store.read(db, after=after, limit=limit)


async def last_seq(ctx: Context) -> int:
    """Sequence number of the last event; 0: none yet."""
    async with ctx.reading() as db:
        return await store.head_seq(db)


async def lag(ctx: Context) -> int:
    """Milliseconds that the oldest event has waited for the appender; 0: none waits."""
    async with ctx.reading() as db:
        oldest = await db.scalar(select(func.min(OutboxRow.at)))
    return 0 if oldest is None else max(0, ctx.clock() - oldest)


async def append_waiting(ctx: Context) -> int:
    """Append everything that waits; return the last sequence number given, 0 when none waited.

    Safe beside another appender: the database lets only one at a time move the head.
    """
    last = 0
    while await _waits(ctx):  # looking takes no lock; most of the time nothing waits
        async with ctx.sessions.begin() as db:
            last = await store.append_batch(db) or last
        HEAD.set(last)
    if last:
        await asyncio.to_thread(_write_anchor, ctx, await _head(ctx))
        await publish_live(ctx, {"seq": last})
    return last


async def run_appender(ctx: Context) -> None:
    """The appender, until cancelled. One process holds the lease; the others stand by.

    Without Redis, or while it is down, everyone appends and the lock on the head row keeps order.
    """
    holder = f"appender-{secrets.token_hex(8)}"
    try:
        while True:
            ctx.wake.clear()
            try:
                if await _leads(ctx, holder):
                    await uninterrupted(append_waiting(ctx))
            except (SQLAlchemyError, HubError, OSError) as error:
                log.error("log.append_failed", error=str(error) or type(error).__name__)
                await asyncio.sleep(LOOK_EVERY_S)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await ctx.wake.wait()
            except TimeoutError:
                continue
    finally:
        if ctx.redis is not None:
            try:
                async with asyncio.timeout(0.5):
                    await leases.release(ctx.redis, LEASE, holder)
            except (*BUS_ERRORS, TimeoutError):
                pass  # it runs out by itself


async def verify(ctx: Context) -> Verdict:
    """Check the whole log, against the anchor in the data folder as well."""
    anchor = await asyncio.to_thread(read_anchor, ctx)
    async with ctx.reading() as db:
        return await verify_chain(db, anchors=[] if anchor is None else [anchor])


async def _waits(ctx: Context) -> bool:
    async with ctx.reading() as db:
        return await db.scalar(select(OutboxRow.id).limit(1)) is not None


async def _leads(ctx: Context, holder: str) -> bool:
    if ctx.redis is None:
        return True
    try:
        return await leases.acquire(ctx.redis, LEASE, holder, ttl_ms=LEASE_MS) == holder
    except BUS_ERRORS:
        return True


async def _head(ctx: Context) -> Anchor:
    async with ctx.reading() as db:
        return await store.head(db)


def read_anchor(ctx: Context) -> Anchor | None:
    """The log's end as noted outside the database; None when there is no such note."""
    try:
        noted = json.loads((ctx.settings.data / "log.anchor").read_text())
        return Anchor(int(noted["seq"]), str(noted["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_anchor(ctx: Context, anchor: Anchor) -> None:
    path = ctx.settings.data / "log.anchor"
    part = path.with_suffix(f".{os.getpid()}.part")  # the command line may append beside a running hub
    try:
        part.write_text(json.dumps({"seq": anchor.seq, "hash": anchor.hash}))
        part.replace(path)
    except OSError as error:
        log.warning("log.anchor_failed", error=str(error))
