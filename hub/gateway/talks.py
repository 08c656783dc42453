"""Speaking to a camera (GB/T 28181-2016 9.12): broadcast, where the device calls us for the sound, and talk, where we
call it. The relay sends; here only who, where and how."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.responses import Response as HttpResponse

from hub.bus.call_wire import MediaMode, TalkIn, TalkOut
from hub.domain.errors import Conflict, HubError, TooMany, Unavailable
from hub.gateway.calls import follow
from hub.gateway.devices import Devices
from hub.gateway.identity import Identity
from hub.gateway.lines import Lines
from hub.gateway.questions import Questions
from signaling.gb28181 import invite
from signaling.gb28181.errors import GbError
from signaling.gb28181.messages import BroadcastNotify, BroadcastResponse
from signaling.gb28181.ssrc import SsrcAllocator
from signaling.sip.address import SipError
from signaling.sip.layer import ServerTransaction
from signaling.sip.transaction import IllegalMove
from signaling.transport.sip import Call, CallRefused, SipFailure, SipNode

log: Final = structlog.get_logger(__name__)

CALLS_BACK_S: Final = 10.0
MAX_TALKS: Final = 256
SOUND: Final = "v/////a/1/8/1"
"""f= of sound alone: G.711, 64 kbit/s, 8 kHz (2016 annex G)."""


@dataclass
class _Awaited:
    wish: TalkIn
    called: "asyncio.Future[ServerTransaction]"


class Talks:
    """One per gateway; one talk a channel at a time."""

    def __init__(
        self, node: SipNode, me: Identity, devices: Devices, questions: Questions, numbers: SsrcAllocator
    ) -> None:
        self._node = node
        self.me = me
        self._devices = devices
        self._questions = questions
        self._numbers = numbers
        self._awaited: dict[str, _Awaited] = {}  # by channel
        self._busy: set[str] = set()  # channels that somebody speaks to, or is about to

    async def open(self, wish: TalkIn) -> HttpResponse:
        """Have the channel take our sound; lines go on until it ends.

        Raises Unavailable with the reason, Conflict ``talk.busy``: somebody speaks to it already.
        """
        key = f"{wish.device}/{wish.channel}"
        if key in self._busy:
            raise Conflict("talk.busy", "somebody speaks to this camera already")
        if len(self._busy) >= MAX_TALKS:
            raise TooMany("gateway.busy", "too many talks run")
        try:
            ssrc = self._numbers.take("live")
        except GbError as error:
            raise TooMany(error.code, str(error)) from None
        self._busy.add(key)
        try:
            call, out = await (self._broadcast(wish, ssrc) if wish.kind == "broadcast" else self._talk(wish, ssrc))
        except BaseException:
            self._busy.discard(key)
            self._numbers.give_back(ssrc)
            raise
        lines = Lines(out)

        def ended(why: str) -> None:
            self._busy.discard(key)
            self._numbers.give_back(ssrc)
            lines.end("gb28181.bye" if why == "bye" else why)

        call.on_end = ended
        if not call.alive:
            ended(call.why)

        async def done() -> None:
            lines.end("left")
            follow(self._devices, wish.device, call)
            call.hang_up()

        return lines.response(done)

    # broadcast: we say that we want to speak, the device calls ------------------------------------------

    async def _broadcast(self, wish: TalkIn, ssrc: int) -> tuple[Call, TalkOut]:
        awaited = _Awaited(wish, asyncio.get_running_loop().create_future())
        key = f"{wish.device}/{wish.channel}"
        self._awaited[key] = awaited
        try:
            notify = BroadcastNotify(sn=self._questions.number(), source=self.me.server_id, target=wish.channel)
            asking = asyncio.create_task(
                self._questions.ask(wish.device, notify, BroadcastResponse), name=f"broadcast/{wish.channel}"
            )
            try:
                tx = await self._called(awaited, asking)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        except BaseException:
            if awaited.called.done() and not awaited.called.cancelled():
                refuse(awaited.called.result(), 480)  # it called in the very moment in which we gave up
            raise
        finally:
            self._awaited.pop(key, None)
        try:
            offer = invite.parse(tx.request.body)
        except GbError as error:
            refuse(tx, 488)
            raise Unavailable("gb28181.sdp", f"the device's call cannot be read: {error}") from None
        mode: MediaMode = "udp"
        if offer.tcp:  # what the device wants to do, seen from our side
            mode = "tcp_active" if offer.setup == "passive" else "tcp_passive"
        number = offer.ssrc or ssrc
        answer = self._sound(wish, mode, number, offer.payloads)
        try:
            call = self._node.answer(tx, body=invite.write(answer), headers=[("Contact", self.me.contact)])
        except (SipError, IllegalMove):
            raise Unavailable("gb28181.no_answer", "the device called and hung up again") from None
        try:
            if not await call.wait_confirmed():
                raise Unavailable("gb28181.no_answer", "the device called and did not take the answer")
        except BaseException:
            call.hang_up()
            raise
        return call, self._out(call, offer, mode, number)

    async def _called(self, awaited: _Awaited, asking: "asyncio.Task[BroadcastResponse]") -> ServerTransaction:
        """The device's INVITE. Some call without having answered; some answer ERROR."""
        try:
            async with asyncio.timeout(CALLS_BACK_S):
                either: set[asyncio.Future[Any]] = {asking, awaited.called}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not awaited.called.done() and asking.done():
                    if (error := asking.exception()) is not None and not _silent(error):
                        raise error
                    if error is None and asking.result().result is False:
                        raise Unavailable("gb28181.talk_refused", "the device does not want to be spoken to")
                return await awaited.called
        except TimeoutError:
            raise Unavailable("gb28181.no_call_back", "the device did not call for the sound") from None

    def invited(self, tx: ServerTransaction) -> None:
        """An INVITE from a device: good only while we wait for one."""
        try:
            sender = tx.request.from_.uri.user or ""
        except ValueError:
            tx.respond(400)
            return
        for awaited in self._awaited.values():
            # From its own host only: the description says where the commander's voice is sent.
            if not self._devices.lives_at(awaited.wish.device, tx.flow.host):
                continue
            if sender in (awaited.wish.channel, awaited.wish.device) and not awaited.called.done():
                tx.respond(100)
                awaited.called.set_result(tx)
                return
        tx.refuse(403)

    # talk: we call ------------------------------------------------------------------------------------

    async def _talk(self, wish: TalkIn, ssrc: int) -> tuple[Call, TalkOut]:
        flow = self._devices.flow(wish.device)
        offer = self._sound(wish, wish.mode, ssrc, (invite.PCMA,))
        request = self.me.request(
            "INVITE",
            wish.channel,
            self.me.domain,
            headers=[("Contact", self.me.contact), ("Subject", invite.subject(self.me.server_id, ssrc, wish.channel))],
            body=invite.write(offer),
            content_type=invite.CONTENT_TYPE,
        )
        try:
            call = await self._node.invite(request, flow, timeout=CALLS_BACK_S)
        except CallRefused as refused:
            raise Unavailable("gb28181.talk_refused", f"the device answered {refused.response.summary}") from None
        except SipFailure:
            raise Unavailable("gb28181.no_answer", "the device does not answer the INVITE") from None
        try:
            answer = invite.parse(call.body)
        except GbError as error:
            call.hang_up()
            raise Unavailable("gb28181.sdp", f"the device's answer cannot be read: {error}") from None
        return call, self._out(call, answer, wish.mode, ssrc)

    def _sound(self, wish: TalkIn, mode: MediaMode, ssrc: int, payloads: tuple[invite.Payload, ...]) -> invite.Media:
        chosen = next((each for each in payloads if each.encoding == "PCMA"), invite.PCMA)
        return invite.Media(
            owner=self.me.server_id,
            host=wish.host,
            port=wish.port,
            purpose="play" if wish.kind == "broadcast" else "talk",
            kind="audio",
            tcp=mode != "udp",
            setup={"udp": "", "tcp_passive": "passive", "tcp_active": "active"}[mode],  # type: ignore[arg-type] # literals
            direction="sendonly" if wish.kind == "broadcast" else "sendrecv",
            payloads=(chosen,),
            ssrc=ssrc,
            format=SOUND,
        )

    def _out(self, call: Call, media: invite.Media, mode: MediaMode, ssrc: int) -> TalkOut:
        chosen = next((each.number for each in media.payloads if each.encoding == "PCMA"), 8)
        return TalkOut(
            call=call.id,
            ssrc=ssrc,
            remote_host=media.host,
            remote_port=media.port,
            mode=mode,
            payload_type=chosen,
            device_host=call.flow.host,
        )


def refuse(tx: ServerTransaction, status: int) -> None:
    """Refuse a call, unless it was called off meanwhile."""
    if not tx.answered:
        tx.respond(status)


def _silent(error: BaseException) -> bool:
    return isinstance(error, HubError) and error.id == "gb28181.no_answer"
