"""What this installation is made of now, and whether it can work."""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from hub import __version__
from hub.bus import registry
from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import NodeInfo
from hub.services import events
from hub.services.context import Context

MOST_LAG_MS: Final = 10_000
SOURCES: Final = frozenset({"environment", "data", "official", "demonstration"})


@dataclass(frozen=True, slots=True)
class ModelView:
    name: str = ""
    source: str = "none"
    demonstration: bool = False
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class SystemView:
    name: str
    version: str
    demo: bool
    now: int
    model: ModelView
    nodes: list[NodeInfo]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Which parts are there; ``ready`` when all that are needed are."""

    ready: bool
    parts: dict[str, str] = field(default_factory=dict)


async def overview(ctx: Context) -> SystemView:
    """Name, version, time, nodes, and the detector that the vision worker says it runs."""
    nodes = await _nodes(ctx)
    model = next((found for node in nodes if (found := _model(node)) is not None), ModelView())
    return SystemView(ctx.settings.name, __version__, ctx.settings.demo, ctx.clock(), model, nodes)


async def readiness(ctx: Context) -> Readiness:
    """Database, Redis and the log's appender."""
    parts: dict[str, str] = {}
    try:
        async with ctx.reading() as db:
            await db.execute(select(1))
        waited = await events.lag(ctx)
        parts["database"] = "ok"
        parts["log"] = "ok" if waited < MOST_LAG_MS else f"an event has waited for {waited} ms"
    except SQLAlchemyError as error:
        parts["database"] = type(error).__name__
    if ctx.redis is None:
        parts["redis"] = "none"
    else:
        try:
            await ctx.redis.ping()
            parts["redis"] = "ok"
        except BUS_ERRORS as error:
            parts["redis"] = type(error).__name__
    return Readiness(all(state in ("ok", "none") for state in parts.values()), parts)


async def _nodes(ctx: Context) -> list[NodeInfo]:
    if ctx.redis is None:
        return []
    try:
        return await registry.nodes(ctx.redis)
    except BUS_ERRORS:
        return []


def _model(node: NodeInfo) -> ModelView | None:
    """What a vision node says in its facts: model, model_source, model_sha256, demonstration."""
    if node.role != "vision" or not node.facts.get("model"):
        return None
    source = node.facts.get("model_source", "none")
    return ModelView(
        name=node.facts["model"],
        source=source if source in SOURCES else "none",
        demonstration=node.facts.get("demonstration", "").lower() in ("1", "true", "yes"),
        sha256=node.facts.get("model_sha256") or None,
    )
