"""Tables of GB/T 28181: devices, their channels, where they are, and the platforms above us.

``revision`` counts an administrator's changes of a row: the sum of them names a configuration of the gateway.
What devices say of themselves (state, address, catalogue) changes without it.
"""

from typing import Final

from sqlalchemy import ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hub.store.tables import BIG, Base

GB_ID: Final = String(32)


class GbDomainRow(Base):
    """How devices that nobody listed may register: one row, with id 1."""

    __tablename__ = "gb_domain"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    password: Mapped[str] = mapped_column(Text, default="")  # never answered, never logged
    accept_unknown: Mapped[bool] = mapped_column(default=True)
    revision: Mapped[int] = mapped_column(default=0)


class DeviceRow(Base):
    """A device or a lower platform. A removed one keeps its row, so that its cameras keep their history."""

    __tablename__ = "devices"
    id: Mapped[str] = mapped_column(GB_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    password: Mapped[str] = mapped_column(Text, default="")  # never answered, never logged
    enabled: Mapped[bool] = mapped_column(default=True)
    media: Mapped[str] = mapped_column(String(20), default="auto")
    sub_stream: Mapped[str] = mapped_column(String(20), default="auto", server_default="auto")
    charset: Mapped[str] = mapped_column(String(20), default="auto")
    send_date: Mapped[bool] = mapped_column(default=True)
    subscriptions: Mapped[list[str]]
    heartbeat_s: Mapped[int] = mapped_column(Integer, default=60)
    heartbeat_misses: Mapped[int] = mapped_column(Integer, default=3)
    created_at: Mapped[int]
    removed_at: Mapped[int | None]
    revision: Mapped[int] = mapped_column(default=1)
    # what it says
    state: Mapped[str] = mapped_column(String(20), default="unknown")
    reason: Mapped[str | None] = mapped_column(String(80))
    detail: Mapped[str | None] = mapped_column(String(500))
    state_at: Mapped[int] = mapped_column(default=0)
    address: Mapped[str | None] = mapped_column(String(80))
    transport: Mapped[str | None] = mapped_column(String(10))
    registered_at: Mapped[int | None]
    edition: Mapped[str | None] = mapped_column(String(10))
    user_agent: Mapped[str | None] = mapped_column(String(200))
    failed_at: Mapped[int | None]
    failure: Mapped[str | None] = mapped_column(String(80))
    manufacturer: Mapped[str | None] = mapped_column(String(80))
    model: Mapped[str | None] = mapped_column(String(80))
    firmware: Mapped[str | None] = mapped_column(String(80))
    # the last catalogue
    catalog_sn: Mapped[int | None]
    catalog_at: Mapped[int | None]
    catalog_received: Mapped[int] = mapped_column(Integer, default=0)
    catalog_expected: Mapped[int | None] = mapped_column(Integer)
    catalog_missing: Mapped[int] = mapped_column(Integer, default=0)
    catalog_done: Mapped[bool] = mapped_column(default=True)
    __table_args__ = (Index(None, "name", "id"),)


class ChannelRow(Base):
    """One entry of a device's catalogue. The same number may stand under two devices."""

    __tablename__ = "channels"
    device: Mapped[str] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    id: Mapped[str] = mapped_column(GB_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(30))
    parents: Mapped[list[str]]
    civil_code: Mapped[str] = mapped_column(String(32), default="")
    manufacturer: Mapped[str] = mapped_column(String(80), default="")
    model: Mapped[str] = mapped_column(String(80), default="")
    address: Mapped[str] = mapped_column(String(200), default="")
    status: Mapped[str] = mapped_column(String(20), default="unknown")
    ptz: Mapped[int] = mapped_column(Integer, default=0)
    longitude: Mapped[float | None]
    latitude: Mapped[float | None]
    position_at: Mapped[int | None]
    camera: Mapped[str | None] = mapped_column(ForeignKey("cameras.id"), index=True)
    seen_sn: Mapped[int | None]  # the catalogue that told of it last
    removed_at: Mapped[int | None]


class PositionRow(Base):
    """Telemetry: where something was. Kept for some days."""

    __tablename__ = "positions"
    id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    device: Mapped[str] = mapped_column(GB_ID)
    channel: Mapped[str] = mapped_column(GB_ID)
    at: Mapped[int]
    longitude: Mapped[float]
    latitude: Mapped[float]
    speed: Mapped[float | None]
    direction: Mapped[float | None]
    __table_args__ = (Index(None, "device", "channel", "at"), Index(None, "at"))


class PlatformRow(Base):
    """A platform above us that we register with (级联)."""

    __tablename__ = "platforms"
    id: Mapped[str] = mapped_column(GB_ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    domain: Mapped[str] = mapped_column(String(32))
    host: Mapped[str] = mapped_column(String(255))
    port: Mapped[int] = mapped_column(Integer)
    transport: Mapped[str] = mapped_column(String(10), default="udp")
    local_id: Mapped[str] = mapped_column(GB_ID)
    username: Mapped[str] = mapped_column(String(64), default="")
    password: Mapped[str] = mapped_column(Text, default="")  # never answered, never logged
    expires_s: Mapped[int] = mapped_column(Integer, default=3_600)
    heartbeat_s: Mapped[int] = mapped_column(Integer, default=60)
    charset: Mapped[str] = mapped_column(String(20), default="gb18030")
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[int]
    removed_at: Mapped[int | None]
    revision: Mapped[int] = mapped_column(default=1)


class SharedCameraRow(Base):
    """A camera that a platform above may see, under an identifier of its own."""

    __tablename__ = "shared_cameras"
    platform: Mapped[str] = mapped_column(ForeignKey("platforms.id"), primary_key=True)
    camera: Mapped[str] = mapped_column(ForeignKey("cameras.id"), primary_key=True)
    gb_id: Mapped[str] = mapped_column(GB_ID)
    at: Mapped[int]
    __table_args__ = (Index("uq_shared_cameras_platform_gb_id", "platform", "gb_id", unique=True),)
