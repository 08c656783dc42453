"""GB/T 28181: devices, channels, positions, platforms above us; and a camera's place among them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "gb_domain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("accept_unknown", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gb_domain")),
    )
    op.create_table(
        "platforms",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("domain", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("transport", sa.String(length=10), nullable=False),
        sa.Column("local_id", sa.String(length=32), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("expires_s", sa.Integer(), nullable=False),
        sa.Column("heartbeat_s", sa.Integer(), nullable=False),
        sa.Column("charset", sa.String(length=20), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platforms")),
    )
    op.create_table(
        "positions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("speed", sa.Double(), nullable=True),
        sa.Column("direction", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
    )
    op.create_index(op.f("ix_positions_at"), "positions", ["at"], unique=False)
    op.create_index(op.f("ix_positions_device_channel_at"), "positions", ["device", "channel", "at"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("media", sa.String(length=20), nullable=False),
        sa.Column("charset", sa.String(length=20), nullable=False),
        sa.Column("send_date", sa.Boolean(), nullable=False),
        sa.Column("subscriptions", sa.JSON(), nullable=False),
        sa.Column("heartbeat_s", sa.Integer(), nullable=False),
        sa.Column("heartbeat_misses", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("state_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(length=80), nullable=True),
        sa.Column("transport", sa.String(length=10), nullable=True),
        sa.Column("registered_at", sa.BigInteger(), nullable=True),
        sa.Column("edition", sa.String(length=10), nullable=True),
        sa.Column("user_agent", sa.String(length=200), nullable=True),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.String(length=80), nullable=True),
        sa.Column("manufacturer", sa.String(length=80), nullable=True),
        sa.Column("model", sa.String(length=80), nullable=True),
        sa.Column("firmware", sa.String(length=80), nullable=True),
        sa.Column("catalog_sn", sa.BigInteger(), nullable=True),
        sa.Column("catalog_at", sa.BigInteger(), nullable=True),
        sa.Column("catalog_received", sa.Integer(), nullable=False),
        sa.Column("catalog_expected", sa.Integer(), nullable=True),
        sa.Column("catalog_missing", sa.Integer(), nullable=False),
        sa.Column("catalog_done", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_devices_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_name_id"), "devices", ["name", "id"], unique=False)
    op.create_index(op.f("ix_devices_unit"), "devices", ["unit"], unique=False)
    op.create_table(
        "channels",
        sa.Column("device", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("parents", sa.JSON(), nullable=False),
        sa.Column("civil_code", sa.String(length=32), nullable=False),
        sa.Column("manufacturer", sa.String(length=80), nullable=False),
        sa.Column("model", sa.String(length=80), nullable=False),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("ptz", sa.Integer(), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("position_at", sa.BigInteger(), nullable=True),
        sa.Column("camera", sa.String(length=40), nullable=True),
        sa.Column("seen_sn", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["camera"], ["cameras.id"], name=op.f("fk_channels_camera")),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_channels_device")),
        sa.PrimaryKeyConstraint("device", "id", name=op.f("pk_channels")),
    )
    op.create_index(op.f("ix_channels_camera"), "channels", ["camera"], unique=False)
    op.create_table(
        "shared_cameras",
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("gb_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["camera"], ["cameras.id"], name=op.f("fk_shared_cameras_camera")),
        sa.ForeignKeyConstraint(["platform"], ["platforms.id"], name=op.f("fk_shared_cameras_platform")),
        sa.PrimaryKeyConstraint("platform", "camera", name=op.f("pk_shared_cameras")),
    )
    op.create_index("uq_shared_cameras_platform_gb_id", "shared_cameras", ["platform", "gb_id"], unique=True)
    op.add_column("cameras", sa.Column("device", sa.String(length=32), nullable=True))
    op.add_column("cameras", sa.Column("channel", sa.String(length=32), nullable=True))
    op.add_column("cameras", sa.Column("ptz", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_cameras_device_channel"), "cameras", ["device", "channel"], unique=False)


def downgrade() -> None:

    op.drop_index(op.f("ix_cameras_device_channel"), table_name="cameras")
    op.drop_column("cameras", "ptz")
    op.drop_column("cameras", "channel")
    op.drop_column("cameras", "device")
    op.drop_index("uq_shared_cameras_platform_gb_id", table_name="shared_cameras")
    op.drop_table("shared_cameras")
    op.drop_index(op.f("ix_channels_camera"), table_name="channels")
    op.drop_table("channels")
    op.drop_index(op.f("ix_devices_unit"), table_name="devices")
    op.drop_index(op.f("ix_devices_name_id"), table_name="devices")
    op.drop_table("devices")
    op.drop_index(op.f("ix_positions_device_channel_at"), table_name="positions")
    op.drop_index(op.f("ix_positions_at"), table_name="positions")
    op.drop_table("positions")
    op.drop_table("platforms")
    op.drop_table("gb_domain")
