"""Bringing a database to the present shape, at every start of the api."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from hub.domain.errors import Unavailable
from hub.settings import Settings
from hub.store.db import make_engine

_LOCK: Final = 0x5EA59E5  # PostgreSQL advisory lock: of several api processes one migrates, the others wait


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def migrate(settings: Settings) -> None:
    """Upgrade the installation's database, creating it first if need be. Raises Unavailable.

    ``database.away``: not there, or damaged; ``database.newer``: of a later version.
    """
    engine = make_engine(settings.database)
    try:
        await upgrade(engine)
    except (DatabaseError, OSError) as error:
        if isinstance(error, DatabaseError) and not is_damage(error):
            raise
        raise unusable(error) from None
    except CommandError:
        message = "the database was written by a newer version of the hub; install that one"
        raise Unavailable("database.newer", message) from None
    finally:
        await engine.dispose()


def is_damage(error: DatabaseError) -> bool:
    """Whether the database itself is away or damaged (``not a database``, ``malformed``); else the fault is ours."""
    return isinstance(error, OperationalError) or type(error) is DatabaseError


def unusable(error: Exception) -> Unavailable:
    """What to say of a database that cannot be used (``database.away``)."""
    return Unavailable("database.away", f"the database cannot be opened: {getattr(error, 'orig', None) or error}")


async def upgrade(engine: AsyncEngine) -> None:
    """Upgrade over this engine, in one transaction."""
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), "head"))
