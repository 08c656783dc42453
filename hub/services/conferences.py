"""Conferences: one action calls the units (一键调度); the first of a unit to answer takes the call.

State is in the database, so it outlives a restart. After each commit the live channel says what changed, and every
api process tells its own sockets (``hub.api.fanout``).
"""

import contextlib
from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain import events
from hub.domain.conference import ACTIVE, MemberMove, MemberState
from hub.domain.errors import Conflict, Forbidden, Invalid, NotFound
from hub.domain.ids import AlertId, CameraId, ConferenceId, IncidentId, MemberId, RunId, UnitId, new_id
from hub.domain.incident import IncidentState
from hub.domain.roles import Right
from hub.services import alerts, incidents
from hub.services.access import holds, require
from hub.services.cameras import reachable
from hub.services.conference_change import Change, changing, new_member, of_member, stage_key, tell
from hub.services.conference_view import ConferenceView, concerns, get_conference, oversees
from hub.services.context import Actor, Context
from hub.services.units import tree
from hub.store import conferences as store
from hub.store.tables_duty import ConferenceRow, MemberRow

MOST_UNITS: Final = 32


async def open_conference(
    ctx: Context,
    actor: Actor,
    *,
    title: str,
    units: Sequence[UnitId],
    incident: IncidentId | None = None,
    alert: AlertId | None = None,
    camera: CameraId | None = None,
    run: RunId | None = None,
) -> ConferenceView:
    """Open a conference and let the units ring; the caller is in at once, as host.

    Of an alert without an incident, one is opened, in the drill ``run`` if so said; an incident that there is
    already keeps its own. Raises Invalid (``conference.unit``, ``run.not_running``), NotFound for an incident,
    alert or camera out of reach, Conflict (``incident.closed``, ``conference.running``).
    """
    require(actor, Right.CONFERENCE_OPEN)
    await _check(ctx, actor, units, camera)
    now = ctx.clock()
    async with ctx.sessions.begin() as db:
        incident, run = await _matter(ctx, db, actor, title=title, incident=incident, alert=alert, run=run)
        if incident is not None and await store.running_at(db, incident) is not None:
            raise Conflict("conference.running", "a conference about this incident runs already")
        row = _conference(actor, title, incident, run, now)
        db.add(row)
        await db.flush()
        change = Change(ctx, db, row, [], now)
        host = new_member(row.id, actor.unit, now)
        host.user, host.host, host.state, host.answered_at = actor.id, True, MemberState.ANSWERED.value, now
        db.add(host)
        change.members.append(host)
        called = tuple(dict.fromkeys(units))
        change.record(events.ConferenceOpened(by=actor.id, title=title, units=called), actor.unit)
        change.ring(actor, called)
        if camera is not None:
            await _stage(change, actor, camera)
    await tell(ctx, change)
    return await get_conference(ctx, actor, row.id)


async def ringing(ctx: Context, actor: Actor, conference: ConferenceId) -> None:
    """A terminal says that it rings. Nothing changes; raises Conflict where nothing rings for this unit."""
    async with ctx.reading() as db:
        members = await store.members(db, [conference])
    if not concerns(actor, members):
        raise NotFound("conference.unknown", "no such conference")
    _ringing_at(actor, members)


async def answer(ctx: Context, actor: Actor, conference: ConferenceId, *, accept: bool) -> None:
    """Take or decline the call of one's unit, the first to answer takes it; or come back where one had left.

    Raises NotFound, Conflict (``conference.ended``, ``conference.answered_elsewhere``, ``conference.not_ringing``).
    """
    require(actor, Right.CONFERENCE_JOIN)
    async with changing(ctx, conference, actor) as change:
        if accept and (seat := _left_by(actor, change.members)) is not None:
            change.come_back(seat)
            change.record(events.ConferenceAnswered(by=actor.id, member=seat.id), seat.unit)
            return
        member = _ringing_at(actor, change.members)
        if member.until <= change.now:
            raise Conflict("conference.not_ringing", "this call has rung out")
        if not accept:
            change.move(member, MemberMove.DECLINE)
            change.record(events.ConferenceDeclined(by=actor.id, member=member.id), member.unit)
            change.silence(member, "declined", by=actor.id)
            return
        change.move(member, MemberMove.ANSWER)
        member.user, member.answered_at = actor.id, change.now
        change.record(events.ConferenceAnswered(by=actor.id, member=member.id), member.unit)
        change.silence(member, "answered", by=actor.id)


async def leave(ctx: Context, actor: Actor, conference: ConferenceId) -> None:
    """Leave. Raises NotFound, Conflict (``conference.ended``, ``conference.not_in``)."""
    async with changing(ctx, conference, actor) as change:
        change.drop(change.of(actor), actor.id, "")


async def end(ctx: Context, actor: Actor, conference: ConferenceId) -> None:
    """End it for all; the host's right. Raises NotFound, Forbidden (``conference.not_host``), Conflict."""
    async with changing(ctx, conference, actor) as change:
        _need_host(actor, change)
        change.finish(actor.id, "ended by the host")


async def stage(ctx: Context, actor: Actor, conference: ConferenceId, camera: CameraId | None) -> None:
    """Put a camera on the stage for all, or clear it; the host's right. Raises NotFound, Forbidden, Conflict."""
    async with changing(ctx, conference, actor) as change:
        _need_host(actor, change)
        await _stage(change, actor, camera)


async def invite(ctx: Context, actor: Actor, conference: ConferenceId, units: Sequence[UnitId]) -> None:
    """Let units ring, again or for the first time; the right of the host and of whoever oversees it, so that
    nobody is stranded when the host has left. Raises as ``open_conference`` does.
    """
    await _check(ctx, actor, units, None)
    async with changing(ctx, conference, actor) as change:
        if not oversees(actor, change.row):
            _need_host(actor, change)
        change.ring(actor, units)


async def devices(ctx: Context, actor: Actor, conference: ConferenceId, *, audio: bool, video: bool) -> None:
    """Say what this member sends now. Raises NotFound, Conflict."""
    async with changing(ctx, conference, actor) as change:
        member = change.of(actor)
        member.audio, member.video = audio, video


async def mark_joined(ctx: Context, member: MemberId) -> None:
    """The relay received this member's first media packet: 入会. Late and repeated reports change nothing."""
    async with of_member(ctx, member) as (change, row):
        if MemberState(row.state) not in ACTIVE:
            return
        if MemberState(row.state) is MemberState.ANSWERED:
            row.joined_at = change.now
            change.record(events.ConferenceJoined(by=row.user or "system", member=row.id), row.unit)
        change.move(row, MemberMove.MEDIA)
        row.publishing = True


async def mark_silent(ctx: Context, member: MemberId) -> None:
    """The relay receives no media of this member any more. The member stays: the page may be loading again."""
    async with of_member(ctx, member) as (_change, row):
        row.publishing = False


async def mark_lost(ctx: Context, member: MemberId) -> None:
    """A member has had neither media nor a connection for too long: taken to have left."""
    async with of_member(ctx, member) as (change, row):
        if MemberState(row.state) in ACTIVE:
            change.drop(row, row.user or "system", "lost")


async def miss_rung_out(ctx: Context) -> int:
    """Let calls that have rung as long as they may end as missed; return how many."""
    async with ctx.reading() as db:
        due = [(row.conference, row.id) for row in await store.rung_out(db, ctx.clock())]
    missed = 0
    for conference, member in due:
        with contextlib.suppress(NotFound, Conflict):  # answered or ended in between
            async with changing(ctx, conference, None) as change:
                row = next(m for m in change.members if m.id == member)
                if row.state == MemberState.RINGING and row.until <= change.now:
                    change.move(row, MemberMove.MISS)
                    change.record(events.ConferenceMissed(member=row.id), row.unit)
                    change.silence(row, "missed")
                    missed += 1
    return missed


async def publisher(ctx: Context, actor: Actor, conference: ConferenceId) -> MemberRow:
    """The member that this person is in a running conference, for its media. Raises NotFound, Conflict."""
    require(actor, Right.CONFERENCE_JOIN)
    async with ctx.reading() as db:
        row = await store.conference(db, conference)
        members = list(await store.members(db, [conference]))
        if row is None or not concerns(actor, members):
            raise NotFound("conference.unknown", "no such conference")
        if row.ended_at is not None:
            raise Conflict("conference.ended", "this conference has ended")
        return Change(ctx, db, row, members, ctx.clock()).of(actor)


async def _stage(change: Change, actor: Actor, camera: CameraId | None) -> None:
    if camera == change.row.stage:
        return
    if camera is not None:
        require(actor, Right.CAMERA_WATCH)
        await reachable(change.ctx, change.db, actor, camera)
    if (before := change.row.stage) is not None:
        change.record(events.ConferenceUnstaged(by=actor.id, camera=before), change.row.unit)
        change.notices.append({"media_gone": stage_key(change.row.id)})
    change.row.stage = camera
    if camera is not None:
        change.record(events.ConferenceStaged(by=actor.id, camera=camera), change.row.unit)
        if change.row.incident is not None:
            await incidents.add_camera(change.db, change.row.incident, camera, at=change.now)


async def _check(ctx: Context, actor: Actor, units: Sequence[UnitId], camera: CameraId | None) -> None:
    if not 1 <= len(units) <= MOST_UNITS:
        raise Invalid("conference.unit", f"call 1 to {MOST_UNITS} units", field="units")
    async with ctx.reading() as db:
        known = await tree(ctx, db)
        for unit in units:
            if unit not in known:
                raise Invalid("conference.unit", f"no such unit: {unit}", field="units")
        if camera is not None:
            require(actor, Right.CAMERA_WATCH)
            await reachable(ctx, db, actor, camera)


async def _matter(
    ctx: Context,
    db: AsyncSession,
    actor: Actor,
    *,
    title: str,
    incident: IncidentId | None,
    alert: AlertId | None,
    run: RunId | None,
) -> tuple[IncidentId | None, RunId | None]:
    """The incident that it is about, opened where an alert has none yet; and its drill."""
    if alert is not None:
        cause = await alerts.reachable(ctx, db, actor, alert)
        if cause.incident is None:
            require(actor, Right.INCIDENT_HANDLE)
            matter = await incidents.open_in(ctx, db, actor, title=title, severity=cause.severity, alert=alert, run=run)
            return matter.id, matter.run
        incident = cause.incident
    if incident is None:
        return None, None if run is None else (await incidents.running_drill(db, run)).id
    matter = await incidents.reachable(ctx, db, actor, incident, lock=True)
    if matter.state != IncidentState.OPEN:
        raise Conflict("incident.closed", "this incident is closed")
    return matter.id, matter.run


def _conference(actor: Actor, title: str, incident: IncidentId | None, run: RunId | None, now: int) -> ConferenceRow:
    return ConferenceRow(
        id=new_id("conf", now_ms=now),
        title=title,
        incident=incident,
        run=run,
        unit=actor.unit,
        opened_by=actor.id,
        opened_at=now,
        ended_at=None,
        stage=None,
    )


def _ringing_at(actor: Actor, members: Sequence[MemberRow]) -> MemberRow:
    """The call that rings at this person's unit. Raises Conflict."""
    mine = [member for member in members if member.unit == actor.unit and not member.host]
    for member in mine:
        if member.state == MemberState.RINGING:
            return member
    if any(MemberState(member.state) in ACTIVE for member in mine):
        raise Conflict("conference.answered_elsewhere", "somebody of your unit has answered")
    raise Conflict("conference.not_ringing", "nothing rings for your unit")


def _left_by(actor: Actor, members: Sequence[MemberRow]) -> MemberRow | None:
    """The seat that this person left, unless the person is in again or the unit is called anew."""
    mine = [member for member in members if member.user == actor.id]
    if any(MemberState(member.state) in ACTIVE for member in mine):
        return None
    return next((member for member in mine if member.state == MemberState.LEFT), None)


def _need_host(actor: Actor, change: Change) -> None:
    member = next((m for m in change.members if m.host and m.user == actor.id), None)
    if member is None or not holds(actor, Right.CONFERENCE_OPEN):
        raise Forbidden("conference.not_host", "only the host may do this")
