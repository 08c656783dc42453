"""Alembic's environment: the connection, or for printed SQL the dialect's URL, is given by the caller."""

from alembic import context

from hub.store import tables_duty, tables_gb  # noqa: F401  # their tables belong to the metadata
from hub.store.tables import Base

given = context.config.attributes
if context.is_offline_mode():
    context.configure(url=given["url"], target_metadata=Base.metadata, literal_binds=True)
else:
    context.configure(connection=given["connection"], target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
