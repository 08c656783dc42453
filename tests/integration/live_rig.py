"""Real api processes' worth of application on real sockets, one Redis, one database, a clock that tests move."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from hub.api.app import create_app
from hub.api.live import Live, make_live
from hub.bus.internal_http import Server
from hub.domain.clock import Clock
from hub.services import accounts, events
from hub.services.context import Context, make_context
from hub.settings import Settings
from hub.store.migrate import upgrade
from signaling.transport.ws import HubSocket
from signaling.wire import MAX_ANSWER_BYTES
from tests.integration.api_rig import build_town
from tests.integration.hub_rig import TestClock
from tests.integration.redis_rig import RedisRig, running_redis

TOKEN = "internal-token-of-the-test"


@dataclass
class Api:
    """One api process: its context, its live half, and where it listens."""

    ctx: Context
    live: Live
    base: str

    def socket(self, token: str, **given: Any) -> HubSocket:
        """A connection to this process's /ws."""
        return HubSocket(self.base, token, **given)


@dataclass
class LiveRig:
    redis: RedisRig
    clock: TestClock
    apis: list[Api] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def ctx(self) -> Context:
        return self.apis[0].ctx

    async def sign_in(self, username: str) -> str:
        """A fresh sign-in's token."""
        return (await accounts.demo_sign_in(self.ctx, username=username, address="127.0.0.1")).token

    async def token(self, username: str) -> str:
        """One token a person."""
        if username not in self.tokens:
            self.tokens[username] = await self.sign_in(username)
        return self.tokens[username]

    async def socket(self, username: str, at: int = 0, **given: Any) -> HubSocket:
        """A socket of this person at one of the processes (not open yet)."""
        return self.apis[at].socket(await self.token(username), **given)

    async def call(self, username: str, method: str, path: str, status: int, *, at: int = 0, **given: Any) -> Any:
        """One request that must answer ``status``; its JSON or text."""
        headers = {"Authorization": f"Bearer {await self.token(username)}"} | given.pop("headers", {})
        async with httpx.AsyncClient(base_url=self.apis[at].base, headers=headers, trust_env=False) as http:
            answer = await http.request(method, path, **given)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer

    async def open_conference(self, *units: str, title: str = "会商", **given: Any) -> Any:
        """A conference of the commander's."""
        body = {"title": title, "units": list(units)} | given
        return await self.call("commander", "POST", "/api/v1/conferences", 201, json=body)

    async def log(self) -> list[tuple[str, str]]:
        """(kind, unit) of every event so far."""
        return [(event.kind, event.unit) for event in await events.events_after(self.ctx, 0, limit=1_000)]

    async def logged(self, kind: str) -> None:
        """Wait until an event of this kind is in the log."""
        await until(lambda: self._has(kind))

    async def _has(self, kind: str) -> bool:
        return any(found == kind for found, _ in await self.log())


async def until(holds: Callable[[], Any], *, seconds: float = 30.0) -> None:
    """Wait until a condition in another task holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            result = holds()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(settings: Settings, redis: RedisRig, clock: Clock, node: str) -> AsyncIterator[Api]:
    """One api process's objects, on a port of its own."""
    client = redis.client(node)
    ctx = make_context(settings, clock=clock, redis=client)
    live = make_live(ctx, token=TOKEN, node=node)
    app = create_app(ctx, states=live.states, online=live.online, parts=live.parts, tasks=live.tasks)
    server = Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            ws="websockets-sansio",
            ws_max_size=MAX_ANSWER_BYTES,
            ws_per_message_deflate=False,
            http="h11",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # as in the api role
            timeout_graceful_shutdown=2,
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done(), seconds=20)
        await until(live.fanout.ready.is_set)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Api(ctx, live, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        async with asyncio.timeout(60):
            await asyncio.gather(task, return_exceptions=True)
        await live.close()
        await ctx.close()
        await client.aclose()


@contextlib.asynccontextmanager
async def live_hub(*, processes: int = 1, clock: TestClock | None = None, **given: Any) -> AsyncIterator[LiveRig]:
    """The town of ``api_rig`` served by one or more processes, with these settings."""
    folder = Path(tempfile.mkdtemp(prefix="se-"))
    clock = clock or TestClock()
    settings = Settings(data=folder, demo=True, **given)
    try:
        async with contextlib.AsyncExitStack() as stack:
            redis = await stack.enter_async_context(running_redis())
            first = make_context(settings, clock=clock)
            await upgrade(first.engine)
            await build_town(first)
            await first.close()
            rig = LiveRig(redis, clock)
            for n in range(processes):
                rig.apis.append(await stack.enter_async_context(serving(settings, redis, clock, f"api-{n}")))
            yield rig
    finally:
        shutil.rmtree(folder, ignore_errors=True)
