"""Tables of accounts, cameras, rules and the log; those of the duty's matters are in ``tables_duty``.

Times are integer milliseconds since the Unix epoch. There are no ORM relationships: a use case that inserts a
row and one that refers to it flushes between the two.
"""

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BIG: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in INTEGER keys
ID: Final = String(40)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON, list[Any]: JSON, list[str]: JSON}  # noqa: RUF012


class UnitRow(Base):
    __tablename__ = "units"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    parent: Mapped[str | None] = mapped_column(ForeignKey("units.id"))
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(80))
    name_en: Mapped[str] = mapped_column(String(80), default="")
    position: Mapped[int] = mapped_column(Integer, default=0)


class UserRow(Base):
    __tablename__ = "users"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    role: Mapped[str] = mapped_column(String(20))
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[int]


class SessionRow(Base):
    """A session is found by the hash of its token; the token itself is nowhere in the database."""

    __tablename__ = "sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    method: Mapped[str] = mapped_column(String(20))
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int]
    seen_at: Mapped[int]
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)  # slides with use
    ends_at: Mapped[int]  # does not


class CameraRow(Base):
    """A removed camera keeps its row: alerts and events still say its name."""

    __tablename__ = "cameras"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    name_en: Mapped[str] = mapped_column(String(80), default="")
    unit: Mapped[str] = mapped_column(ForeignKey("units.id"), index=True)
    url: Mapped[str] = mapped_column(Text)  # with user and password: never answered, never logged
    sub_url: Mapped[str | None] = mapped_column(Text)  # of its sub stream, likewise
    device: Mapped[str | None] = mapped_column(String(32))  # GB/T 28181: the device, and the channel under it
    channel: Mapped[str | None] = mapped_column(String(32))
    ptz: Mapped[int] = mapped_column(
        Integer, default=0, server_default="0"
    )  # PTZType of the catalogue, 0: it stands still
    created_at: Mapped[int]
    removed_at: Mapped[int | None]
    __table_args__ = (Index(None, "name", "id"), Index(None, "device", "channel"))


class RuleRow(Base):
    __tablename__ = "rules"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    camera: Mapped[str] = mapped_column(ForeignKey("cameras.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(80))
    severity: Mapped[str] = mapped_column(String(20))
    enabled: Mapped[bool] = mapped_column(default=True)
    params: Mapped[dict[str, Any]]
    created_at: Mapped[int]
    removed_at: Mapped[int | None]


class OutboxRow(Base):
    """Events on their way into the log. Empty whenever the appender has caught up."""

    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(60))
    at: Mapped[int]
    unit: Mapped[str] = mapped_column(ID)
    ref: Mapped[str] = mapped_column(String(80))
    data: Mapped[str] = mapped_column(Text)


class LogRow(Base):
    """One link of the chain. ``seq`` is given by the appender: 1, 2, 3 … without holes."""

    __tablename__ = "log"
    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(60), index=True)
    at: Mapped[int]
    unit: Mapped[str] = mapped_column(ID, index=True)
    ref: Mapped[str] = mapped_column(String(80), index=True)
    incident: Mapped[str | None] = mapped_column(ID, index=True)  # copies of the payload's, to find events by;
    run: Mapped[str | None] = mapped_column(ID, index=True)  # not chained, but checked against the payload
    alg: Mapped[str] = mapped_column(String(20))
    payload_hash: Mapped[str] = mapped_column(String(128))
    prev: Mapped[str] = mapped_column(String(128))
    hash: Mapped[str] = mapped_column(String(128))


class LogPayloadRow(Base):
    """What an event says, beside the chain. Both columns are emptied by an erasure; the chain stays whole."""

    __tablename__ = "log_payloads"
    seq: Mapped[int] = mapped_column(ForeignKey("log.seq"), primary_key=True, autoincrement=False)
    salt: Mapped[str | None] = mapped_column(String(64))
    data: Mapped[str | None] = mapped_column(Text)


class LogHeadRow(Base):
    """The chain's end as the appender last left it: one row, with id 1."""

    __tablename__ = "log_head"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[str] = mapped_column(String(128))
