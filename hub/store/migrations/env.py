"""Alembic's environment: the connection is given by ``hub.store.migrate``; nothing is read from files."""

from alembic import context
from sqlalchemy import Connection

from hub.store import tables_duty  # noqa: F401  # its tables belong to the metadata
from hub.store.tables import Base

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
