"""The api process's application: routes, guards, background tasks, console."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware

from hub import __version__
from hub.api import errors, ws
from hub.api.deps import declared
from hub.api.door import Door
from hub.api.limits import Limits
from hub.api.pages import Console
from hub.api.requests_log import RequestLog
from hub.api.routes import (
    alerts,
    cameras,
    conferences,
    demo,
    devices,
    drills,
    ice_servers,
    incidents,
    media,
    orders,
    platforms,
    playbacks,
    rules,
    sessions,
    snapshots,
    streams,
    system,
    units,
    users,
)
from hub.api.routes import events as events_routes
from hub.api.schemas.base import Error
from hub.api.security import SecurityHeaders
from hub.domain.events import SystemStarted
from hub.services.access import SYSTEM
from hub.services.cameras import CameraStates, NoStates
from hub.services.context import Context
from hub.services.dispatch import watch_overdue
from hub.services.drills import run_injector
from hub.services.events import run_appender
from hub.services.nodes import watch_nodes
from hub.services.rules import keep_rules_published, publish_rules
from hub.services.units import NobodyOnline, Online
from hub.store.outbox import record

log: Final = structlog.get_logger(__name__)
API: Final = "/api/v1"
PUBLIC: Final = frozenset(
    {
        ("POST", "/api/v1/sessions"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("POST", "/uploads/{session}"),  # the address itself is the right
        ("PUT", "/uploads/{session}"),
    }
)
"""Routes that check for themselves, or need nobody. Everything else declares its right."""

_REST: Final = (
    sessions,
    demo,
    units,
    users,
    cameras,
    devices,
    platforms,
    playbacks,
    snapshots,
    rules,
    alerts,
    incidents,
    orders,
    conferences,
    drills,
    ice_servers,
    events_routes,
    system,
)


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """Work beside the requests. If it crashes it is started again, alone; if it returns it is done."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]

    async def supervised(self) -> None:
        """Run until it is done or cancelled; after a crash wait 1 s, then twice as long each time up to 30 s."""
        pause = 1.0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self.run()
                return
            except Exception as error:  # whatever it was: the other tasks go on
                log.error("task.crashed", task=self.name, error=type(error).__name__, exc_info=error)
            if asyncio.get_running_loop().time() - began > 60:
                pause = 1.0
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)


def routers() -> list[tuple[str, APIRouter]]:
    """Every router with its prefix."""
    return [
        *((API, module.router) for module in _REST),
        ("", media.router),
        ("", streams.router),
        ("", snapshots.uploads),
        ("", ws.router),
        ("", system.health),
    ]


def create_app(
    ctx: Context | None,
    *,
    states: CameraStates | None = None,
    online: Online | None = None,
    parts: Sequence[object] = (),
    tasks: Sequence[BackgroundTask] = (),
    console: Console | None = None,
    own_tasks: bool = True,
) -> FastAPI:
    """Put the application together. ``parts`` are what ``deps.part(cls)`` hands out.

    ``ctx`` None is for the OpenAPI document alone. ``own_tasks`` False leaves out appender, reminders and the start
    event (tests drive them by hand). Raises RuntimeError for a route that declares no right.
    """
    every = ([] if ctx is None or not own_tasks else _own_tasks(ctx)) + list(tasks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if ctx is not None and own_tasks:
            await _start(ctx)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(task.supervised(), name=task.name) for task in every]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    app = FastAPI(
        title="SharpEyes",
        version=__version__,
        description="Real-time video and dispatch hub. docs/protocol.md says what it means.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        responses={"4XX": {"model": Error}},
        separate_input_output_schemas=False,
    )
    app.state.context = ctx
    app.state.states = states or NoStates()
    app.state.online = online or NobodyOnline()
    app.state.parts = {type(each): each for each in parts}
    errors.install(app)
    for prefix, router in routers():
        _check_declared(prefix, router)
        app.include_router(router, prefix=prefix)
    pages = GZipMiddleware(console or Console(), minimum_size=1_024)  # its files alone: no answer that holds a secret
    app.router.default = pages  # not a mount: that would hide a wrong method behind a 404
    app.add_middleware(Door)  # the last one added is the outermost
    app.add_middleware(Limits)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog)
    return app


def _check_declared(prefix: str, router: APIRouter) -> None:
    for route in router.routes:
        if isinstance(route, APIRoute):
            methods = sorted(route.methods or ())
            open_to_all = all((method, prefix + route.path) in PUBLIC for method in methods)
            if not open_to_all and not declared(route):
                raise RuntimeError(f"{methods} {prefix}{route.path} declares no right")


def _own_tasks(ctx: Context) -> list[BackgroundTask]:
    return [
        BackgroundTask("log/appender", lambda: run_appender(ctx)),
        BackgroundTask("orders/overdue", lambda: watch_overdue(ctx)),
        BackgroundTask("rules/published", lambda: keep_rules_published(ctx)),
        BackgroundTask("drills/injects", lambda: run_injector(ctx)),
        BackgroundTask("nodes/watch", lambda: watch_nodes(ctx)),
    ]


async def _start(ctx: Context) -> None:
    async with ctx.sessions.begin() as db:
        record(db, SystemStarted(version=__version__), unit="", ref=SYSTEM.id, at=ctx.clock())
    await publish_rules(ctx)
