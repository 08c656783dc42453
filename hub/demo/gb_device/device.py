"""The simulated device on SIP: registers, keeps alive, answers, streams, reports. One ``GbDevice`` a device."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from hub.demo.gb_device.answers import Answers, Effect, KeyFrame, Reboot, Reply, TakePictures
from hub.demo.gb_device.camera import Channel
from hub.demo.gb_device.film import Film
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.demo.gb_device.reports import Reports
from hub.demo.gb_device.snapshots import upload
from hub.demo.gb_device.sound import Sounds
from hub.demo.gb_device.streams import Stream
from hub.demo.gb_device.talk import Talk, TalkMode
from signaling.gb28181 import edition, invite, manscdp, mansrtsp
from signaling.gb28181 import messages as m
from signaling.gb28181.errors import GbError
from signaling.gb28181.invite import Media
from signaling.gb28181.register import parse_expires
from signaling.gb28181.times import format_date, parse_date
from signaling.sip.address import SipError
from signaling.sip.message import Request, make_request
from signaling.transport.sip import Call, Credentials, Flow, ServerTransaction, SipFailure, SipNode

log = structlog.get_logger(__name__)
MAX_TASKS: Final = 64
MAX_STREAMS: Final = 64
RETRY_S: Final = (1.0, 60.0)
UNANSWERED_KEEPALIVES: Final = 3
_VERSION: Final = {"2011": "1.0", "2016": "2.0", "2022": edition.OURS}


class GbDevice:
    """Run ``run`` in a task. ``handle`` is the node's handler, ``moved`` a second node for keepalives (NAT)."""

    def __init__(
        self,
        options: DeviceOptions,
        node: SipNode,
        film: Film,
        sound: bytes,
        *,
        moved: SipNode | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.options, self.answers = options, Answers(options)
        self.registered = asyncio.Event()
        self.counters: Counter[str] = Counter()
        self.streams: dict[str, Stream] = {}  # by Call-ID
        self.talks: dict[str, Talk] = {}
        self.talk_mode: TalkMode = "udp"
        self.clock_offset_ms: int | None = None  # what the platform's Date told, against our clock
        self._node, self._moved, self._film, self._sound = node, moved, film, sound
        self._wall = wall
        self._flow = Flow(options.transport, options.host, options.port)
        self._group: asyncio.TaskGroup | None = None
        self._tasks = 0
        self._sn = 0
        self._again = asyncio.Event()
        self._changed = asyncio.Event()
        self._expires_s = options.expires_s
        self._call_id = ""
        self.reports = Reports(self)
        self.sounds = Sounds(self, node, self._flow, sound)

    # identity -------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The device's identifier."""
        return self.answers.device

    def next_sn(self) -> int:
        """SN of a message of ours."""
        self._sn += 1
        return self._sn

    def now(self) -> float:
        """The loop's clock."""
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        """Unix seconds."""
        return int(self._wall())

    def request(self, method: str, body: bytes = b"", *, sender: str = "", to: str = "") -> Request:
        """A request to the platform; the domain of digits stands in the URIs, as devices write it."""
        options = self.options
        theirs = f"sip:{to or options.server_id}@{options.domain}"
        ours = f"sip:{sender or self.id}@{options.domain}"
        headers = [(edition.HEADER, _VERSION[options.edition])]
        return make_request(
            method,
            theirs,
            from_=ours,
            to=ours if method == "REGISTER" else theirs,
            headers=headers,
            body=body,
            content_type=manscdp.CONTENT_TYPE if body else None,
        )

    # life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. Calls that are up are left to the platform, as by a device that loses its power."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._registration(), name=f"{self.id}/register")
                group.create_task(self._heartbeat(), name=f"{self.id}/keepalive")
        finally:
            self._group = None
            for stream in self.streams.values():
                stream.close()
            for talk in self.talks.values():
                talk.close()

    async def _registration(self) -> None:
        wait = RETRY_S[0]
        if self.options.has(Quirk.REGISTER_FLOOD):
            for _ in range(10):
                await self._register(self._expires_s)
                await asyncio.sleep(0.2)
        while True:
            if await self._register(self._expires_s):
                self.registered.set()
                wait, pause = RETRY_S[0], max(1.0, self._expires_s * 0.8)
            else:
                self.registered.clear()
                wait, pause = min(wait * 2, RETRY_S[1]), wait
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._again.wait()
            self._again.clear()

    async def _register(self, expires_s: int) -> bool:
        options = self.options
        request = self.request("REGISTER")
        request.uri = f"sip:{options.server_id}@{options.domain}"
        request.headers.add("Contact", self._node.stack.contact(self._flow, self.id))
        request.headers.add("Expires", str(expires_s))
        if self._call_id:
            request.headers.add("Call-ID", self._call_id)
        if options.has(Quirk.ROUTE):
            request.headers.add("Route", f"<sip:{options.server_id}@{options.host}:{options.port};lr>")
        if options.has(Quirk.DATE):
            request.headers.add("Date", format_date(int(self._wall() * 1_000)))
        credentials = Credentials(options.username, options.password) if options.password else None
        try:
            answer = await self._node.request(request, self._flow, credentials=credentials, timeout=8.0)
        except (SipFailure, SipError) as error:
            self.counters["register_failed"] += 1
            log.debug("gb_device.register", device=self.id, error=str(error))
            return False
        self._call_id = request.call_id
        good = answer.status // 100 == 2
        self.counters["registered" if good else f"register_{answer.status}"] += 1
        self._changed.set()
        if good and (told := parse_date(answer.headers.get("Date") or "")) is not None:
            self.clock_offset_ms = told - int(self._wall() * 1_000)
        if good and (granted := parse_expires(answer.headers.get("Expires"))):
            self._expires_s = granted
        return good

    async def until(self, true: Callable[["GbDevice"], bool]) -> None:
        """Wait until something is so: calls, talks and registrations wake the question."""
        while not true(self):
            self._changed.clear()
            await self._changed.wait()

    async def unregister(self) -> bool:
        """REGISTER with Expires 0."""
        return await self._register(0)

    def reboot(self) -> None:
        """Forget everything and register anew; the platform's dialogs stay open there."""
        self.counters["reboots"] += 1
        for stream in self.streams.values():
            stream.finished.set()
        self._call_id = ""
        self.registered.clear()
        self._again.set()

    async def _heartbeat(self) -> None:
        unanswered = 0
        while not self.options.has(Quirk.NO_KEEPALIVE):
            await self.registered.wait()
            await asyncio.sleep(self.options.heartbeat_s)
            if not self.registered.is_set():
                continue
            node = self._moved or self._node
            good = await self._message(self.answers.keepalive(self.next_sn()), node=node)
            unanswered = 0 if good else unanswered + 1
            self.counters["keepalives" if good else "keepalives_lost"] += 1
            if unanswered >= UNANSWERED_KEEPALIVES:
                unanswered = 0
                self.registered.clear()
                self._again.set()

    async def _message(self, body: bytes, *, node: SipNode | None = None, request: Request | None = None) -> bool:
        """Send a MESSAGE; whether it was taken."""
        try:
            answer = await (node or self._node).request(
                request or self.request("MESSAGE", body), self._flow, timeout=8.0
            )
        except (SipFailure, SipError):
            return False
        return answer.status // 100 == 2

    def spawn(self, work: Coroutine[Any, Any, object], name: str) -> bool:
        """A task of the device's; beyond the bound it is dropped and counted."""
        if self._group is None or self._tasks >= MAX_TASKS + MAX_STREAMS:
            self.counters["dropped_tasks"] += 1
            work.close()
            return False
        self._tasks += 1
        self._group.create_task(self._guarded(work), name=f"{self.id}/{name}")
        return True

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except (SipFailure, SipError, GbError, OSError, TimeoutError) as error:
            self.counters["failures"] += 1
            log.debug("gb_device.task", device=self.id, error=str(error))
        finally:
            self._tasks -= 1

    # requests of the platform ---------------------------------------------------------------------

    def knows(self, identifier: str) -> bool:
        """Whether a request to this number is for this device."""
        return identifier == self.id or identifier in self.answers.channels

    def handle(self, transaction: ServerTransaction, node: SipNode | None = None) -> None:
        """Whatever no call answers; ``node`` is where it came in when that is not the first."""
        node = node or self._node
        match transaction.method:
            case "MESSAGE":
                self._take_message(transaction)
            case "INVITE":
                self._take_invite(transaction, node)
            case "SUBSCRIBE":
                self.reports.subscribed(node, transaction)
            case "OPTIONS":
                transaction.respond(200)
            case _:
                transaction.respond(405, headers=[("Allow", "MESSAGE, INVITE, SUBSCRIBE, OPTIONS")])

    def _take_message(self, transaction: ServerTransaction) -> None:
        try:
            message = manscdp.parse(transaction.request.body)
        except GbError:
            self.counters["messages_refused"] += 1
            transaction.respond(400)
            return
        transaction.respond(200)
        self.counters[f"got_{getattr(message, 'CMD', 'unknown')}"] += 1
        if isinstance(message, m.BroadcastNotify):
            self.spawn(self.sounds.broadcast(message), "broadcast")
            return
        for effect in self.answers.take(message, self.now(), self.wall()):
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Reply(body, delay):
                self.spawn(self._later(body, delay), "reply")
            case Reboot():
                self.reboot()
            case KeyFrame(channel):
                for stream in self.streams.values():
                    if stream.channel is channel:
                        stream.want_key()
            case TakePictures(channel, wanted):
                self.spawn(self._snapshots(channel, wanted), "snapshot")

    async def _later(self, body: bytes, delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        self.counters["answers" if await self._message(body) else "answers_lost"] += 1

    async def _snapshots(self, channel: Channel, wanted: Any) -> None:
        files = await upload(self._film, channel, wanted, self.now, self.wall())
        body = self.answers.body(
            m.SnapShotFinished(sn=self.next_sn(), device=channel.id, session=wanted.session, files=files)
        )
        await self._message(body)

    # calls ----------------------------------------------------------------------------------------

    def _take_invite(self, transaction: ServerTransaction, node: SipNode) -> None:
        options, request = self.options, transaction.request
        if options.has(Quirk.NO_ANSWER):
            return
        if options.has(Quirk.REFUSES):
            transaction.respond(486)
            return
        channel = self.answers.channel(_user_of(request.uri)) or self.answers.channel(request.to.uri.user)
        if channel is None:
            transaction.respond(404)
            return
        try:
            offer = invite.parse(request.body)
        except GbError:
            transaction.respond(488)
            return
        if offer.stream and options.has(Quirk.REFUSES_SUB):
            self.counters["subs_refused"] += 1
            transaction.respond(488)
            return
        if len(self.streams) + len(self.talks) >= MAX_STREAMS:
            transaction.respond(486)
            return
        if options.has(Quirk.PROVISIONAL_101):
            transaction.respond(101, "Dialog Establishment")
        try:
            if offer.kind == "audio" or offer.purpose == "talk":
                self.sounds.talk(node, transaction, channel, offer)
            else:
                self._stream(node, transaction, channel, offer)
        except OSError:
            transaction.respond(500)
        except SipError:
            self.counters["calls_refused"] += 1

    def _stream(self, node: SipNode, transaction: ServerTransaction, channel: Channel, offer: Media) -> None:
        sub = bool(offer.stream) and offer.form == self.options.sub
        film = self._film.small if sub and self._film.small is not None else self._film
        stream = Stream(self.options, channel, offer, film, self._sound, now=self.now, wall=self.wall())
        self.counters["subs"] += sub
        if self.options.has(Quirk.ONE_STREAM):
            for other in [each for each in self.streams.values() if each.channel is channel]:
                other.hang_up()
        call = node.answer(transaction, body=stream.answer(channel.id))
        self.streams[call.id] = stream
        self._changed.set()
        stream.hang_up = call.hang_up
        call.on_request = lambda inside: self._inside(stream, inside)
        call.on_end = lambda _why: self.ended(call.id)
        self.counters["calls"] += 1
        if not self.spawn(self._play(stream, call), "stream"):
            call.hang_up()

    async def _play(self, stream: Stream, call: Call) -> None:
        try:
            if not self.options.has(Quirk.TCP_AT_ONCE) and not await call.wait_confirmed():
                return
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(stream, call), name="send")
                await call.wait_ended()
                sending.cancel()
        finally:
            self.ended(call.id)

    async def _send(self, stream: Stream, call: Call) -> None:
        try:
            ended = await stream.run()
        except (OSError, TimeoutError):
            self.counters["media_lost"] += 1
            call.hang_up()
            return
        self.counters["files_ended"] += ended
        self.wake()
        if ended and not self.options.has(Quirk.NO_MEDIA_STATUS):
            with contextlib.suppress(SipFailure, SipError):
                await self._file_end(stream, call)

    async def _file_end(self, stream: Stream, call: Call) -> None:
        """MediaStatus 121; foreign: From somebody else, and only the Call-ID tells whose it is."""
        body = self.answers.body(m.MediaStatus(sn=self.next_sn(), device=stream.channel.id))
        if self.options.has(Quirk.FOREIGN_MEDIA_STATUS):
            request = self.request("MESSAGE", body, sender="34020000001320999999")
            request.headers.add("Call-ID", call.id)
            await self._message(body, request=request)
        else:
            await call.request("MESSAGE", body=body, content_type=manscdp.CONTENT_TYPE)
        self.counters["files_sent"] += 1

    def ended(self, call_id: str) -> None:
        """A call is over: its ports are given back."""
        if (stream := self.streams.pop(call_id, None)) is not None:
            stream.finished.set()
            stream.close()
        if (talk := self.talks.pop(call_id, None)) is not None:
            talk.close()
        self.wake()

    def wake(self) -> None:
        """Whoever waits by ``until`` looks again."""
        self._changed.set()

    def _inside(self, stream: Stream, transaction: ServerTransaction) -> None:
        if transaction.method != "INFO":
            transaction.respond(200 if transaction.method in ("OPTIONS", "MESSAGE") else 405)
            return
        try:
            steer = mansrtsp.parse(transaction.request.body)
        except GbError:
            transaction.respond(400)
            return
        if stream.steer(steer):
            transaction.respond(200, body=mansrtsp.write_answer(steer.cseq), content_type=mansrtsp.CONTENT_TYPE)
        else:
            transaction.respond(488)

    # by itself ------------------------------------------------------------------------------------

    async def alarm(self, channel: str, *, method: int = 5, type: int = 2, description: str = "演示报警") -> bool:
        """Raise an alarm: to the subscription where there is one, else as a MESSAGE."""
        found = self.answers.channel(channel)
        if found is None:
            return False
        found.alarmed = True
        return await self.reports.alarm(found, method=method, type=type, description=description)

    async def tell(self, body: bytes) -> bool:
        """Send a body as a MESSAGE of the device."""
        return await self._message(body)


def _user_of(uri: str) -> str:
    found = re.match(r"sips?:([^@:;]+)@", uri)
    return found.group(1) if found else ""
