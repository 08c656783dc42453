"""The database's shape: migrations make what the models say, on SQLite and in the words of PostgreSQL."""

import io
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.schema import CreateTable

from hub.domain.errors import Invalid, Unavailable
from hub.settings import Settings
from hub.store import migrate as migrations
from hub.store.db import make_engine
from hub.store.migrate import alembic_config, migrate, upgrade
from hub.store.tables import Base


async def test_a_migrated_database_is_exactly_what_the_models_say(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'hub.sqlite3'}")
    await upgrade(engine)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        unique = await connection.run_sync(lambda sync: inspect(sync).get_indexes("alerts"))
    assert ("uq_alerts_active", 1) in [(index["name"], index["unique"]) for index in unique]
    await engine.dispose()


async def test_migrating_twice_changes_nothing_and_going_back_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    await migrate(settings)
    await migrate(settings)
    engine = make_engine(settings.database)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(alembic_config(sync), "base"))
        left = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert left == ["alembic_version"]
    await engine.dispose()


def test_the_migrations_say_the_same_in_postgresqls_words() -> None:
    out = io.StringIO()
    config = Config(output_buffer=out)
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    config.attributes["url"] = "postgresql://"
    command.upgrade(config, "head", sql=True)
    said = out.getvalue()
    for table in Base.metadata.tables:
        assert f"CREATE TABLE {table} " in said
    assert "id BIGSERIAL NOT NULL" in said  # outbox: numbered by the database
    assert "seq BIGINT NOT NULL" in said
    assert "CREATE UNIQUE INDEX uq_alerts_active ON alerts (rule) WHERE state = 'active'" in said


def test_the_models_can_be_said_in_postgresqls_words() -> None:
    dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    said = [str(CreateTable(table).compile(dialect=dialect)) for table in Base.metadata.sorted_tables]
    assert all(statement.lstrip().startswith("CREATE TABLE") for statement in said)
    assert "JSON NOT NULL" in "".join(said)


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "sqlite://:memory:x", "://"])
def test_a_url_of_no_database_is_named(url: str) -> None:
    with pytest.raises(Invalid) as raised:
        make_engine(url)
    assert raised.value.id == "database.url"


async def test_a_database_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "hub.sqlite3").mkdir()
    with pytest.raises(Unavailable, match="the database cannot be opened: "):
        await migrate(Settings(data=tmp_path))
