"""What people see of conferences, and who may see which."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.conference import MemberState
from hub.domain.errors import NotFound
from hub.domain.ids import CameraId, ConferenceId, IncidentId, MemberId, RunId, UnitId, UserId
from hub.domain.roles import Right
from hub.services.access import holds, require
from hub.services.context import Actor, Context
from hub.services.units import tree
from hub.store import cameras, people
from hub.store import conferences as store
from hub.store.tables_duty import ConferenceRow, MemberRow


@dataclass(frozen=True, slots=True)
class MemberView:
    id: MemberId
    unit: UnitId
    unit_name: str
    user: UserId | None
    name: str | None
    host: bool
    state: str
    rung_at: int
    answered_at: int | None
    joined_at: int | None
    audio: bool
    video: bool
    publishing: bool


@dataclass(frozen=True, slots=True)
class ConferenceView:
    id: ConferenceId
    title: str
    incident: IncidentId | None
    run: RunId | None
    opened_by: str
    opened_at: int
    ended_at: int | None
    stage: CameraId | None
    stage_name: str | None
    stage_name_en: str | None
    members: list[MemberView]


@dataclass(frozen=True, slots=True)
class RingView:
    """A call at a unit, as its terminals show it."""

    conference: ConferenceId
    member: MemberId
    unit: UnitId
    title: str
    caller: str
    caller_unit: str
    incident: IncidentId | None
    run: RunId | None
    until: int


def concerns(actor: Actor, members: Sequence[MemberRow]) -> bool:
    """Whether this person is or was a member, or belongs to a unit that is called."""
    return any(member.user == actor.id or (member.user is None and member.unit == actor.unit) for member in members)


def oversees(actor: Actor, row: ConferenceRow) -> bool:
    """Whether this person may open conferences in the host's unit: then it is theirs to see and to invite to."""
    return holds(actor, Right.CONFERENCE_OPEN) and actor.unit == row.unit


async def get_conference(ctx: Context, actor: Actor, conference: ConferenceId) -> ConferenceView:
    """One conference, for members, units called and who oversees it. Raises NotFound (``conference.unknown``)."""
    require(actor, Right.CONFERENCE_JOIN)
    async with ctx.reading() as db:
        row = await store.conference(db, conference)
        members = await store.members(db, [conference])
        if row is None or not (concerns(actor, members) or oversees(actor, row)):
            raise NotFound("conference.unknown", "no such conference")
        return (await views(ctx, db, [row], members))[0]


async def list_conferences(ctx: Context, actor: Actor) -> list[ConferenceView]:
    """Running conferences that this person is in, has left or is called to, newest first."""
    require(actor, Right.CONFERENCE_JOIN)
    async with ctx.reading() as db:
        rows = await store.running_of(db, user=actor.id, unit=actor.unit)
        return await views(ctx, db, rows, await store.members(db, [row.id for row in rows]))


async def conference_for_hub(ctx: Context, conference: ConferenceId) -> ConferenceView | None:
    """A conference whoever asks: for the hub's own fan-out, which sends it to members only."""
    async with ctx.reading() as db:
        if (row := await store.conference(db, conference)) is None:
            return None
        return (await views(ctx, db, [row], await store.members(db, [conference])))[0]


async def ring_of(ctx: Context, member: MemberId) -> RingView | None:
    """The call of this member while it rings."""
    async with ctx.reading() as db:
        row = await store.member(db, member)
        found = [] if row is None else await _rings(ctx, db, [row])
    return found[0] if found else None


async def rings_at(ctx: Context, actor: Actor) -> list[RingView]:
    """Calls that ring at this person's unit now."""
    async with ctx.reading() as db:
        rows = await store.running_of(db, user=actor.id, unit=actor.unit)
        members = await store.members(db, [row.id for row in rows])
        if not rows:
            return []
        return await _rings(ctx, db, [member for member in members if member.unit == actor.unit])


async def views(
    ctx: Context, db: AsyncSession, rows: Sequence[ConferenceRow], members: Sequence[MemberRow]
) -> list[ConferenceView]:
    """Conferences with names filled in."""
    units = await tree(ctx, db)
    names = await people.names(db, [row.opened_by for row in rows] + [member.user for member in members])
    stages = await cameras.names(db, [row.stage for row in rows])
    stages_en = await cameras.names_en(db, [row.stage for row in rows])
    return [
        ConferenceView(
            id=row.id,
            title=row.title,
            incident=row.incident,
            run=row.run,
            opened_by=names.get(row.opened_by, row.opened_by),
            opened_at=row.opened_at,
            ended_at=row.ended_at,
            stage=row.stage,
            stage_name=None if row.stage is None else stages.get(row.stage),
            stage_name_en=None if row.stage is None else stages_en.get(row.stage),
            members=[
                MemberView(
                    id=member.id,
                    unit=member.unit,
                    unit_name=units.name(member.unit),
                    user=member.user,
                    name=None if member.user is None else names.get(member.user),
                    host=member.host,
                    state=member.state,
                    rung_at=member.rung_at,
                    answered_at=member.answered_at,
                    joined_at=member.joined_at,
                    audio=member.audio,
                    video=member.video,
                    publishing=member.publishing,
                )
                for member in members
                if member.conference == row.id
            ],
        )
        for row in rows
    ]


async def _rings(ctx: Context, db: AsyncSession, members: Sequence[MemberRow]) -> list[RingView]:
    units = await tree(ctx, db)
    found: list[RingView] = []
    for member in members:
        if member.state != MemberState.RINGING or member.until <= ctx.clock():
            continue
        row = await store.conference(db, member.conference)
        if row is None or row.ended_at is not None:
            continue
        names = await people.names(db, [row.opened_by])
        found.append(
            RingView(
                conference=row.id,
                member=member.id,
                unit=member.unit,
                title=row.title,
                caller=names.get(row.opened_by, row.opened_by),
                caller_unit=units.name(row.unit),
                incident=row.incident,
                run=row.run,
                until=member.until,
            )
        )
    return found
