"""One media connection a page: which of its wishes are granted, which relay carries them, what it is told.

Each track is authorised by object, as WHEP is, and hangs on what it was granted for. All of a page's streams come
from its home relay. The page says what it wants (``signaling.wire``); one task a page brings that about, newest wish
last, so that a relay that is slow keeps nobody's socket waiting.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import structlog

from hub.bus.relay_wire import NodeInfo, SubscribeIn, SubscriberAnswer, SubscriberOut, TracksIn
from hub.domain.errors import Conflict, HubError, NotFound, Unauthenticated, Unavailable
from hub.services.accounts import SignedInAs
from hub.services.context import Context
from hub.services.media import Media, owner_key
from hub.services.media_grants import Granted, Shown, grant, wish_of
from signaling import wire

log: Final = structlog.get_logger(__name__)

_Layer: TypeAlias = tuple[int | None, int | None]
WAITING: Final = frozenset({"conference.not_publishing", "conference.stage_empty"})


@dataclass(slots=True)
class _Connection:
    """At a relay. ``brought``: streams that it was told of."""

    session: str
    node: NodeInfo
    brought: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)  # it said that it knows nothing of them
    keys: frozenset[str] = frozenset()  # what is noted of it
    streams: frozenset[str] = frozenset()
    adopted: bool = False  # an offer that is out may have been lost with the socket of before


class Subscription:
    """One page's. ``tell`` queues a message to it; ``run`` is to be a task of whoever owns the socket."""

    def __init__(
        self, ctx: Context, media: Media, who: Callable[[], SignedInAs], tell: Callable[[wire.Wire], None]
    ) -> None:
        self._ctx = ctx
        self._who = who
        self._tell = tell
        self._media = media
        self._wanted: dict[str, wire.WantedTrack] = {}
        self._granted: dict[str, Granted] = {}
        self._refused: dict[str, tuple[str, str]] = {}  # key -> state, error
        self._told: dict[str, tuple[str, str | None, _Layer]] = {}
        self._lived: set[str] = set()  # what played once ends, what never did is refused
        self._viewed: set[str] = set()  # grants that are recorded
        self._carried: dict[str, list[Shown]] = {}  # what the relay was last told of
        self._connection: _Connection | None = None
        self._adopt: str | None = None
        self._h265 = False
        self._anew = False
        self._restart = False
        self._due = False
        self._news = 0  # what was heard that may change who may see what
        self._answer: wire.MediaAnswer | None = None
        self._wake = asyncio.Event()

    # what the page says ------------------------------------------------------------------------------

    def subscribe(self, message: wire.MediaSubscribe) -> None:
        """Take its list; later lists replace earlier ones that were not looked at yet."""
        wanted = {track.key: track for track in message.tracks}
        for key, before in self._wanted.items():
            if (now := wanted.get(key)) is None or _source(now) != _source(before):
                self._granted.pop(key, None)
                self._refused.pop(key, None)
                self._told.pop(key, None)
                self._lived.discard(key)
        for key in [key for key, (state, _) in self._refused.items() if state != "live"]:
            self._refused.pop(key)  # asked for again: looked at again
        self._wanted, self._h265 = wanted, message.h265
        self._news += 1
        # A page that wants nothing lets its connection go: what it wants next comes by another one.
        self._anew = self._anew or message.anew or not message.tracks
        self._adopt = message.session
        self._again()

    def answered(self, message: wire.MediaAnswer) -> None:
        """Its answer to the newest offer."""
        self._answer = message
        self._wake.set()

    def restart(self) -> None:
        """It hears nothing any more."""
        self._restart = True
        self._wake.set()

    # what the hub says -------------------------------------------------------------------------------

    def gone(self, key: str) -> None:
        """A right may have ended: every track that hangs on this is authorised again."""
        if key == owner_key(self._who().session):
            return
        self._forget(name for name, granted in self._granted.items() if key in granted.keys)

    def conference(self, id: str) -> None:
        """A conference changed: who publishes, what is on its stage, who is in it."""
        self._forget(name for name, track in self._wanted.items() if track.conference == id)

    def _forget(self, names: Iterable[str]) -> None:
        """Authorise these again, and whatever is being authorised at this moment: that may be of before, too."""
        self._news += 1
        if found := list(names):
            for name in found:
                self._granted.pop(name, None)
                self._refused.pop(name, None)
            self._again()

    def reported(self, session: str, what: str, reason: str) -> None:
        """The relay says that a connection ended, or that its tracks changed."""
        connection = self._connection
        if connection is None or connection.session != session:
            return
        if what == "ended":
            self._connection = None
            self._tell(wire.MediaEnded(session=session, reason=reason[:80]))
        else:
            self._again()

    def moves(self, sessions: Iterable[str]) -> None:
        """Its relay is dead or about to stop: another connection is offered, and the page leaves this one then."""
        if self._connection is not None and self._connection.session in sessions:
            self._connection = None
            self._again()

    def _again(self) -> None:
        self._due = True
        self._wake.set()

    # the work ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For as long as the socket is open."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._work()
            except Unauthenticated:
                return  # the socket hears of it by itself
            except HubError as error:
                self._tell(wire.Failed(error=error.id, message=error.message[:300], re="media.subscribe"))
            except Exception as error:  # the page may ask again
                log.exception("subscription.crashed")
                self._tell(wire.Failed(error="server.error", message=type(error).__name__, re="media.subscribe"))

    async def _work(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            await self._take(answer)
        restart, self._restart = self._restart, False
        if restart and self._connection is not None:
            await self._begin_anew(self._connection)
        elif restart:
            self._due = True
        if self._due:
            self._due = False
            await self._sync()

    async def _take(self, answer: wire.MediaAnswer) -> None:
        connection = self._connection
        if connection is None or connection.session != answer.session:
            return  # of a connection that is over
        body = SubscriberAnswer(revision=answer.revision, sdp=answer.sdp)
        try:
            out = await self._media.relays.answer(connection.node.url, connection.session, body)
        except Conflict:
            return  # an offer that another has replaced
        except (NotFound, Unavailable) as error:
            self._lost(connection, error)
            return
        self._say(out)

    async def _begin_anew(self, connection: _Connection) -> None:
        try:
            self._say(await self._media.relays.restart(connection.node.url, connection.session))
        except (NotFound, Unavailable) as error:
            self._lost(connection, error)

    def _lost(self, connection: _Connection, error: HubError) -> None:
        """The relay, or what it knew of us, is gone: everything is brought about elsewhere."""
        if isinstance(error, Unavailable):
            self._media.placements.suspect(connection.node)
        if self._connection is connection:
            self._connection = None
        self._due = True
        self._wake.set()

    async def _sync(self) -> None:
        await self._mind_connection()
        await self._authorise()
        self._say_refused()  # at once: what is granted may have to wait for a relay, or there is none
        for last in (False, False, True):  # a relay that is gone, one that has forgotten, and then it should be there
            if not self._granted and self._connection is None:
                break
            try:
                if await self._bring_about():
                    break
            except NotFound as error:
                if error.id != "session.unknown":
                    raise
                self._connection = None
            except Unavailable as error:
                if error.id != "relay.none" or last:
                    raise
                if self._connection is not None:
                    self._media.placements.suspect(self._connection.node)
                self._connection = None
        self._say_refused()

    async def _mind_connection(self) -> None:
        """A page may go on with a connection of before, or want another one."""
        adopt, self._adopt, anew, self._anew = self._adopt, None, self._anew, False
        connection = self._connection
        if anew and connection is not None:
            self._connection = None
            await self._media.end_subscriber(connection.session)
        elif connection is None and adopt is not None and not anew:
            found = await self._media.subscriber_of(self._who(), adopt)
            self._connection = None if found is None else _Connection(adopt, found, adopted=True)

    async def _authorise(self) -> None:
        for key, track in list(self._wanted.items()):
            if key in self._granted or key in self._refused:
                continue
            news = self._news
            granted, error = await self._ask(track)
            if news != self._news:  # the answer may be of before what was heard meanwhile
                self._again()
            elif granted is not None:
                self._granted[key] = granted
            else:
                self._refuse([key], error)

    async def _ask(self, track: wire.WantedTrack) -> tuple[Granted | None, str]:
        try:
            return await grant(
                self._ctx, self._who(), camera=track.camera, conference=track.conference, member=track.member
            ), ""
        except Unauthenticated:
            raise
        except HubError as error:
            return None, error.id

    async def _bring_about(self) -> bool:
        """Have the relay send what is granted. False when something has to be told to it once more."""
        streams = self._streams()
        await self._bring(streams)
        if (connection := self._connection) is None:
            return True  # nothing can be had now
        await self._note(connection)
        streams = self._streams()  # the page may have changed its mind meanwhile
        self._carried = {stream: shown for stream, shown in streams.items() if stream in connection.brought}
        wishes = [wish_of(stream, shown) for stream, shown in self._carried.items()]
        wishes_of = TracksIn(tracks=wishes, again=connection.adopted, h265=self._h265)
        out = await self._media.relays.wish(connection.node.url, connection.session, wishes_of)
        connection.adopted = False
        connection.forgotten = {stream for stream, state in out.states.items() if state == "unknown"}
        connection.brought -= connection.forgotten
        self._say(out)
        await self._record()
        return not connection.forgotten

    def _streams(self) -> dict[str, list[Shown]]:
        """What is granted, by stream: two tiles may show the same picture."""
        streams: dict[str, list[Shown]] = {}
        for key, granted in self._granted.items():
            if (track := self._wanted.get(key)) is not None:
                streams.setdefault(granted.stream, []).append(Shown(key, track, granted))
        return streams

    async def _bring(self, streams: Mapping[str, list[Shown]]) -> None:
        """Have every stream at the home relay, opening the connection there."""
        for stream, shown in streams.items():
            connection = self._connection
            if connection is not None and stream in connection.brought:
                continue
            if all(self._granted.get(each.key) is not each.granted for each in shown):
                continue  # not wanted any more since this began
            try:
                node = await self._place(stream, connection)
            except (NotFound, Conflict) as error:  # it went since it was granted, or nobody publishes yet
                self._refuse_granted(shown, "conference.not_publishing" if error.id == "stream.unknown" else error.id)
                continue
            if connection is None:
                connection = await self._open(node)
            if node.id == connection.node.id:
                connection.brought.add(stream)
            else:
                self._refuse_granted(shown, "relay.elsewhere")

    def _refuse_granted(self, shown: Iterable[Shown], error: str) -> None:
        """Unless it was granted anew, or is wanted no more."""
        self._refuse([each.key for each in shown if self._granted.get(each.key) is each.granted], error)

    def _refuse(self, keys: Iterable[str], error: str) -> None:
        for key in keys:
            self._granted.pop(key, None)
            state = "waiting" if error in WAITING else "ended" if key in self._lived else "refused"
            self._refused[key] = (state, error)

    async def _place(self, stream: str, at: _Connection | None) -> NodeInfo:
        """The relay that carries a granted stream: the one given, by a leg where it has to be."""
        home = None if at is None else at.node
        anew = at is not None and stream in at.forgotten
        return await self._media.placements.viewing(stream, at=home, anew=anew)

    async def _open(self, node: NodeInfo) -> _Connection:
        who = self._who()
        body = SubscribeIn(owner=owner_key(who.session), label=who.actor.id, zone=who.zone)
        try:
            out = await self._media.relays.subscribe(node.url, body)
        except Unavailable:
            self._media.placements.suspect(node)
            raise
        self._connection = _Connection(out.session, node)
        await self._note(self._connection)
        return self._connection

    async def _note(self, connection: _Connection) -> None:
        """What the connection hangs on, so that whoever withdraws a right finds it. Before the relay sends."""
        keys = frozenset(key for name, granted in self._granted.items() if name in self._wanted for key in granted.keys)
        streams = frozenset(self._streams())
        if (keys, streams) != (connection.keys, connection.streams) or not connection.keys:
            await self._media.note_subscriber(
                self._who(), connection.node, connection.session, connection.keys, keys, streams
            )
            connection.keys, connection.streams = keys, streams

    async def _record(self) -> None:
        for key, granted in list(self._granted.items()):
            name = f"{key}/{granted.stream}"
            if granted.camera is not None and name not in self._viewed:
                self._viewed.add(name)
                await self._media.viewed(self._who(), granted.camera, granted.conference)
        self._viewed &= {f"{key}/{granted.stream}" for key, granted in self._granted.items()}

    # what the page is told ---------------------------------------------------------------------------

    def _say(self, out: SubscriberOut) -> None:
        """What the relay says is of what it was told, whatever is being authorised again meanwhile."""
        streams = {stream: [each for each in shown if self._wants(each)] for stream, shown in self._carried.items()}
        if (offer := out.offer) is not None:
            tracks = tuple(
                wire.OfferedTrack(mid=track.mid, key=key, kind=track.kind)
                for track in offer.tracks
                for key in (each.key for each in streams.get(track.stream, ()))
            )
            self._tell(wire.MediaOffer(session=out.session, revision=offer.revision, sdp=offer.sdp, tracks=tracks))
        for stream, state in out.states.items():
            for each in streams.get(stream, ()):
                if state != "unknown" and each.key not in self._refused:  # it is told of the stream once more
                    self._say_state(each.key, state, None, out.layers.get(stream, (None, None)))
        self._say_refused()

    def _wants(self, shown: Shown) -> bool:
        """Whether the page still wants this, and not something else under its key."""
        track = self._wanted.get(shown.key)
        return track is not None and _source(track) == _source(shown.track)

    def _say_refused(self) -> None:
        for key, (state, error) in self._refused.items():
            self._say_state(key, state, error)

    def _say_state(self, key: str, state: str, error: str | None, layer: _Layer = (None, None)) -> None:
        error = "sdp.no_codec" if state == "refused" and error is None else error
        if self._told.get(key) != (state, error, layer):
            self._told[key] = (state, error, layer)
            if state == "live":
                self._lived.add(key)
            said = {"key": key, "state": state, "error": error, "layer": layer[0], "layers": layer[1]}
            self._tell(wire.MediaTrack.model_validate(said))


def _source(track: wire.WantedTrack) -> tuple[str | None, str | None, str | None]:
    return track.camera, track.conference, track.member
