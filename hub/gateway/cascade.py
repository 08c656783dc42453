"""Platforms above us (级联, GB/T 28181-2016 9.1, annex E): register there, and answer what they ask.

An upper platform is known by its identifier *and* the address that was configured for it: SIP without a password would
otherwise let anybody turn our cameras.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog
from starlette.responses import Response as HttpResponse

from hub.bus.call_wire import CallIn
from hub.bus.gateway_wire import CascadeMedia, SharedChannel, UpperConfig, UpperState
from hub.domain.clock import Clock
from hub.gateway.brakes import Complaints
from hub.gateway.calls import Calls
from hub.gateway.cascade_answers import Answers
from hub.gateway.cascade_calls import CascadeCalls
from hub.gateway.cascade_talks import CascadeTalks
from hub.gateway.devices import Devices
from hub.gateway.identity import Identity
from hub.gateway.questions import Questions
from hub.gateway.reports import Reports
from hub.gateway.tasks import Errands, forever
from signaling.gb28181 import manscdp
from signaling.gb28181.errors import GbError
from signaling.gb28181.messages import DeviceControl, Keepalive, Message
from signaling.rtsp.auth import Credentials
from signaling.sip.layer import Flow, ServerTransaction
from signaling.transport.sip import SipFailure, SipNode

log: Final = structlog.get_logger(__name__)

MISSES: Final = 3
AGAIN_S: Final = 30.0  # after a failed registration, doubled up to
AGAIN_MOST_S: Final = 300.0
ANSWER_S: Final = 10.0
MAX_ERRANDS: Final = 1_024  # questions and calls of all platforms above us that are under way


class Upper:
    """One platform above us: its registration, and what it was told."""

    def __init__(self, config: UpperConfig, node: SipNode, me: Identity, questions: Questions, clock: Clock) -> None:
        self.config = config
        self.me = replace(me, server_id=config.local_id)
        self.channels: Mapping[str, SharedChannel] = {}
        self.places: Mapping[tuple[str, str], Sequence[SharedChannel]] = {}
        self._share(config.channels)
        self.hosts: frozenset[str] = frozenset()
        self.state = UpperState(upper=config.id, state="registering")
        self._node = node
        self._questions = questions
        self._clock = clock

    @property
    def flow(self) -> Flow:
        """Where it is reached."""
        host = next(iter(sorted(self.hosts)), self.config.host)
        return Flow(self.config.transport, host, self.config.port)

    def as_channel(self, channel: str) -> Identity:
        """We speak for a shared camera."""
        return replace(self.me, server_id=channel)

    def update(self, config: UpperConfig) -> bool:
        """Take a new wish; False when it must register anew."""
        same = {"channels": ()}
        if config.model_copy(update=same) != self.config.model_copy(update=same):
            return False
        self.config = config
        self._share(config.channels)
        return True

    def _share(self, channels: Sequence[SharedChannel]) -> None:
        """Find them by their identifier up there, and by where they are down here."""
        self.channels = {each.id: each for each in channels}
        places: dict[tuple[str, str], list[SharedChannel]] = {}
        for each in channels:
            if each.device and each.channel:
                places.setdefault((each.device, each.channel), []).append(each)
        self.places = places

    async def run(self) -> None:
        """Register and keep alive, for ever; unregister at the end."""
        again = AGAIN_S
        try:
            while True:
                if await self._register(self.config.expires_s):
                    again = AGAIN_S
                    await self._beat()
                else:
                    await asyncio.sleep(again)
                    again = min(again * 2, AGAIN_MOST_S)
        finally:
            if self.state.state == "online":
                with contextlib.suppress(TimeoutError):  # or a platform that is silent now would end more than this
                    async with asyncio.timeout(1.0):
                        await self._register(0)

    async def _register(self, expires_s: int) -> bool:
        config = self.config
        family = socket.AF_INET6 if ":" in self._node.config.host else socket.AF_INET  # of the port that we speak by
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                config.host, config.port, family=family, type=socket.SOCK_DGRAM
            )
        except (OSError, UnicodeError):  # UnicodeError: a label over 63 characters
            self._say("offline", "gb28181.no_such_host")
            return False
        self.hosts = frozenset(str(each[4][0]) for each in found)
        request = self.me.request(
            "REGISTER",
            config.id,
            config.domain,
            headers=[("Contact", self.me.contact), ("Expires", str(expires_s))],
        )
        ours = f"<{self.me.uri}>"
        request.headers.set("To", ours)
        credentials = Credentials(config.username or config.local_id, config.password) if config.password else None
        try:
            answer = await self._node.request(request, self.flow, credentials=credentials, timeout=ANSWER_S)
        except SipFailure:
            self._say("offline", "gb28181.no_answer")
            return False
        if answer.status == 200 and expires_s:
            self._say("online", None, registered_at=self._clock(), keepalive_at=self._clock())
            return True
        if answer.status != 200:
            why = "gb28181.password_wrong" if answer.status in (401, 403, 407) else "gb28181.refused"
            self._say("refused", why)
        return False

    async def _beat(self) -> None:
        """Keepalives, until the registration must be renewed or nobody answers any more."""
        loop = asyncio.get_running_loop()
        renew_at, missed = loop.time() + self.config.expires_s * 0.8, 0
        while loop.time() < renew_at:
            await asyncio.sleep(min(self.config.heartbeat_s, max(renew_at - loop.time(), 0.0)))
            message = Keepalive(sn=self._questions.number(), device=self.config.local_id)
            if await self.send(manscdp.write(message, self.config.charset)):
                missed = 0
                self.state = self.state.model_copy(update={"keepalive_at": self._clock()})
            else:
                missed += 1
            if missed >= MISSES:
                self._say("offline", "gb28181.heartbeat_lost")
                return

    async def send(self, body: bytes) -> bool:
        """A MESSAGE; False when it was not taken."""
        request = self.me.request(
            "MESSAGE", self.config.id, self.config.domain, body=body, content_type=manscdp.CONTENT_TYPE
        )
        try:
            answer = await self._node.request(request, self.flow, timeout=ANSWER_S)
        except SipFailure:
            return False
        return 200 <= answer.status < 300

    def _say(self, state: str, reason: str | None, **more: int) -> None:
        if self.state.state != state or self.state.reason != reason:
            log.info("upper.state", upper=self.config.id, state=state, reason=reason)
        update = {"state": state, "reason": reason, **more}
        self.state = UpperState.model_validate(self.state.model_dump() | update)


class Cascade:
    """All platforms above us."""

    def __init__(
        self,
        node: SipNode,
        me: Identity,
        devices: Devices,
        questions: Questions,
        calls: Calls,
        reports: Reports,
        token: str,
        clock: Clock,
    ) -> None:
        self._node = node
        self.me = me
        self._questions = questions
        self._clock = clock
        self._uppers: dict[str, Upper] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._errands: Errands | None = None
        self._complaints = Complaints()
        self.talks = CascadeTalks(node, calls.numbers, reports, clock)
        self.answers = Answers(node, devices, questions, self.talks)
        self.calls = CascadeCalls(node, calls, reports, token, clock)
        self.calls.may = self.talks.may = self._may
        calls.on_file_end = self.calls.file_end

    def start(self, group: asyncio.TaskGroup) -> None:
        """Tasks belong to this group from now on."""
        self._group = group
        self._errands = Errands(group, MAX_ERRANDS)

    def configure(self, wanted: tuple[UpperConfig, ...]) -> None:
        """Register with these and no others."""
        assert self._group is not None
        by_id = {each.id: each for each in wanted}
        for id, upper in list(self._uppers.items()):
            config = by_id.get(id)
            before = upper.channels
            if config is not None and upper.update(config):
                self.answers.changed(upper, before)
                continue
            self._tasks.pop(id).cancel()
            del self._uppers[id]
        for config in wanted:
            if config.id not in self._uppers:
                upper = Upper(config, self._node, self.me, self._questions, self._clock)
                self._uppers[config.id] = upper
                self._tasks[config.id] = self._group.create_task(
                    forever(f"upper/{config.id}", upper.run), name=f"upper/{config.id}"
                )
        self.calls.withdraw()
        self.talks.withdraw()

    def _may(self, upper: str, shared: SharedChannel) -> bool:
        """Whether a platform still sees this camera under this identifier."""
        known = self._uppers.get(upper)
        now = None if known is None else known.channels.get(shared.id)
        return now is not None and now.camera == shared.camera

    def states(self) -> list[UpperState]:
        """How each stands."""
        counts = self.calls.by_upper()
        return [
            upper.state.model_copy(update={"calls": counts.get(id, 0)}) for id, upper in sorted(self._uppers.items())
        ]

    async def close(self) -> None:
        """Say goodbye to all."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def media(self, call: str, media: CascadeMedia) -> None:
        """The api found (or did not find) a relay."""
        self.calls.media(call, media)

    async def listen(self, wish: CallIn) -> HttpResponse:
        """A relay takes a platform's sound. Raises as ``CascadeTalks.listen``."""
        return await self.talks.listen(self._uppers.get(wish.device), wish)

    # what they ask ------------------------------------------------------------------------------------

    def concerns(self, tx: ServerTransaction) -> bool:
        """Whether a request names a platform above us as its sender."""
        if tx.method == "REGISTER" or not self._uppers:
            return False
        try:
            return (tx.request.from_.uri.user or "") in self._uppers
        except ValueError:
            return False

    def incoming(self, tx: ServerTransaction) -> None:
        """Answer one that ``concerns`` us."""
        upper = self._uppers[tx.request.from_.uri.user or ""]
        if tx.flow.host not in upper.hosts:
            self._complaints.note("upper.stranger", self._clock(), upper=upper.config.id, peer=tx.flow.host)
            tx.refuse(403)
            return
        match tx.method:
            case "MESSAGE":
                self._message(upper, tx)
            case "INVITE":
                name = f"call/{upper.config.id}/{secrets.token_hex(6)}"
                if not self._own(name, lambda: self.calls.invited(upper, tx)):
                    tx.respond(503, headers=[("Retry-After", "5")])
            case "SUBSCRIBE":
                self.answers.subscribed(upper, tx)
            case "OPTIONS":
                tx.respond(200)
            case _:
                tx.respond(405)

    def _message(self, upper: Upper, tx: ServerTransaction) -> None:
        try:
            message = manscdp.parse(tx.request.body, upper.config.charset)
        except GbError:
            tx.respond(400, "the body cannot be read")
            return
        # One question of a kind about one channel at a time: a catalogue of twenty thousand cameras is thousands of
        # messages, and who asks for it again meanwhile must not get them twice.
        name = f"answer/{upper.config.id}/{type(message).__name__}/{message.device}"
        if isinstance(message, DeviceControl):  # a hand on the stick: each counts
            name = f"{name}/{secrets.token_hex(6)}"
        if self._own(name, lambda: self.answers.answer(upper, message)):
            tx.respond(200)
        else:
            tx.respond(503, headers=[("Retry-After", "5")])

    def _own(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        assert self._errands is not None
        return self._errands.start(name, work)

    def carry(self, device: str, channel: str, message: Message) -> None:
        """A position or an alarm of a device below, to whoever sees the channel and subscribed."""
        self.answers.carry(self._uppers, device, channel, message)
