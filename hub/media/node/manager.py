"""All streams of one relay: pulled cameras by configuration, members by WHIP; and their sessions."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from hub.bus.relay_wire import (
    LEG_OWNER,
    AnswerOut,
    FragmentIn,
    FragmentOut,
    OfferIn,
    SessionReport,
    StreamConfig,
    StreamState,
)
from hub.domain.clock import Clock
from hub.domain.errors import Conflict, NotFound, TooMany, Unavailable
from hub.domain.gb_url import parse_gb_url
from hub.domain.source_url import check_url
from hub.media.node.feed import Feed
from hub.media.node.gb_out import PsOuts, Talks
from hub.media.node.legs import Legs
from hub.media.node.outbox import Outbox
from hub.media.node.outlets import Outlet, Outlets
from hub.media.node.subscribers import Subscribers
from hub.media.peer import negotiate
from hub.media.peer.negotiate import offer_of
from hub.media.peer.server import PeerServer
from hub.media.sources.leg import PUSHED
from hub.media.stream import Stream
from hub.media.taps.pictures import Shelf

log: Final = structlog.get_logger(__name__)

MAX_STREAMS: Final = 4_096
MAX_MEMBERS: Final = 512
OPENING_S: Final = 3.0  # that another relay, or the viewers of a leg, wait for a camera
KNOWN_S: Final = 2.5  # that a viewer waits for a camera to say what it sends, where that decides what he gets
MAX_SESSIONS_OF_ONE: Final = 64  # a wall of sixteen and the largest conference, with room to load the page again


@dataclass
class Member:
    """A conference member's stream: it lives as long as somebody publishes it."""

    stream: Stream
    session: str = ""
    live: bool = False
    since: int = 0


class Streams:
    """The relay's one table of streams. Use within its ``group``, which owns every camera's task."""

    def __init__(
        self,
        *,
        node: str,
        clock: Clock,
        peers: PeerServer,
        shelf: Shelf,
        make_feed: Callable[[str, StreamConfig, Callable[[], None]], Feed],
        group: asyncio.TaskGroup,
        legs: Legs,
    ) -> None:
        self.shelf = shelf
        self.legs = legs
        self.draining = False
        self._node = node
        self._clock = clock
        self._peers = peers
        self._make_feed = make_feed
        self._group = group
        self._feeds: dict[str, Feed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._members: dict[str, Member] = {}
        self._waiters = itertools.count()
        self.outbox: Outbox | None = None
        self.subscribers = Subscribers(
            peers, self.find, lambda session, owner, what, why: self._report("", session, owner, what, why)
        )
        self.talks: Talks | None = None  # set by the relay, before anything is served
        self.ps: PsOuts | None = None
        self.outlets = Outlets(lambda id, session, owner, why: self._report(id, session, owner, "ended", why))

    # desired state ----------------------------------------------------------------------------------

    def put(self, id: str, config: StreamConfig) -> None:
        """Want this camera so; again the same is nothing.

        Raises Invalid ``camera.url_refused``, TooMany ``relay.full``, Conflict ``stream.is_member``.
        """
        if config.kind == "gb28181":
            for url in (config.url, config.sub_url):
                if url is not None:
                    parse_gb_url(url)
        elif config.kind != "leg":
            for url in (config.url, config.sub_url):  # the folder of files is checked at each opening
                if url is not None:
                    check_url(url, files=True)
        if (feed := self._feeds.get(id)) is not None:
            feed.reconfigure(config)
            self._expect(feed)
            return
        if id in self._members:
            raise Conflict("stream.is_member", "a conference member has this id")
        if len(self._feeds) >= MAX_STREAMS:
            raise TooMany("relay.full", f"this relay keeps {MAX_STREAMS} streams")
        feed = self._feeds[id] = self._make_feed(id, config, lambda: self._changed(id))
        self._tasks[id] = self._group.create_task(feed.run(), name=f"{id}/feed")
        self._expect(feed)
        self._changed(id)

    def _expect(self, feed: Feed) -> None:
        """Another relay has been told to publish this stream here."""
        if feed.config.kind == "leg" and feed.config.url.startswith(PUSHED):
            self.legs.expect(feed.stream)

    def push(self, id: str, node: str, base: str) -> None:
        """Publish a stream at another relay until nobody there wants it.

        Raises NotFound ``stream.unknown``, Conflict ``stream.is_leg``, ``relay.full``.
        """
        if (feed := self._feeds.get(id)) is not None:
            if feed.config.kind == "leg":
                raise _is_leg()
            self.legs.push(feed.stream, node, base, asks=False, ready=lambda: feed.ready(OPENING_S))
        elif (member := self._members.get(id)) is not None:
            self.legs.push(member.stream, node, base, asks=True, ready=member.stream.described.wait)
        else:
            raise _unknown(id)

    async def delete(self, id: str) -> None:
        """Forget a stream and end its sessions. Raises NotFound ``stream.unknown``."""
        if (feed := self._feeds.pop(id, None)) is not None:
            task = self._tasks.pop(id)
            task.cancel()
            await asyncio.wait([task])
            self.legs.forget(id)
            feed.stream.end()  # a task that was cancelled before its first step ends nothing by itself
            self.shelf.forget(id)
        elif (member := self._members.pop(id, None)) is not None:
            self.legs.forget(id)
            member.stream.end()
            if member.session:
                await self._peers.end(member.session, "deleted")
        else:
            raise _unknown(id)
        if self.outbox is not None:
            origin = feed.config.url if feed is not None and feed.config.kind == "leg" else None
            last = StreamState(stream=id, node=self._node, state="idle", since=self._clock(), origin=origin)
            self.outbox.gone(last)

    def states(self) -> list[StreamState]:
        """Every stream's state."""
        return [feed.state(self._node) for feed in self._feeds.values()] + [
            self._member_state(member) for member in self._members.values()
        ]

    def state(self, id: str) -> StreamState:
        """One stream's state. Raises NotFound ``stream.unknown``."""
        if (feed := self._feeds.get(id)) is not None:
            return feed.state(self._node)
        if (member := self._members.get(id)) is not None:
            return self._member_state(member)
        raise _unknown(id)

    def find(self, id: str) -> Stream | None:
        """A camera's or a member's stream."""
        if (feed := self._feeds.get(id)) is not None:
            return feed.stream
        return None if (member := self._members.get(id)) is None else member.stream

    @property
    def feeds(self) -> list[Feed]:
        """The pulled cameras."""
        return list(self._feeds.values())

    # sessions ---------------------------------------------------------------------------------------

    async def whep(self, id: str, offer: OfferIn) -> AnswerOut:
        """Let a viewer in; waits for no picture, but, for a short while, for what the source says that it carries.

        Raises NotFound ``stream.unknown``, TooMany ``relay.full``, Conflict ``stream.is_leg``, what the peers raise.
        """
        relay = offer.owner.startswith(LEG_OWNER)
        if (feed := self._feeds.get(id)) is not None:
            stream = feed.stream
            if relay and feed.config.kind == "leg":
                raise _is_leg()
            if relay or feed.config.kind == "leg":
                await self._until_described(feed)
            elif not stream.known and negotiate.chooses(offer_of(offer.sdp)):
                self.need_room(offer.owner)
                await self._until_known(feed)
        elif (member := self._members.get(id)) is not None:
            stream = member.stream
        else:
            raise _unknown(id)
        if not relay:
            self.need_room(offer.owner)
        answer = await self._peers.whep(
            stream,
            offer.sdp,
            owner=offer.owner,
            label=offer.label,
            zone=offer.zone,
            width=offer.width,
            on_end=self._ended(id, offer.owner),
            each_layer=relay,
            low=id in self._members,
        )
        return AnswerOut(sdp=answer.sdp, session=answer.session_id, asks=id in self._members)

    async def _until_described(self, feed: Feed) -> None:
        """Have the source opened, so that it is known what it carries: a leg is agreed upon once for many viewers.

        Raises Unavailable with the source's own id where a leg cannot be had.
        """
        if feed.flowing.is_set() or (feed.config.kind == "leg" and feed.stream.described.is_set()):
            return
        with self._opening(feed):
            if feed.config.kind == "leg":
                await feed.described(OPENING_S)
            else:
                await feed.ready(OPENING_S)

    async def _until_known(self, feed: Feed) -> None:
        """Have the source opened, so that a viewer is answered by what it brings and not by what is usual.

        One that fails, or says nothing for so long, is taken for a usual one: the viewer waits for its picture then.
        """
        with self._opening(feed):
            await feed.known(KNOWN_S)

    @contextlib.contextmanager
    def _opening(self, feed: Feed) -> Iterator[None]:
        """Somebody wants the source, and not its pictures yet."""
        name = f"-{next(self._waiters)}"
        feed.stream.watch(name, hears=False)
        try:
            yield
        finally:
            feed.stream.release(name)

    async def whip(self, id: str, offer: OfferIn) -> AnswerOut:
        """Let a publisher in; the stream comes into being. Raises Conflict ``stream.is_camera``, TooMany."""
        if (feed := self._feeds.get(id)) is not None:
            if offer.owner.startswith(LEG_OWNER):
                return await self.legs.land(feed.stream, feed.config, offer)
            if feed.config.kind != "leg":
                raise Conflict("stream.is_camera", "a camera is pulled, not published")
        self.need_room(offer.owner)
        member = self._members.get(id)
        fresh = member is None
        if member is None:
            if len(self._members) >= MAX_MEMBERS:
                raise TooMany("relay.full", f"this relay takes {MAX_MEMBERS} publishers")
            offer_of(offer.sdp)  # before anything is taken down
            stream = await self._from_leg(id) or Stream(id, clock=self._clock, on_change=lambda: self._changed(id))
            member = self._members[id] = Member(stream, since=self._clock())
        try:
            answer = await self._peers.whip(
                member.stream,
                offer.sdp,
                owner=offer.owner,
                label=offer.label,
                zone=offer.zone,
                on_media=lambda session: self._first_media(id, session, offer.owner),
                on_end=self._ended(id, offer.owner),
            )
        except BaseException:
            if fresh and self._members.get(id) is member:
                del self._members[id]
                member.stream.end()
            raise
        member.session = answer.session_id
        self._changed(id)
        return AnswerOut(sdp=answer.sdp, session=answer.session_id)

    async def _from_leg(self, id: str) -> Stream | None:
        """A member whom we had by a leg comes to us: its viewers here stay, on the same stream."""
        feed = self._feeds.pop(id, None)
        if feed is None:
            return None
        feed.given_away = True
        task = self._tasks.pop(id)
        task.cancel()
        await asyncio.wait([task])
        self.legs.forget(id)
        return feed.stream

    def need_room(self, owner: str) -> None:
        """Nobody takes the places of all others. Raises TooMany ``relay.full``."""
        if sum(session.owner == owner for session in self._peers.sessions) >= MAX_SESSIONS_OF_ONE:
            raise TooMany("relay.full", f"one sign-in has at most {MAX_SESSIONS_OF_ONE} sessions on a relay")

    def outlet(self, id: str, owner: str) -> Outlet:
        """Let a reader over HTTP in. Raises NotFound ``stream.unknown``, TooMany ``relay.full``."""
        if (feed := self._feeds.get(id)) is None:
            raise _unknown(id)
        return self.outlets.open(feed.stream, owner)

    def patch(self, session: str, fragment: FragmentIn) -> FragmentOut:
        """Trickle, or begin ICE anew. Raises NotFound ``session.unknown``, Invalid ``sdp.invalid``, Outdated."""
        if not any(each.id == session and each.owner == fragment.owner for each in self._peers.sessions):
            raise NotFound("session.unknown", "there is no such session")
        return FragmentOut(sdp=self._peers.patch(session, fragment.sdp, match=fragment.match))

    def stream(self, id: str) -> Stream:
        """A stream by its id, camera or member. Raises NotFound ``stream.unknown``."""
        if (found := self.find(id)) is None:
            raise _unknown(id)
        return found

    @property
    def need_talks(self) -> Talks:
        """The talks. Raises Unavailable ``gb28181.none``."""
        if self.talks is None:
            raise Unavailable("gb28181.none", "this relay carries no talks")
        return self.talks

    @property
    def need_ps(self) -> PsOuts:
        """What goes to platforms above us. Raises Unavailable ``gb28181.none``."""
        if self.ps is None:
            raise Unavailable("gb28181.none", "this relay sends nothing to platforms")
        return self.ps

    async def end_session(self, session: str) -> None:
        """Raises NotFound ``session.unknown``."""
        if self.outlets.close(session, "deleted") or (self.ps is not None and self.ps.close(session, "deleted")):
            return
        if not await self._peers.end(session, "deleted"):
            raise NotFound("session.unknown", "there is no such session")

    async def end_owner(self, owner: str) -> int:
        """End everything of a person; returns how many sessions there were."""
        count = self.outlets.close_owner(owner) + await self._peers.end_owner(owner)
        if self.ps is not None:
            count += self.ps.close_owner(owner)
        return count + (await self.talks.close_owner(owner) if self.talks is not None else 0)

    # what happens -----------------------------------------------------------------------------------

    def _first_media(self, id: str, session: str, owner: str) -> None:
        if (member := self._members.get(id)) is not None:
            member.live, member.since = True, self._clock()
            self._changed(id)
        self._report(id, session, owner, "media", "")

    def _ended(self, id: str, owner: str) -> Callable[[str, str], None]:
        def ended(session: str, reason: str) -> None:
            self._report(id, session, owner, "ended", reason)
            member = self._members.get(id)
            if member is not None and member.session == session and reason != "replaced":
                del self._members[id]
                self.legs.forget(id)
                member.stream.end()
                if self.outbox is not None:
                    self.outbox.gone(StreamState(stream=id, node=self._node, state="idle", since=self._clock()))

        return ended

    def report_end(self, id: str, session: str, owner: str, reason: str) -> None:
        """Something that left this relay is over."""
        self._report(id, session, owner, "ended", reason)

    def _report(self, id: str, session: str, owner: str, what: str, reason: str) -> None:
        if self.outbox is not None:
            report = {"stream": id, "session": session, "owner": owner, "what": what, "reason": reason}
            self.outbox.report(SessionReport.model_validate(report | {"at": self._clock()}))

    def _changed(self, id: str) -> None:
        if self.outbox is not None:
            self.outbox.changed(id)

    def _member_state(self, member: Member) -> StreamState:
        return StreamState(
            stream=member.stream.id,
            node=self._node,
            state="live" if member.live else "connecting",
            codec=member.stream.codec,
            viewers=member.stream.viewers,
            since=member.since,
        )


def _is_leg() -> Conflict:
    return Conflict("stream.is_leg", "this relay has the stream from another one")


def _unknown(id: str) -> NotFound:
    return NotFound("stream.unknown", f"this relay knows no stream {id}")
