"""Sessions of viewers and publishers: who may have which stream, on which relay; and taking them away again.

Every session is noted in Redis under its id, and under what it hangs on: the sign-in, the conference member, the
stage, the camera. When one of these goes, its sessions end. The owner that a relay is told is the sign-in, so that
signing out of one browser leaves the others alone.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from prometheus_client import Counter

from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import AnswerOut, FragmentIn, NodeInfo, OfferIn
from hub.bus.relays import Relays, TransportStream
from hub.domain.errors import Conflict, HubError, NotFound, Unauthenticated, Unavailable, Unconditional
from hub.domain.events import CameraViewed
from hub.domain.ids import CameraId, ConferenceId, MemberId, StreamId
from hub.domain.roles import Right
from hub.services import conferences
from hub.services.access import require
from hub.services.accounts import SignedInAs
from hub.services.cameras import reachable
from hub.services.conference_change import stage_key
from hub.services.conference_view import get_conference
from hub.services.context import Context
from hub.services.ice_servers import ice_servers
from hub.services.live import publish_live
from hub.services.media_notes import MediaNotes, Noted
from hub.services.placements import Placements
from hub.services.talking import talk_ended
from hub.store import conferences as conference_store
from hub.store import people, signins
from hub.store.outbox import record
from hub.store.tables import CameraRow

log: Final = structlog.get_logger(__name__)
MOVED: Final = Counter("sharpeyes_media_moved_total", "Sessions told to come again elsewhere", ("reason",))

MOVES_TOGETHER: Final = 100
SIGN_IN: Final = "s-"


@dataclass(frozen=True, slots=True)
class Answered:
    """A new session: its id, the relay's answer, and TURN servers as ``Link`` headers."""

    session: str
    sdp: str
    links: tuple[str, ...] = ()


class Media:
    """One per api process."""

    def __init__(self, ctx: Context, placements: Placements, relays: Relays) -> None:
        self._ctx = ctx
        self.placements = placements
        self.relays = relays
        self._notes = MediaNotes(ctx)
        self._owners: set[str] = set()  # sign-ins that opened media here: known even when Redis has forgotten

    # opening --------------------------------------------------------------------------------------

    async def watch_camera(self, who: SignedInAs, camera: CameraId, sdp: str, *, width: int | None = None) -> Answered:
        """A viewer of a camera within reach; recorded as ``camera.viewed``.

        Raises NotFound (``camera.unknown``), Unavailable (``relay.none``), Invalid (``sdp.invalid`` …).
        """
        require(who.actor, Right.CAMERA_WATCH)
        async with self._ctx.reading() as db:
            await reachable(self._ctx, db, who.actor, camera)
        answer = await self._watch_camera(who, camera, self._offer(who, sdp, camera, width), keys=(camera,))
        await self.viewed(who, camera, None)
        return answer

    async def read_camera(self, who: SignedInAs, camera: CameraId) -> TransportStream:
        """A camera as MPEG-TS, for players and other platforms; recorded as ``camera.viewed``. Close what is returned.

        It ends like any session: with the sign-in, the camera, or the right. Raises what ``watch_camera`` raises, and
        Unavailable (``stream.not_live``) when no picture comes.
        """
        require(who.actor, Right.CAMERA_WATCH)
        async with self._ctx.reading() as db:
            await reachable(self._ctx, db, who.actor, camera)
        owner = owner_key(who.session)
        for last in (False, True):
            node = await self.placements.open_camera(camera, anew=last)
            try:
                opened = await self.relays.transport_stream(node.url, camera, owner=owner)
                break
            except NotFound:  # the relay has forgotten it
                if last:
                    raise
            except Unavailable as error:
                if last or error.id != "relay.none":
                    raise
                self.placements.suspect(node)
        try:
            await self._note(who, node, camera, AnswerOut(sdp="", session=opened.session), keys=(camera,))
            await self.viewed(who, camera, None)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def watch_stage(
        self, who: SignedInAs, conference: ConferenceId, sdp: str, *, width: int | None = None
    ) -> Answered:
        """A viewer of the camera on the stage: members see it even where the camera is out of their reach.

        Raises NotFound, Conflict (``conference.not_in``, ``conference.ended``, ``conference.stage_empty``).
        """
        member = await conferences.publisher(self._ctx, who.actor, conference)
        camera = (await get_conference(self._ctx, who.actor, conference)).stage
        if camera is None:
            raise Conflict("conference.stage_empty", "no camera is on the stage")
        offer = self._offer(who, sdp, camera, width)
        answer = await self._watch_camera(who, camera, offer, keys=(camera, member.id, stage_key(conference)))
        await self.viewed(who, camera, conference)
        return answer

    async def watch_member(
        self, who: SignedInAs, conference: ConferenceId, member: MemberId, sdp: str, *, width: int | None = None
    ) -> Answered:
        """A viewer of another member. Raises NotFound (``conference.member_unknown``), Conflict (not publishing)."""
        mine = await conferences.publisher(self._ctx, who.actor, conference)
        seen = await get_conference(self._ctx, who.actor, conference)
        other = next((found for found in seen.members if found.id == member), None)
        if other is None:
            raise NotFound("conference.member_unknown", "no such member")
        try:
            node, out = await self._watch(member, self._offer(who, sdp, mine.id, width))
        except NotFound:
            raise Conflict("conference.not_publishing", "this member sends nothing yet") from None
        return await self._note(who, node, member, out, keys=(mine.id,))

    async def publish(self, who: SignedInAs, conference: ConferenceId, sdp: str) -> Answered:
        """A member's own camera and microphone. Raises NotFound, Conflict, Unavailable (``relay.none``), Invalid."""
        mine = await conferences.publisher(self._ctx, who.actor, conference)
        for last in (False, True):
            node = await self.placements.place(mine.id, anew=True)
            try:
                out = await self.relays.whip(node.url, mine.id, self._offer(who, sdp, mine.id))
                break
            except Unavailable as error:
                if error.id == "relay.none":
                    self.placements.suspect(node)
                if last:
                    raise
        with contextlib.suppress(*BUS_ERRORS):  # noting the session fails then, too, and says so
            await self._notes.publishes(mine.id, out.session)
        return await self._note(who, node, mine.id, out, keys=(mine.id,), publishes=True)

    # streams that are no camera's and no member's: playbacks, talks ----------------------------------------

    async def watch_stream(
        self, who: SignedInAs, stream: StreamId, sdp: str, *, keys: Sequence[str], width: int | None = None
    ) -> Answered:
        """A viewer of a stream that somebody has opened; the caller has asked whether this person may."""
        node, out = await self._watch(stream, self._offer(who, sdp, stream, width))
        return await self._note(who, node, stream, out, keys=keys)

    async def read_stream(
        self, who: SignedInAs, node: NodeInfo, stream: StreamId, *, keys: Sequence[str]
    ) -> TransportStream:
        """The same as MPEG-TS. Close what is returned."""
        opened = await self.relays.transport_stream(node.url, stream, owner=owner_key(who.session))
        try:
            await self._note(who, node, stream, AnswerOut(sdp="", session=opened.session), keys=keys)
        except BaseException:
            await opened.close()
            raise
        return opened

    async def publish_stream(
        self, who: SignedInAs, stream: StreamId, sdp: str, *, keys: Sequence[str]
    ) -> tuple[Answered, NodeInfo]:
        """Publish a stream of one's own, and on which relay."""
        node = await self.placements.place(stream, anew=True)
        out = await self.relays.whip(node.url, stream, self._offer(who, sdp, stream))
        return await self._note(who, node, stream, out, keys=keys, publishes=True), node

    async def _watch_camera(
        self, who: SignedInAs, camera: CameraId, offer: OfferIn, *, keys: Sequence[str]
    ) -> Answered:
        node, out = await self._watch(camera, offer)
        return await self._note(who, node, camera, out, keys=keys)

    async def _watch(self, stream: StreamId, offer: OfferIn) -> tuple[NodeInfo, AnswerOut]:
        """A viewer's session where the stream is, or where a leg brings it. A relay that fails is passed over once."""
        node = await self.placements.viewing(stream)
        try:
            return node, await self.relays.whep(node.url, stream, offer)
        except NotFound:  # the relay has forgotten it
            node = await self.placements.viewing(stream, anew=True)
        except Unavailable as error:
            if error.id == "relay.none":
                self.placements.suspect(node)
            elif not error.id.startswith("source."):  # a leg that does not come says why
                raise
            node = await self.placements.viewing(stream, anew=True)
        return node, await self.relays.whep(node.url, stream, offer)

    def _offer(self, who: SignedInAs, sdp: str, label: str, width: int | None = None) -> OfferIn:
        return OfferIn(sdp=sdp, owner=owner_key(who.session), label=label, width=width, zone=who.zone)

    async def _note(
        self,
        who: SignedInAs,
        node: NodeInfo,
        stream: StreamId,
        out: AnswerOut,
        *,
        keys: Sequence[str],
        publishes: bool = False,
    ) -> Answered:
        owner = owner_key(who.session)
        hangs_on = (owner, node.id, *keys)
        self._owners.add(owner)
        noted = Noted(node=node.id, url=node.url, owner=owner, stream=stream, publishes=publishes, keys=hangs_on)
        try:
            await self._notes.put(out.session, noted)
        except Unavailable:  # a session that cannot be taken away again is not given
            await self.relays.end_session(node.url, out.session)
            raise
        if not await self._still_signed_in(who):  # signed out while the relay answered
            await self._end(out.session, noted)
            raise Unauthenticated("session.none", "nobody is signed in any more")
        return Answered(out.session, out.sdp, tuple(ice_servers(self._ctx, who.actor).links()))

    async def note_subscriber(
        self,
        who: SignedInAs,
        node: NodeInfo,
        session: str,
        before: frozenset[str],
        now: frozenset[str],
        streams: Iterable[str] = (),
    ) -> None:
        """Note what a subscriber's tracks hang on now, and what they are of.

        Raises Unavailable (``bus.lost``), Unauthenticated.
        """
        owner = owner_key(who.session)
        self._owners.add(owner)
        keys = (owner, node.id, *sorted(now))
        noted = Noted(
            node=node.id, url=node.url, owner=owner, stream="", publishes=False, keys=keys, subscriber=True,
            streams=tuple(streams),
        )  # fmt: skip
        await self._notes.put(session, noted, no_more=before - now)  # what cannot be taken away again is not given
        if not await self._still_signed_in(who):
            await self._end(session, noted)
            raise Unauthenticated("session.none", "nobody is signed in any more")

    async def subscriber_of(self, who: SignedInAs, session: str) -> NodeInfo | None:
        """The live relay of a subscriber's connection, where it is this sign-in's own."""
        noted = await self._notes.get(session)
        if noted is None or not noted.subscriber or noted.owner != owner_key(who.session):
            return None
        return next((node for node in await self.placements.relays_alive() if node.id == noted.node), None)

    async def end_subscriber(self, session: str) -> None:
        """The page has no use for this connection any more."""
        if (noted := await self._notes.get(session)) is not None:
            await self._end(session, noted)

    async def _still_signed_in(self, who: SignedInAs) -> bool:
        async with self._ctx.reading() as db:
            return await people.session_user(db, who.session) is not None

    async def viewed(self, who: SignedInAs, camera: CameraId, conference: ConferenceId | None) -> None:
        """Record that somebody watches a camera."""
        async with self._ctx.sessions.begin() as db:
            row = await db.get_one(CameraRow, camera)
            event = CameraViewed(by=who.actor.id, conference=conference)
            record(db, event, unit=row.unit, ref=camera, at=self._ctx.clock())

    # ending ---------------------------------------------------------------------------------------

    async def end(self, who: SignedInAs, session: str) -> None:
        """End one of one's own sessions; one that has ended is as good. Raises NotFound for those of others."""
        noted = await self._notes.get(session)
        if noted is None:
            return  # the relay ended it first, or nobody ever had it: a page that closes need not care
        if noted.owner != owner_key(who.session):
            raise NotFound("media.session_unknown", "no such session")
        await self._end(session, noted)

    async def forget(self, session: str) -> None:
        """The relay says that this session has ended."""
        if (noted := await self._notes.get(session)) is not None:
            await self._unnote(session, noted)

    async def patch(self, who: SignedInAs, session: str, fragment: str, match: str | None) -> str:
        """Trickle into one of one's own sessions, or begin its ICE anew: the relay's fragment, empty for the former.

        ``match`` is If-Match: the entity tag of the ICE session, or ``*`` to begin anew (RFC 9725 §4.3.1).
        Raises NotFound (``media.session_unknown``), Unconditional (``media.no_condition``), Outdated
        (``media.outdated``), Invalid (``sdp.invalid``), Unavailable (``relay.none``).
        """
        noted = await self._notes.get(session)
        if noted is None or noted.owner != owner_key(who.session) or noted.subscriber:
            raise NotFound("media.session_unknown", "no such session")
        if not match:
            raise Unconditional("media.no_condition", "If-Match has to name the ICE session: its entity tag, or *")
        body = FragmentIn(sdp=fragment, owner=noted.owner, match=match)
        try:
            return (await self.relays.patch(noted.url, session, body)).sdp
        except NotFound:
            raise NotFound("media.session_unknown", "no such session") from None

    async def gone(self, key: str) -> None:
        """End every session that hangs on this: a member, a stage, a camera, a sign-in."""
        try:
            sessions = await self._notes.under(key)
        except Unavailable as error:
            log.warning("media.not_withdrawn", key=key, error=error.message)
            return
        for session in sessions:
            if (noted := await self._notes.get(session)) is None:
                continue
            if noted.subscriber and key != noted.owner:
                with contextlib.suppress(Unavailable):  # a relay that is gone sends nothing
                    await self.relays.withdraw(noted.url, session, key)
            else:
                await self._end(session, noted)

    async def sessions_at(self, node: str) -> list[Noted]:
        """The sessions that a relay serves, as far as they are noted. Raises Unavailable (``bus.lost``)."""
        return [noted for _, noted in await self._noted_at(node)]

    async def _noted_at(self, node: str) -> list[tuple[str, Noted]]:
        found = [(id, await self._notes.get(id)) for id in await self._notes.under(node)]
        return [(id, noted) for id, noted in found if noted is not None]

    async def move_off(self, node: str, reason: Literal["drain", "lost"]) -> int:
        """Tell everybody whom this relay serves to come again: elsewhere. Returns how many were told."""
        there = await self._noted_at(node)
        for at in range(0, len(there), MOVES_TOGETHER):
            moves = [[noted.owner, id] for id, noted in there[at : at + MOVES_TOGETHER]]
            await publish_live(self._ctx, {"moves": moves, "reason": reason})
        MOVED.labels(reason).inc(len(there))
        return len(there)

    async def signed_out(self, session: str) -> None:
        """End every session of a sign-in, on all relays, noted or not."""
        await self._withdraw(owner_key(session))

    async def _withdraw(self, owner: str) -> None:
        await self.gone(owner)
        try:
            alive = await self.placements.relays_alive()
        except Unavailable:
            return

        async def tell(node: NodeInfo) -> None:
            try:
                await self.relays.end_owner(node.url, owner)
            except HubError as error:
                log.warning("media.not_withdrawn", relay=node.id, error=error.id)

        self._owners.discard(owner)
        async with asyncio.TaskGroup() as group:
            for node in alive:
                group.create_task(tell(node), name=f"withdraw/{node.id}")

    async def dropped_stream(self, stream: StreamId) -> None:
        """A member's stream is over: the relay forgets it, and its viewers' sessions end."""
        await self.placements.drop(stream)

    async def audit(self) -> int:
        """End sessions whose sign-in or member is gone, in case nobody told us; return how many of these were."""
        owners, members = self._owners.union(await self._notes.keys(SIGN_IN)), await self._notes.keys("mem-")
        if not owners and not members:
            return 0
        async with self._ctx.reading() as db:
            valid = {owner_key(key) for key in await signins.valid(db, self._ctx.clock())}
            present = {member.id for member in await conference_store.present(db)}
        gone, left = owners - valid, set(members) - present
        for owner in gone:
            await self._withdraw(owner)
        for member in left:
            await self.gone(member)
        return len(gone) + len(left)

    async def tend_members(self) -> None:
        """Note members as silent whose relay has died: it could not say so."""
        async with self._ctx.reading() as db:
            publishing = [member.id for member in await conference_store.present(db) if member.publishing]
        for member in publishing:
            if await self.placements.where(member) is None:
                with contextlib.suppress(NotFound, Conflict):
                    await conferences.mark_silent(self._ctx, member)

    async def _end(self, session: str, noted: Noted) -> None:
        try:
            if await self._runs(noted.node):  # one that hangs would keep us waiting for nothing
                await self.relays.end_session(noted.url, session)
        except HubError as error:  # the relay is gone, and the session with it
            log.info("media.end_failed", relay=noted.node, error=error.id)
        await self._unnote(session, noted)

    async def _runs(self, node: str) -> bool:
        """Whether a relay is there, as far as anybody knows."""
        try:
            return any(each.id == node for each in await self.placements.relays_alive())
        except Unavailable:
            return True

    async def _unnote(self, session: str, noted: Noted) -> None:
        """Forget it; a member who published by it is silent, unless the page has loaded again and publishes anew."""
        gone = await self._notes.remove(session, noted)
        if noted.stream.startswith("talk-"):
            for camera in noted.keys:
                await talk_ended(self._ctx, camera, noted.stream)
        if gone and noted.publishes and await self._notes.published(noted.stream, session):
            with contextlib.suppress(NotFound, Conflict):  # the conference has ended
                await conferences.mark_silent(self._ctx, noted.stream)


def owner_key(session: str) -> str:
    """The name of a sign-in as relays know it: enough of its hash to be its own, useless as a key."""
    return SIGN_IN + session[:32]
