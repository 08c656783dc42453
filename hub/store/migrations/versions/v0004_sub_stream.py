"""A camera's second, smaller stream."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("cameras", sa.Column("sub_url", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("cameras", "sub_url")
