"""Sign-ins that hold now, for sockets and media that live longer than a request."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.store.tables import SessionRow


async def valid(db: AsyncSession, now: int) -> set[str]:
    """Names (hashes of the tokens) of all sessions that have not run out."""
    return set(await db.scalars(select(SessionRow.token_hash).where(SessionRow.expires_at > now)))


async def exists(db: AsyncSession, session: str) -> bool:
    """Whether there is such a session, run out or not."""
    return await db.get(SessionRow, session) is not None
