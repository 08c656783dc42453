"""Rules: what a camera is watched for. Workers read the enabled ones from Redis."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError
from redis.asyncio.client import Pipeline
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import RuleSpec
from hub.domain.errors import NotFound, TooMany
from hub.domain.events import RuleRemoved, RuleSet
from hub.domain.ids import CameraId, RuleId, new_id
from hub.domain.roles import Right
from hub.services.access import need_unit, reach, require, units_in
from hub.services.context import Actor, Context
from hub.services.tasks import uninterrupted
from hub.services.units import tree
from hub.store import cameras as store
from hub.store.outbox import record
from hub.store.tables import CameraRow, RuleRow

log: Final = structlog.get_logger(__name__)
PUBLISHED_KEY: Final = "rules:published"  # gone with everything else when Redis starts anew
LOOK_EVERY_S: Final = 2.0
RULES_KEY: Final = "rules"  # hash: camera -> JSON list of RuleSpec; and the channel that says it changed
MOST_A_CAMERA: Final = 16


@dataclass(frozen=True, slots=True)
class RuleView:
    id: RuleId
    camera: CameraId
    kind: str
    name: str
    severity: str
    enabled: bool
    params: dict[str, Any]


async def add_rule(
    ctx: Context,
    actor: Actor,
    *,
    camera: CameraId,
    kind: str,
    name: str,
    severity: str,
    params: dict[str, Any],
    enabled: bool = True,
    id: RuleId | None = None,
) -> RuleView:
    """Set a rule on a camera; ``params`` are checked already. Raises NotFound, TooMany (``rule.too_many``)."""
    require(actor, Right.RULE_MANAGE)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        place = await store.camera(db, camera, lock=True)
        if place is None:
            raise NotFound("camera.unknown", "no such camera")
        need_unit(reach(await tree(ctx, db), actor), place.unit, "camera")
        if len(await store.rules(db, camera=camera)) >= MOST_A_CAMERA:
            raise TooMany("rule.too_many", f"a camera has at most {MOST_A_CAMERA} rules")
        row = RuleRow(
            id=id or new_id("rule", now_ms=now),
            camera=camera,
            kind=kind,
            name=name,
            severity=severity,
            enabled=enabled,
            params=params,
            created_at=now,
        )
        db.add(row)
        await db.flush()
        record(db, _set(actor, row), unit=place.unit, ref=row.id, at=now)
    await publish_rules(ctx)
    return _view(row)


async def enable_rule(ctx: Context, actor: Actor, rule: RuleId, *, enabled: bool) -> RuleView:
    """Switch a rule on or off. Raises NotFound (``rule.unknown``)."""
    require(actor, Right.RULE_MANAGE)
    async with ctx.sessions.begin() as db:
        row = await _reachable(ctx, db, actor, rule)
        if row.enabled != enabled:
            row.enabled = enabled
            unit = (await db.get_one(CameraRow, row.camera)).unit
            record(db, _set(actor, row), unit=unit, ref=row.id, at=ctx.clock())
    await publish_rules(ctx)
    return _view(row)


async def remove_rule(ctx: Context, actor: Actor, rule: RuleId) -> None:
    """Take a rule away. Raises NotFound (``rule.unknown``)."""
    require(actor, Right.RULE_MANAGE)
    async with ctx.sessions.begin() as db:
        row = await _reachable(ctx, db, actor, rule)
        row.removed_at = ctx.clock()
        unit = (await db.get_one(CameraRow, row.camera)).unit
        record(db, RuleRemoved(by=actor.id, camera=row.camera), unit=unit, ref=row.id, at=row.removed_at)
    await publish_rules(ctx)


async def list_rules(ctx: Context, actor: Actor, *, camera: CameraId | None = None) -> list[RuleView]:
    """Rules of cameras within reach, oldest first."""
    require(actor, Right.CAMERA_READ)
    async with ctx.reading() as db:
        area = reach(await tree(ctx, db), actor)
        rows = await store.rules(db, camera=camera, units=units_in(area))
    return [_view(row) for row in rows]


async def publish_rules(ctx: Context) -> None:
    """Write all enabled rules where the workers look, and say so. Redis is rebuilt from the database this way.

    A dead Redis is not an error here: this is called again when it is back.
    """
    if ctx.redis is None:
        return
    async with ctx.reading() as db:
        rows = await store.rules(db, enabled=True)
    by_camera: dict[str, list[RuleSpec]] = {}
    for row in rows:
        if row.kind == store.DEVICE_ALARM:
            continue  # the device reports it
        try:
            spec = RuleSpec.model_validate({"id": row.id, "kind": row.kind, "params": row.params})
        except ValidationError:  # of a later version of the hub: one such row must not silence the others
            log.warning("rule.not_understood", rule=row.id, kind=row.kind)
            continue
        by_camera.setdefault(row.camera, []).append(spec)
    table = {
        camera: "[" + ",".join(spec.model_dump_json() for spec in specs) + "]" for camera, specs in by_camera.items()
    }
    try:
        async with ctx.redis.pipeline(transaction=True) as pipe:
            _replace(pipe, table)
            await pipe.execute()
    except BUS_ERRORS:
        return


async def keep_rules_published(ctx: Context, *, every_s: float = LOOK_EVERY_S) -> None:
    """Write the rules again whenever Redis has lost them, until cancelled."""
    while ctx.redis is not None:
        try:
            if not await ctx.redis.exists(PUBLISHED_KEY):
                await uninterrupted(publish_rules(ctx))
        except (*BUS_ERRORS, SQLAlchemyError):
            pass  # whoever needs them says so; we look again
        await asyncio.sleep(every_s)


def _replace(pipe: Pipeline, table: dict[str, str]) -> None:
    pipe.delete(RULES_KEY)
    if table:
        pipe.hset(RULES_KEY, items=[part for pair in table.items() for part in pair])
    pipe.set(PUBLISHED_KEY, "1")
    pipe.publish(RULES_KEY, "changed")


async def _reachable(ctx: Context, db: AsyncSession, actor: Actor, rule: RuleId) -> RuleRow:
    row = await store.rule(db, rule, lock=True)
    if row is None:
        raise NotFound("rule.unknown", "no such rule")
    place = await db.get_one(CameraRow, row.camera)
    need_unit(reach(await tree(ctx, db), actor), place.unit, "rule")
    return row


def _set(actor: Actor, row: RuleRow) -> RuleSet:
    return RuleSet(by=actor.id, camera=row.camera, rule_kind=row.kind, enabled=row.enabled, params=row.params)


def _view(row: RuleRow) -> RuleView:
    return RuleView(row.id, row.camera, row.kind, row.name, row.severity, row.enabled, row.params)
