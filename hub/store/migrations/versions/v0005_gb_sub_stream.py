"""How a GB/T 28181 device is asked for the sub streams of its channels."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("sub_stream", sa.String(length=20), nullable=False, server_default="auto"))


def downgrade() -> None:
    op.drop_column("devices", "sub_stream")
