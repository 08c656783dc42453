"""What happens, told to every open socket that may know it.

The live channel carries hints between api processes; the truth is read from the database. The log is followed by
sequence number, so nobody misses an event or sees one twice, whatever Redis does.
"""

import asyncio
import contextlib
import functools
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

import structlog
from sqlalchemy.exc import SQLAlchemyError

from hub.api.clients import Client
from hub.api.schemas import conferences as schemas
from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.relay_wire import LIVE_CHANNEL, STATES_CHANNEL, StreamState
from hub.domain.conference import ACTIVE
from hub.domain.errors import Unauthenticated
from hub.domain.events import Envelope
from hub.domain.roles import Right
from hub.domain.units import UnitTree
from hub.services import accounts, conference_view, events
from hub.services.access import holds, may_see_event, may_see_unit
from hub.services.accounts import SignedInAs
from hub.services.conference_view import ConferenceView, RingView
from hub.services.context import Context
from hub.services.live import publish_live
from hub.services.media import Media, owner_key
from hub.services.presence import Presence
from hub.services.states import StreamBook
from hub.services.subscription_book import Subscriptions
from hub.services.talking import who_talks
from hub.services.units import tree
from hub.store import conferences as conference_store
from hub.store import signins, streams
from signaling import wire

log: Final = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0  # the log is looked at without a hint, too
PRESENCE_EVERY_S: Final = 2.0
TOGETHER_S: Final = 0.1  # changes of presence within this time are told as one
SESSIONS_EVERY_S: Final = 5.0
TOUCH_EVERY_S: Final = 60.0
PAGE: Final = 200
RELAYS_TOLD_AT_ONCE: Final = 4

Withdrawal: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Telling relays that somebody's right is gone."""


class Fanout:
    """One per api process. ``run`` is its work; sockets ``join`` and ``part``."""

    def __init__(self, ctx: Context, media: Media, book: StreamBook, presence: Presence) -> None:
        self._ctx = ctx
        self._media = media
        self._book = book
        self._presence = presence
        self.subscriptions = Subscriptions()
        self._clients: set[Client] = set()
        self._watchers: dict[str, set[Client]] = {}
        self._talking: dict[str, str] = {}  # who speaks to the cameras that are watched
        self._wake = asyncio.Event()
        self._people = asyncio.Event()
        self._units = UnitTree()
        self._withdrawals: asyncio.Queue[Withdrawal] = asyncio.Queue(4_096)
        self.dropped = 0
        self.seq = 0
        self.ready = asyncio.Event()
        book.listen(self._stream_changed)
        presence.changed = self._people.set

    # sockets --------------------------------------------------------------------------------------

    def join(self, who: SignedInAs, token: str) -> Client:
        """Take a socket in. Everything after ``self.seq`` will reach it."""
        client = Client(who, token, seq=self.seq)
        self._clients.add(client)
        self._presence.came(client.actor.id, client.actor.unit)
        return client

    def part(self, client: Client) -> None:
        """A socket is gone."""
        if client in self._clients:
            self._clients.discard(client)
            self._unwatch(client)
            self._presence.went(client.actor.id, client.actor.unit)

    def sockets_of(self, user: str) -> int:
        """How many sockets this person has open here."""
        return sum(client.actor.id == user for client in self._clients)

    async def greet(self, client: Client) -> None:
        """Who is there, what rings for this person, and the conferences the person is in."""
        client.send(wire.Presence(units=dict(self._presence.by_unit())))
        if not holds(client.actor, Right.CONFERENCE_JOIN):
            return
        for ring in await conference_view.rings_at(self._ctx, client.actor):
            client.send(_ring(ring))
        for conference in await conference_view.list_conferences(self._ctx, client.actor):
            if any(m.user == client.actor.id and m.state in ACTIVE for m in conference.members):
                client.send(_state(conference))

    async def watch(self, client: Client, cameras: tuple[str, ...]) -> None:
        """Send states of these cameras, now and after each change; those out of reach are passed over."""
        async with self._ctx.reading() as db:
            found = await streams.units_of(db, cameras)
            area = client.area(await tree(self._ctx, db))
        talking = await who_talks(self._ctx, tuple(found))
        self._unwatch(client)
        client.watched = frozenset(camera for camera, unit in found.items() if may_see_unit(area, unit))
        for camera in client.watched:
            self._watchers.setdefault(camera, set()).add(client)
            self._talks(camera, talking.get(camera))
            client.send(self._camera(camera))

    def _unwatch(self, client: Client) -> None:
        for camera in client.watched:
            watchers = self._watchers.get(camera, set())
            watchers.discard(client)
            if not watchers:
                self._watchers.pop(camera, None)
                self._talking.pop(camera, None)
        client.watched = frozenset()

    def _talks(self, camera: str, name: str | None) -> None:
        if name is None:
            self._talking.pop(camera, None)
        else:
            self._talking[camera] = name

    async def _talk_changed(self, camera: str) -> None:
        """Somebody began or ceased to speak to it."""
        if camera in self._watchers:
            self._talks(camera, (await who_talks(self._ctx, [camera])).get(camera))
            self._stream_changed(camera)

    def _stream_changed(self, stream: str) -> None:
        if watchers := self._watchers.get(stream):
            text = self._camera(stream).model_dump_json()
            for client in tuple(watchers):
                client.send_text(text)

    def _camera(self, camera: str) -> wire.CameraStateChanged:
        state = self._book.state_of(camera)
        if state is None:
            return wire.CameraStateChanged(camera=camera, state="idle", talking=self._talking.get(camera))
        told = {"state", "reason", "retry_at", "codec", "width", "height", "viewers", "transcoded"}
        known = state.model_dump(include=told)
        return wire.CameraStateChanged(camera=camera, talking=self._talking.get(camera), **known)

    # work -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever: listen, follow the log, watch sign-ins, tell presence."""
        self.seq = await events.last_seq(self._ctx)
        self.ready.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="fanout/log")
                group.create_task(self._listen(), name="fanout/live")
                group.create_task(self._mind_sessions(), name="fanout/sessions")
                group.create_task(self._tell_presence(), name="fanout/presence")
                for n in range(RELAYS_TOLD_AT_ONCE):
                    group.create_task(self._tell_relays(), name=f"fanout/withdraw{n}")
        finally:
            for client in self._clients:
                client.finish("shutting_down")

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while found := await events.events_after(self._ctx, self.seq, limit=PAGE):
                    async with self._ctx.reading() as db:
                        self._units = await tree(self._ctx, db)
                    for event in found:
                        self._deliver(event)
                        self.seq = event.seq
                    await asyncio.sleep(0)  # a long backlog lets the sockets' writers run
            except SQLAlchemyError as error:
                log.error("fanout.log_unreadable", error=type(error).__name__)
                await asyncio.sleep(LOOK_EVERY_S)

    def _deliver(self, event: Envelope) -> None:
        text: str | None = None
        for client in tuple(self._clients):
            if may_see_event(client.actor, client.area(self._units), kind=event.kind, unit=event.unit):
                text = text or wire.Event.model_validate(event.model_dump()).model_dump_json()
                client.send_text(text)

    async def _listen(self) -> None:
        redis = self._ctx.redis
        outage = Outage("fanout")
        while redis is not None:
            try:
                async with redis.pubsub(ignore_subscribe_messages=True) as heard:
                    await heard.subscribe(LIVE_CHANNEL, STATES_CHANNEL)
                    if outage.worked():
                        await self._catch_up()
                    while True:
                        message = await heard.get_message(timeout=2.0)
                        if message is not None:
                            await self._heard(str(message["channel"]), str(message["data"]))
            except BUS_ERRORS as error:
                await asyncio.sleep(outage.failed(error))
        await asyncio.Event().wait()  # a process without Redis: the log is followed all the same

    async def _heard(self, channel: str, text: str) -> None:
        try:
            if channel == STATES_CHANNEL:
                self._book.heard(StreamState.model_validate_json(text))
            else:
                message = json.loads(text)
                if isinstance(message, dict):
                    await self._live(message)
        except (ValueError, RecursionError) as error:  # json's own way to say that it is nested too deep
            log.warning("fanout.not_understood", channel=channel, error=type(error).__name__)
        except SQLAlchemyError as error:
            log.error("fanout.failed", channel=channel, error=type(error).__name__)
        except Exception:  # one message must not close every socket of this process
            log.exception("fanout.crashed", channel=channel)

    async def _live(self, message: Mapping[str, Any]) -> None:
        self.subscriptions.live(message)
        if "seq" in message:
            self._wake.set()
        elif "session_ended" in message:
            self._session_ended(str(message["session_ended"]))
        elif "presence" in message:
            self._presence.heard(message)
        elif "talking" in message:
            await self._talk_changed(str(message["talking"]))
        elif "ring_ended" in message:
            self._ring_ended(message)
        elif "ring" in message:
            if (ring := await conference_view.ring_of(self._ctx, str(message["ring"]))) is not None:
                self._rings(ring)
        elif "conference" in message:
            await self._conference(str(message["conference"]))
        elif "moves" in message:
            self._move(message)
        elif "media_gone" in message:
            self._later(lambda: self._withdraw(message))

    def _move(self, message: Mapping[str, Any]) -> None:
        """Sessions of a relay that goes: their owners come again."""
        moves = [wire.MediaMove(session=str(id), reason=message["reason"]) for _, id in message["moves"]]
        for (owner, _), move in zip(message["moves"], moves, strict=True):
            for client in tuple(self._clients):
                if owner_key(client.who.session) == owner:
                    client.send(move)

    async def _withdraw(self, message: Mapping[str, Any]) -> None:
        await self._media.gone(str(message["media_gone"]))
        if "stream" in message:
            await self._media.dropped_stream(str(message["stream"]))

    def _later(self, work: Withdrawal) -> None:
        """Have relays told without keeping the live channel waiting. What is lost here the audit finds."""
        try:
            self._withdrawals.put_nowait(work)
        except asyncio.QueueFull:
            self.dropped += 1

    async def _tell_relays(self) -> None:
        while True:
            work = await self._withdrawals.get()
            try:
                await work()
            except Exception:
                log.exception("fanout.withdrawal_failed")

    async def _catch_up(self) -> None:
        """Redis was away: tell members and called units how things stand."""
        self._wake.set()
        self._people.set()
        async with self._ctx.reading() as db:
            running = [row.id for row in await conference_store.running(db)]
        for conference in running:
            await self._conference(conference)
        for client in tuple(self._clients):
            if holds(client.actor, Right.CONFERENCE_JOIN):
                for ring in await conference_view.rings_at(self._ctx, client.actor):
                    client.send(_ring(ring))

    # conferences ----------------------------------------------------------------------------------

    async def _conference(self, id: str) -> None:
        view = await conference_view.conference_for_hub(self._ctx, id)
        if view is None:
            return
        members = {member.user for member in view.members if member.user is not None}
        text = _state(view).model_dump_json()
        for client in tuple(self._clients):
            if client.actor.id in members:
                client.send_text(text)

    def _rings(self, ring: RingView) -> None:
        text = _ring(ring).model_dump_json()
        for client in tuple(self._clients):
            if client.takes_calls_of(ring.unit):
                client.send_text(text)

    def _ring_ended(self, message: Mapping[str, Any]) -> None:
        conference, reason, by = str(message["ring_ended"]), message.get("reason"), message.get("by")
        for client in tuple(self._clients):
            if client.takes_calls_of(message.get("unit")):
                elsewhere = reason == "answered" and client.actor.id != by
                said = "answered_elsewhere" if elsewhere else reason
                client.send(wire.RingEnded.model_validate({"conference": conference, "reason": said}))

    # sign-ins -------------------------------------------------------------------------------------

    def _session_ended(self, session: str) -> None:
        for client in tuple(self._clients):
            if client.who.session == session:
                client.finish("signed_out")
        self._later(lambda: self._media.signed_out(session))

    async def _mind_sessions(self) -> None:
        """Let go of sockets whose sign-in has run out or was taken away; keep sign-ins in use from running out."""
        loop = asyncio.get_running_loop()
        touched = loop.time()
        while True:
            await asyncio.sleep(SESSIONS_EVERY_S)
            try:
                await self.check_sessions()
                if loop.time() - touched >= TOUCH_EVERY_S:
                    touched = loop.time()
                    for client in tuple(self._clients):
                        with contextlib.suppress(Unauthenticated):  # the next check says why
                            client.who = await accounts.authenticate(self._ctx, client.token)
            except SQLAlchemyError as error:
                log.error("fanout.sessions_unchecked", error=type(error).__name__)

    async def check_sessions(self) -> None:
        """Say good-bye to every socket whose sign-in does not hold any more, and end its media."""
        if not self._clients:
            return
        async with self._ctx.reading() as db:
            valid = await signins.valid(db, self._ctx.clock())
            gone = [client for client in self._clients if client.who.session not in valid]
            there = {client.who.session for client in gone if await signins.exists(db, client.who.session)}
        for client in gone:
            client.finish("expired" if client.who.session in there else "revoked")
        for session in {client.who.session for client in gone}:
            self._later(functools.partial(self._media.signed_out, session))

    # presence -------------------------------------------------------------------------------------

    async def _tell_presence(self) -> None:
        """Tell the sockets when people come and go, and the other processes every two seconds as well."""
        told: Mapping[str, int] = {}
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PRESENCE_EVERY_S):
                    await self._people.wait()
                    await asyncio.sleep(TOGETHER_S)
            self._people.clear()
            await publish_live(self._ctx, self._presence.report())
            self._presence.forget_stale()
            now = self._presence.by_unit()
            if now != told:
                told = now
                text = wire.Presence(units=dict(now)).model_dump_json()
                for client in tuple(self._clients):
                    client.send_text(text)


def _ring(ring: RingView) -> wire.Ring:
    return wire.Ring(
        conference=ring.conference,
        member=ring.member,
        title=ring.title,
        caller=ring.caller,
        caller_unit=ring.caller_unit,
        incident=ring.incident,
        run=ring.run,
        until=ring.until,
    )


def _state(view: ConferenceView) -> wire.ConferenceState:
    return wire.ConferenceState(conference=schemas.Conference.model_validate(view).model_dump(mode="json"))
