"""Conferences and their members."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.conference import ACTIVE, MemberState
from hub.domain.ids import ConferenceId, MemberId, UnitId, UserId
from hub.store.tables_duty import ConferenceRow, MemberRow

_IN = [state.value for state in ACTIVE]
_SEATED = [*_IN, MemberState.LEFT.value]


async def conference(db: AsyncSession, id: ConferenceId, *, lock: bool = False) -> ConferenceRow | None:
    """A conference, running or ended. ``lock``: nobody else changes it or its members until the commit."""
    return await db.get(ConferenceRow, id, with_for_update=lock or None, populate_existing=lock)


async def member(db: AsyncSession, id: MemberId) -> MemberRow | None:
    """A member by id."""
    return await db.get(MemberRow, id)


async def members(db: AsyncSession, conferences: Collection[ConferenceId]) -> Sequence[MemberRow]:
    """Members of these conferences: hosts first, then as they were rung."""
    query = select(MemberRow).where(MemberRow.conference.in_(conferences))
    rows = await db.scalars(query.order_by(MemberRow.host.desc(), MemberRow.rung_at, MemberRow.id))
    return rows.all()


async def running(db: AsyncSession, *, limit: int = 200) -> Sequence[ConferenceRow]:
    """Conferences that have not ended, newest first."""
    query = select(ConferenceRow).where(ConferenceRow.ended_at.is_(None))
    return (await db.scalars(query.order_by(ConferenceRow.opened_at.desc()).limit(limit))).all()


async def running_of(db: AsyncSession, *, user: UserId, unit: UnitId, limit: int = 50) -> Sequence[ConferenceRow]:
    """Running conferences that this person is in or has left, or that ring at the person's unit; newest first."""
    mine = or_(
        and_(MemberRow.user == user, MemberRow.state.in_(_SEATED)),
        and_(MemberRow.unit == unit, MemberRow.state == MemberState.RINGING.value),
    )
    query = select(ConferenceRow).where(
        ConferenceRow.ended_at.is_(None), ConferenceRow.id.in_(select(MemberRow.conference).where(mine))
    )
    return (await db.scalars(query.order_by(ConferenceRow.opened_at.desc()).limit(limit))).all()


async def running_at(db: AsyncSession, incident: str) -> ConferenceRow | None:
    """The conference that runs about an incident; the newest if there are several."""
    query = select(ConferenceRow).where(ConferenceRow.incident == incident, ConferenceRow.ended_at.is_(None))
    return await db.scalar(query.order_by(ConferenceRow.opened_at.desc()).limit(1))


async def rung_out(db: AsyncSession, now: int, *, limit: int = 100) -> Sequence[MemberRow]:
    """Members whose call has rung as long as it may."""
    query = select(MemberRow).where(MemberRow.state == MemberState.RINGING.value, MemberRow.until <= now)
    return (await db.scalars(query.order_by(MemberRow.until).limit(limit))).all()


async def present(db: AsyncSession) -> Sequence[MemberRow]:
    """Members who are in, of running conferences."""
    query = select(MemberRow).join(ConferenceRow, ConferenceRow.id == MemberRow.conference)
    query = query.where(ConferenceRow.ended_at.is_(None), MemberRow.state.in_(_IN))
    return (await db.scalars(query.limit(2_000))).all()
