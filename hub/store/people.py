"""Units, users and sessions."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.ids import UserId
from hub.domain.units import UnitNode, UnitTree
from hub.store.tables import SessionRow, UnitRow, UserRow

MAX_USERS: Final = 2_000


async def unit_tree(db: AsyncSession) -> UnitTree:
    """Every unit, in the order in which the console shows them."""
    rows = await db.scalars(select(UnitRow).order_by(UnitRow.position, UnitRow.id))
    return UnitTree.of(UnitNode(row.id, row.parent, row.kind, row.name, row.name_en) for row in rows)


async def names(db: AsyncSession, ids: Collection[UserId | None]) -> dict[str, str]:
    """Names of these users; unknown ones (the system) are left out."""
    wanted = {id for id in ids if id}
    if not wanted:
        return {}
    rows = await db.execute(select(UserRow.id, UserRow.name).where(UserRow.id.in_(wanted)))
    return dict(rows.all())


async def user_named(db: AsyncSession, username: str) -> UserRow | None:
    """The user of this name."""
    return await db.scalar(select(UserRow).where(UserRow.username == username))


async def users(db: AsyncSession) -> tuple[Sequence[UserRow], int]:
    """Users by name, and how many there are (at most ``MAX_USERS`` are returned)."""
    rows = await db.scalars(select(UserRow).order_by(UserRow.username).limit(MAX_USERS))
    return rows.all(), await db.scalar(select(func.count()).select_from(UserRow)) or 0


async def demo_users(db: AsyncSession) -> Sequence[UserRow]:
    """People of the demo town, as the town listed them."""
    query = select(UserRow).where(UserRow.demo).order_by(UserRow.created_at, UserRow.id).limit(200)
    return (await db.scalars(query)).all()


async def session_user(db: AsyncSession, token_hash: str) -> tuple[SessionRow, UserRow] | None:
    """A session and its user, by the hash of the token."""
    query = select(SessionRow, UserRow).join(UserRow, UserRow.id == SessionRow.user)
    found = (await db.execute(query.where(SessionRow.token_hash == token_hash))).first()
    return None if found is None else (found[0], found[1])


async def drop_expired(db: AsyncSession, now: int) -> None:
    """Delete sessions that ran out."""
    await db.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
