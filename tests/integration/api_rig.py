"""The whole application on a migrated SQLite file, without a socket: one small town with a person in every role."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from hub.api.app import create_app
from hub.domain.roles import Role
from hub.services import accounts, events
from hub.services.access import SYSTEM
from hub.services.context import Context, make_context
from hub.services.units import add_unit
from hub.settings import Settings
from hub.store.migrate import upgrade
from hub.store.tables import UserRow
from tests.integration.hub_rig import TestClock

HOST = "127.0.0.1:8800"
BASE = f"http://{HOST}"
PASSWORD = "correct horse battery"

UNITS = (
    ("city", None, "city", "如意市"),
    ("town-a", "city", "town", "东镇"),
    ("village-a1", "town-a", "village", "柳村"),
    ("town-b", "city", "town", "西镇"),
    ("dept-water", "city", "department", "水利局"),
    ("dept-fire", "city", "department", "应急局"),
)
PEOPLE = (
    ("commander", Role.COMMANDER, "city"),
    ("town-commander", Role.COMMANDER, "town-a"),
    ("water", Role.DEPARTMENT, "dept-water"),
    ("fire", Role.DEPARTMENT, "dept-fire"),
    ("field", Role.FIELD, "village-a1"),
    ("organiser", Role.ORGANISER, "city"),
    ("evaluator", Role.EVALUATOR, "city"),
    ("sysadmin", Role.SYSTEM_ADMIN, "city"),
    ("secadmin", Role.SECURITY_ADMIN, "city"),
    ("auditor", Role.AUDITOR, "city"),
)


@dataclass
class Rig:
    ctx: Context
    app: FastAPI
    clock: TestClock
    tokens: dict[str, str] = field(default_factory=dict)

    async def token(self, username: str) -> str:
        """A bearer token of this person."""
        if username not in self.tokens:
            opened = await accounts.demo_sign_in(self.ctx, username=username, address="127.0.0.1")
            self.tokens[username] = opened.token
        return self.tokens[username]

    def client(self, *, address: str = "127.0.0.1", base: str = BASE, **given: Any) -> httpx.AsyncClient:
        """A client that calls the application directly, from this address."""
        transport = httpx.ASGITransport(self.app, client=(address, 40_000), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=base, **given)

    async def as_(self, username: str | None) -> httpx.AsyncClient:
        """A client with this person's token; None: with nobody's."""
        headers = {} if username is None else {"Authorization": f"Bearer {await self.token(username)}"}
        return self.client(headers=headers)

    async def call(self, username: str | None, method: str, path: str, status: int, **given: Any) -> Any:
        """One request under /api/v1 that must answer ``status``; its JSON, or None."""
        async with await self.as_(username) as client:
            answer = await client.request(method, "/api/v1" + path, **given)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else None

    async def log(self) -> list[str]:
        """Kinds of all events so far, in order."""
        await events.append_waiting(self.ctx)
        return [event.kind for event in await events.events_after(self.ctx, 0, limit=1_000)]


@contextlib.asynccontextmanager
async def api(
    folder: Path, *, demo: bool = True, town: bool = True, database: str = "", **given: Any
) -> AsyncIterator[Rig]:
    """The application; its own tasks do not run, the log is appended when asked."""
    clock = TestClock()
    ctx = make_context(Settings(data=folder, demo=demo, database_url=database), clock=clock)
    try:
        await upgrade(ctx.engine)
        if town:
            await build_town(ctx)
        yield Rig(ctx, create_app(ctx, own_tasks=False, **given), clock)
    finally:
        await ctx.close()


async def build_town(ctx: Context) -> None:
    """Units and people. One hash serves all: argon2 is slow on purpose."""
    for position, (id, parent, kind, name) in enumerate(UNITS):
        await add_unit(ctx, id=id, parent=parent, kind=kind, name=name, position=position)
    first, *others = PEOPLE
    made = await accounts.add_user(
        ctx, SYSTEM, username=first[0], name="赵指挥", role=first[1], unit=first[2], password=PASSWORD, demo=True
    )
    async with ctx.sessions.begin() as db:
        hashed = (await db.get_one(UserRow, made.id)).password_hash
        for username, role, unit in others:
            db.add(
                UserRow(
                    id=f"u-{username}",
                    username=username,
                    name=username,
                    role=role.value,
                    unit=unit,
                    password_hash=hashed,
                    demo=True,
                    created_at=ctx.clock(),
                )
            )
