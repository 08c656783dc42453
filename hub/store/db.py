"""The engine: SQLite in WAL mode unless a PostgreSQL URL is given.

SQLite knows one writer. A transaction that reads first and writes later may find its snapshot stale and fail
at once, whatever the busy timeout; so writing sessions take the write lock when they begin (BEGIN IMMEDIATE),
and reading sessions, which never write, begin deferred and are never blocked by the writer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from hub.domain.errors import Invalid

BUSY_TIMEOUT_MS: Final = 10_000
_READS: Final = "hub_reads"
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


def make_engine(url: str) -> AsyncEngine:
    """Open an engine for ``url``. Raises Invalid (``database.url``) for a URL of no known database."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise Invalid("database.url", "the database URL is none", field="SHARPEYES_DATABASE_URL") from None
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None:
        raise Invalid("database.url", "the database is SQLite or PostgreSQL", field="SHARPEYES_DATABASE_URL")
    parsed = parsed.set(drivername=driver)
    if not driver.startswith("sqlite"):
        return create_async_engine(parsed, pool_size=8, max_overflow=8, pool_pre_ping=True, pool_timeout=10)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_async_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


def writing_sessions(engine: AsyncEngine, wake: Callable[[], None]) -> async_sessionmaker[AsyncSession]:
    """Sessions for changes; ``wake`` is called after each commit that recorded an event."""
    return async_sessionmaker(engine, expire_on_commit=False, info={"wake": wake})


def reading_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions that only read: they see one snapshot, so that rows and head belong together, and wait for nobody."""
    if engine.dialect.name == "postgresql":
        reads = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    else:
        reads = engine.execution_options(**{_READS: True})
    return async_sessionmaker(reads, expire_on_commit=False, autoflush=False)


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    if session.info.pop("recorded", False) and (wake := session.info.get("wake")) is not None:
        wake()
