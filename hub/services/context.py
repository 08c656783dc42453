"""What every use case is given: database, clock, settings, Redis; and who acts."""

import asyncio
from dataclasses import dataclass, field

import redis.asyncio as aioredis
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from hub.domain.clock import Clock, system_clock
from hub.domain.ids import UnitId, UserId
from hub.domain.roles import Role
from hub.domain.throttle import SignInThrottle
from hub.domain.units import UnitTree
from hub.services.passwords import Passwords
from hub.settings import Settings
from hub.store.db import make_engine, reading_sessions, writing_sessions


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. ``role`` is None for the hub itself (``access.SYSTEM``)."""

    id: UserId
    username: str
    name: str
    role: Role | None
    unit: UnitId
    method: str = "password"  # how the session was opened: password | demo | system


@dataclass(slots=True)
class TreeCache:
    """The last tree of units read, and until when it is good enough."""

    tree: UnitTree | None = None
    good_until: int = 0


@dataclass(frozen=True)
class Context:
    """One per process. ``sessions`` write (SQLite: BEGIN IMMEDIATE), ``reading`` only read.

    ``wake`` is set after every commit that recorded an event; the log's appender waits for it.
    """

    sessions: async_sessionmaker[AsyncSession]
    reading: async_sessionmaker[AsyncSession]
    clock: Clock
    settings: Settings
    redis: aioredis.Redis | None
    wake: asyncio.Event
    engine: AsyncEngine
    units: TreeCache = field(default_factory=TreeCache)
    passwords: Passwords = field(default_factory=Passwords)
    throttle: SignInThrottle = field(default_factory=SignInThrottle)

    async def close(self) -> None:
        """Close the database's connections. Redis belongs to whoever opened it."""
        await self.engine.dispose()


def make_context(settings: Settings, *, clock: Clock = system_clock, redis: aioredis.Redis | None = None) -> Context:
    """Put a context together. Opens no connection yet; raises Invalid for a database URL that is none."""
    engine = make_engine(settings.database)
    wake = asyncio.Event()
    return Context(
        sessions=writing_sessions(engine, wake.set),
        reading=reading_sessions(engine),
        clock=clock,
        settings=settings,
        redis=redis,
        wake=wake,
        engine=engine,
    )
