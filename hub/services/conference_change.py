"""A conference under change: one row under a lock, its members, its events, and what to tell after the commit."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain import events
from hub.domain.conference import ACTIVE, MOST_MEMBERS, OPEN, RING_MS, MemberMove, MemberState, is_over, step
from hub.domain.errors import Conflict, NotFound, TooMany
from hub.domain.ids import ConferenceId, MemberId, UnitId, new_id
from hub.services.conference_view import concerns, oversees
from hub.services.context import Actor, Context
from hub.services.live import publish_live
from hub.store import conferences as store
from hub.store.outbox import record
from hub.store.tables_duty import ConferenceRow, MemberRow


@dataclass(slots=True)
class Change:
    """One conference under a lock, its members, and what to tell after the commit."""

    ctx: Context
    db: AsyncSession
    row: ConferenceRow
    members: list[MemberRow]
    now: int
    notices: list[dict[str, Any]] = field(default_factory=list)

    def record(self, payload: events.DrillMarked, unit: UnitId) -> None:
        """Record an event of this conference, marked with its incident and drill."""
        marked = payload.model_copy(update={"run": self.row.run, "incident": self.row.incident})
        record(self.db, marked, unit=unit, ref=self.row.id, at=self.now)

    def of(self, actor: Actor) -> MemberRow:
        """The member that this person is. Raises Conflict (``conference.not_in``)."""
        for member in self.members:
            if member.user == actor.id and MemberState(member.state) in ACTIVE:
                return member
        raise Conflict("conference.not_in", "you are not in this conference")

    def move(self, member: MemberRow, move: MemberMove) -> None:
        member.state = step(MemberState(member.state), move).value

    def ring(self, actor: Actor, units: Sequence[UnitId]) -> None:
        """Let these units ring, except those that ring or are in already."""
        for unit in dict.fromkeys(units):
            old = next((m for m in self.members if m.unit == unit and not m.host), None)
            if old is not None and MemberState(old.state) in OPEN:
                continue
            member = old or self._new(unit)
            if old is not None:
                self.move(member, MemberMove.RING)
                member.user = member.answered_at = member.joined_at = member.left_at = None
                member.rung_at, member.publishing = self.now, False
            member.until = self.now + RING_MS
            self.record(events.ConferenceRung(by=actor.id, member=member.id), unit)
            self.notices.append({"ring": member.id})

    def _new(self, unit: UnitId) -> MemberRow:
        if len(self.members) >= MOST_MEMBERS:
            raise TooMany("conference.full", f"a conference has at most {MOST_MEMBERS} members")
        member = new_member(self.row.id, unit, self.now)
        self.members.append(member)
        self.db.add(member)
        return member

    def come_back(self, member: MemberRow) -> None:
        """Who had left, or was lost, sits down again."""
        self.move(member, MemberMove.RETURN)
        member.rung_at = member.answered_at = self.now
        member.joined_at = member.left_at = None

    def silence(self, member: MemberRow, reason: str, *, by: str = "") -> None:
        """The unit's terminals stop ringing."""
        self.notices.append(
            {"ring_ended": self.row.id, "member": member.id, "unit": member.unit, "reason": reason, "by": by}
        )

    def drop(self, member: MemberRow, by: str, reason: str) -> None:
        """The member leaves; the last one ends the conference."""
        self.move(member, MemberMove.LEAVE)
        member.left_at, member.publishing = self.now, False
        self.record(events.ConferenceLeft(by=by, member=member.id, reason=reason), member.unit)
        self.notices.append({"media_gone": member.id, "stream": member.id})
        if is_over(MemberState(m.state) for m in self.members):
            self.finish("system", "everybody left")

    def finish(self, by: str, reason: str) -> None:
        """The conference ends for all."""
        for member in self.members:
            was = MemberState(member.state)
            self.move(member, MemberMove.END)
            if was is MemberState.RINGING:
                self.silence(member, "ended")
            if was in ACTIVE:
                member.left_at = self.now
            member.publishing = False
            self.notices.append({"media_gone": member.id, "stream": member.id})
        self.row.ended_at, self.row.stage = self.now, None
        self.record(events.ConferenceEnded(by=by, reason=reason), self.row.unit)


@contextlib.asynccontextmanager
async def changing(ctx: Context, conference: ConferenceId, actor: Actor | None) -> AsyncIterator[Change]:
    """A running conference under a lock; afterwards the live channel is told. ``actor`` None: the hub itself."""
    async with ctx.sessions.begin() as db:
        row = await store.conference(db, conference, lock=True)
        members = list(await store.members(db, [conference]))
        if row is None or (actor is not None and not concerns(actor, members) and not oversees(actor, row)):
            raise NotFound("conference.unknown", "no such conference")
        if row.ended_at is not None:
            raise Conflict("conference.ended", "this conference has ended")
        change = Change(ctx, db, row, members, ctx.clock())
        yield change
    await tell(ctx, change)


@contextlib.asynccontextmanager
async def of_member(ctx: Context, member: MemberId) -> AsyncIterator[tuple[Change, MemberRow]]:
    """As ``changing``, by a member's id. An unknown member or an ended conference raises NotFound or Conflict."""
    async with ctx.reading() as db:
        found = await store.member(db, member)
    if found is None:
        raise NotFound("conference.member_unknown", "no such member")
    async with changing(ctx, found.conference, None) as change:
        yield change, next(row for row in change.members if row.id == member)


async def tell(ctx: Context, change: Change) -> None:
    for notice in change.notices:
        await publish_live(ctx, notice)
    await publish_live(ctx, {"conference": change.row.id})


def stage_key(conference: ConferenceId) -> str:
    """Under what the sessions that watch a conference's stage are kept."""
    return f"stage-{conference}"


def new_member(conference: ConferenceId, unit: UnitId, now: int) -> MemberRow:
    return MemberRow(
        id=new_id("mem", now_ms=now),
        conference=conference,
        unit=unit,
        user=None,
        host=False,
        state=MemberState.RINGING.value,
        rung_at=now,
        until=now,
        answered_at=None,
        joined_at=None,
        left_at=None,
        audio=True,
        video=True,
        publishing=False,
    )
