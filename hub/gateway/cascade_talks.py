"""A platform above us speaks to a shared camera (GB/T 28181-2016 9.12): it says so, we call it for the sound.

The api has a relay take the sound, which asks for our INVITE as it asks for pictures, and send it on to the device.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from starlette.responses import Response as HttpResponse

from hub.bus.call_wire import CallIn, CallOut
from hub.bus.gateway_wire import CascadeEnd, CascadeTalk, SharedChannel
from hub.domain.clock import Clock
from hub.domain.errors import NotFound, TooMany, Unavailable
from hub.gateway.calls import stream_of
from hub.gateway.lines import Lines
from hub.gateway.reports import Reports
from signaling.gb28181 import invite
from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import is_id
from signaling.gb28181.messages import BroadcastNotify
from signaling.gb28181.ssrc import SsrcAllocator
from signaling.transport.sip import Call, CallRefused, SipFailure, SipNode

if TYPE_CHECKING:
    from hub.gateway.cascade import Upper

log: Final = structlog.get_logger(__name__)

ANSWER_S: Final = 10.0
WANTED_S: Final = 20.0  # from its word to our call
MAX_TALKS: Final = 64


@dataclass
class _Wanted:
    source: str  # who speaks, as the platform names it
    shared: SharedChannel
    until: float


@dataclass
class _Running:
    shared: SharedChannel
    call: Call | None = None  # None until it is answered


class CascadeTalks:
    """One per gateway."""

    def __init__(self, node: SipNode, numbers: SsrcAllocator, reports: Reports, clock: Clock) -> None:
        self._node = node
        self._numbers = numbers
        self._reports = reports
        self._clock = clock
        self._wanted: dict[tuple[str, str], _Wanted] = {}  # by platform and channel
        self._running: dict[tuple[str, str], _Running] = {}  # called, answered or not
        self.may: Callable[[str, SharedChannel], bool] = lambda upper, shared: True
        """Whether a platform may use a channel now; ``Cascade`` knows."""
        self.gateway = ""  # our node id

    def wanted(self, upper: "Upper", notify: BroadcastNotify) -> bool:
        """It wants to speak; whether that can be. One voice a channel."""
        now = asyncio.get_running_loop().time()
        self._wanted = {key: each for key, each in self._wanted.items() if each.until > now}
        shared = upper.channels.get(notify.target)
        key = (upper.config.id, notify.target)
        if shared is None or not shared.device or not shared.channel or key in self._running or key in self._wanted:
            return False
        if len(self._wanted) + len(self._running) >= MAX_TALKS:
            return False
        source = notify.source if is_id(notify.source) else upper.config.id  # it will stand in a header of ours
        self._wanted[key] = _Wanted(source, shared, now + WANTED_S)
        self._reports.tell(
            CascadeTalk(
                node=self.gateway, upper=upper.config.id, channel=shared.id, camera=shared.camera, at=self._clock()
            )
        )
        return True

    def withdraw(self) -> None:
        """What is shared has changed: hang up on who may speak no more."""
        for (upper, channel), running in list(self._running.items()):
            if running.call is not None and not self.may(upper, running.shared):
                log.info("upper.withdrawn", upper=upper, channel=channel)
                running.call.hang_up()

    async def listen(self, upper: "Upper | None", wish: CallIn) -> HttpResponse:
        """Call the platform for its sound; lines go on until the call ends.

        Raises NotFound ``call.unknown`` where it did not ask, TooMany, Unavailable with the reason.
        """
        key = (wish.device, wish.channel)
        wanted = self._wanted.pop(key, None)
        if upper is None or wanted is None or not self.may(wish.device, wanted.shared):
            self._reports.tell(CascadeEnd(stream=stream_of(wish), at=self._clock()))
            raise NotFound("call.unknown", "the platform does not want to speak to this camera")
        self._running[key] = running = _Running(wanted.shared)
        try:
            call, first = await self._call(upper, wish, wanted)
        except BaseException:
            self._running.pop(key, None)
            self._reports.tell(CascadeEnd(stream=stream_of(wish), at=self._clock()))
            raise
        lines = Lines(first)

        def ended(why: str) -> None:
            self._running.pop(key, None)
            self._numbers.give_back(first.ssrc or 0)
            self._reports.tell(CascadeEnd(stream=stream_of(wish), at=self._clock()))
            lines.end("gb28181.bye" if why == "bye" else why)

        running.call = call
        call.on_end = ended
        if not call.alive:
            ended(call.why)
        elif not self.may(wish.device, running.shared):  # withdrawn meanwhile
            call.hang_up()

        async def done() -> None:
            lines.end("left")
            call.hang_up()

        return lines.response(done)

    async def _call(self, upper: "Upper", wish: CallIn, wanted: _Wanted) -> tuple[Call, CallOut]:
        try:
            ssrc = self._numbers.take("live")
        except GbError as error:
            raise TooMany(error.code, str(error)) from None
        began = asyncio.get_running_loop().time()
        try:
            call = await self._invite(upper, wish, wanted.source, ssrc)
            try:
                media = invite.parse(call.body)
            except GbError as error:
                call.hang_up()
                raise Unavailable("gb28181.sdp", f"the platform's answer cannot be read: {error}") from None
        except BaseException:
            self._numbers.give_back(ssrc)
            raise
        return call, CallOut(
            call=call.id,
            ssrc=ssrc,
            answered_ssrc=media.ssrc,
            remote_host=media.host,
            remote_port=media.port,
            mode="udp",
            payload_type=8,
            encoding="PCMA",
            device_host=call.flow.host,
            answered_after_ms=round((asyncio.get_running_loop().time() - began) * 1_000),
        )

    async def _invite(self, upper: "Upper", wish: CallIn, source: str, ssrc: int) -> Call:
        sound = invite.Media(
            owner=wish.channel,
            host=wish.host,
            port=wish.port,
            kind="audio",
            direction="recvonly",
            payloads=(invite.PCMA,),
            ssrc=ssrc,
        )
        me = upper.as_channel(wish.channel)
        request = me.request(
            "INVITE",
            source,
            upper.config.domain,
            headers=[("Contact", me.contact), ("Subject", invite.subject(source, ssrc, wish.channel))],
            body=invite.write(sound),
            content_type=invite.CONTENT_TYPE,
        )
        try:
            return await self._node.invite(request, upper.flow, timeout=ANSWER_S)
        except CallRefused as refused:
            raise Unavailable("gb28181.refused", f"the platform answered {refused.response.summary}") from None
        except SipFailure:
            raise Unavailable("gb28181.no_answer", "the platform does not answer the INVITE") from None
