"""What a review said, beside the order's step: the receiving unit reads it, though not the incident's file."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("order_steps", sa.Column("comment", sa.String(length=500), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("order_steps", "comment")
