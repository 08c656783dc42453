"""INVITEs to devices for a relay: live, playback, download (GB/T 28181-2016 9.2, 9.8, 9.9).

A call lives as long as whoever asked holds the HTTP answer open: nothing has to be remembered over a restart. The old
life's calls are known to the devices only; they end there when no media is taken, or at the next INVITE.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from starlette.responses import Response as HttpResponse

from hub.bus.call_wire import CallEvent, CallIn, CallOut, ControlIn
from hub.domain.errors import Conflict, HubError, Invalid, NotFound, TooMany, Unavailable
from hub.gateway.devices import Devices
from hub.gateway.identity import Identity
from hub.gateway.lines import Lines
from hub.gateway.questions import Questions
from signaling.gb28181 import invite, mansrtsp
from signaling.gb28181.errors import GbError
from signaling.gb28181.mansrtsp import Steer
from signaling.gb28181.messages import DeviceControl
from signaling.gb28181.ssrc import SsrcAllocator
from signaling.gb28181.substream import SubForm
from signaling.sip.layer import ServerTransaction
from signaling.transport.sip import Call, CallRefused, SipBusy, SipFailure, SipNode

log: Final = structlog.get_logger(__name__)

ANSWER_S: Final = 12.0
MAX_CALLS: Final = 4_096
MAX_OF_DEVICE: Final = 256  # a large platform below us is one device
REASONS: Final = {
    403: "gb28181.forbidden",
    404: "gb28181.channel_unknown",
    480: "gb28181.channel_offline",
    486: "gb28181.busy",
    488: "gb28181.not_acceptable",
    600: "gb28181.busy",
}


@dataclass
class Running:
    """One call that was answered."""

    wish: CallIn
    ssrc: int
    call: Call
    lines: Lines
    cseq: int = 0
    steering: asyncio.Lock = field(default_factory=asyncio.Lock)


class Calls:
    """One per gateway."""

    def __init__(self, node: SipNode, me: Identity, devices: Devices, questions: Questions) -> None:
        self._node = node
        self.me = me
        self._devices = devices
        self._questions = questions
        self._running: dict[str, Running] = {}
        self._asking: Counter[str] = Counter()  # INVITEs that are not answered, by device
        self.numbers = SsrcAllocator(me.domain)
        self.counts: Counter[str] = Counter()
        self.on_file_end: Callable[[str], None] = lambda stream: None

    def __len__(self) -> int:
        return len(self._running)

    async def open(self, wish: CallIn) -> HttpResponse:
        """Call the channel; the answer's lines go on until the call ends.

        Raises Unavailable with the reason (``gb28181.offline``, ``…no_answer``, ``…busy``, ``…refused``,
        ``…no_sub_stream`` …), TooMany.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        call, ssrc = await self.start(wish)
        try:
            media = _described(call)
            if wish.mode != "udp" and not media.tcp:
                raise Unavailable("gb28181.not_acceptable", "the device answers TCP with UDP")
        except HubError:
            self.numbers.give_back(ssrc)
            call.hang_up()
            raise
        first = CallOut(
            call=call.id,
            ssrc=ssrc,
            answered_ssrc=media.ssrc,
            remote_host=media.host,
            remote_port=media.port,
            mode=wish.mode,
            payload_type=media.payloads[0].number if media.payloads else 96,
            encoding=media.payloads[0].encoding if media.payloads else "PS",
            answered_after_ms=round((loop.time() - began) * 1_000),
            edition=self._devices.edition(wish.device),
            device_host=call.flow.host,
        )
        running = Running(wish, ssrc, call, Lines(first))
        self._keep(running)

        async def done() -> None:
            running.lines.end("left")
            follow(self._devices, wish.device, call)
            call.hang_up()

        return running.lines.response(done)

    async def start(self, wish: CallIn) -> tuple[Call, int]:
        """INVITE, and the answer's call and our SSRC, which the caller gives back. Raises as ``open``."""
        flow = self._devices.flow(wish.device)
        form = self._devices.sub_form(wish.device, wish.sub) if wish.stream else None
        of_device = self._devices.calls.get(wish.device, 0) + self._asking[wish.device]
        if len(self._running) + self._asking.total() >= MAX_CALLS or of_device >= MAX_OF_DEVICE:
            raise TooMany("gateway.busy", "too many calls run")
        try:
            ssrc = self.numbers.take("live" if wish.purpose == "play" else "playback")
        except GbError as error:
            raise TooMany(error.code, str(error)) from None
        self._asking[wish.device] += 1
        try:
            request = self.me.request(
                "INVITE",
                wish.channel,
                self.me.domain,
                headers=[
                    ("Contact", self.me.contact),
                    ("Subject", invite.subject(wish.channel, ssrc, self.me.server_id)),
                ],
                body=invite.write(self._offer(wish, ssrc, form)),
                content_type=invite.CONTENT_TYPE,
            )
            return await self._node.invite(request, flow, timeout=ANSWER_S), ssrc
        except GbError as error:
            self.numbers.give_back(ssrc)
            raise Invalid(error.code, str(error)) from None
        except SipBusy:
            self.numbers.give_back(ssrc)
            raise TooMany("gateway.busy", "too many messages are under way") from None
        except CallRefused as refused:
            self.numbers.give_back(ssrc)
            self.counts["refused"] += 1
            status = refused.response.status
            reason = REASONS.get(status, "gb28181.refused")
            raise Unavailable(reason, f"the device answered {refused.response.summary}") from None
        except SipFailure:
            self.numbers.give_back(ssrc)
            self.counts["unanswered"] += 1
            raise Unavailable("gb28181.no_answer", "the device does not answer the INVITE") from None
        except BaseException:
            self.numbers.give_back(ssrc)
            raise
        finally:
            self._asking[wish.device] -= 1
            if not self._asking[wish.device]:
                del self._asking[wish.device]

    def _offer(self, wish: CallIn, ssrc: int, form: SubForm | None) -> invite.Media:
        timed = wish.purpose != "play"
        return invite.Media(
            owner=wish.channel,
            host=wish.host,
            port=wish.port if wish.mode != "tcp_active" else wish.port or 9,
            purpose="play" if wish.purpose == "listen" else wish.purpose,  # that one is no device's
            tcp=wish.mode != "udp",
            setup={"udp": "", "tcp_passive": "passive", "tcp_active": "active"}[wish.mode],  # type: ignore[arg-type] # literals
            payloads=invite.OFFERED,
            ssrc=ssrc,
            start_s=wish.start_s,
            end_s=wish.end_s,
            channel=wish.channel if timed else "",
            speed=wish.speed if wish.purpose == "download" else None,
            stream=wish.stream or None,
            form=form or "streamnumber",
        )

    def _keep(self, running: Running) -> None:
        device, call = running.wish.device, running.call
        self._running[call.id] = running
        self._devices.calls[device] = self._devices.calls.get(device, 0) + 1
        self.counts["opened"] += 1

        def ended(why: str) -> None:
            self._running.pop(call.id, None)
            self.numbers.give_back(running.ssrc)
            left = self._devices.calls.get(device, 1) - 1
            if left:
                self._devices.calls[device] = left
            else:
                self._devices.calls.pop(device, None)
            running.lines.end("gb28181.bye" if why == "bye" else why)

        def asked(tx: ServerTransaction) -> None:
            over = tx.method == "MESSAGE" and b"MediaStatus" in tx.request.body
            tx.respond(200 if tx.method in ("INFO", "MESSAGE", "UPDATE", "OPTIONS") else 488)
            if over:
                self.file_end(call.id)

        call.on_end = ended
        call.on_request = asked
        if not call.alive:  # it ended between the answer and us
            ended(call.why)

    def file_end(self, call_id: str) -> bool:
        """MediaStatus 121: everything was sent. True when the call is known."""
        running = self._running.get(call_id)
        if running is None:
            return False
        running.lines.tell(CallEvent(event="file_end"))
        self.on_file_end(stream_of(running.wish))
        return True

    def of_stream(self, stream: str) -> Running | None:
        """The call that a stream asked for."""
        return next((each for each in self._running.values() if stream_of(each.wish) == stream), None)

    async def control(self, call_id: str, asked: ControlIn) -> None:
        """Steer a playback (annex B). Raises NotFound ``call.unknown``, Conflict, Invalid, Unavailable."""
        running = self._running.get(call_id)
        if running is None:
            raise NotFound("call.unknown", "no such call")
        if running.wish.purpose == "play":
            raise Conflict("call.live", "a live picture cannot be steered")
        async with running.steering:
            running.cseq += 1
            follow(self._devices, running.wish.device, running.call)
            body = mansrtsp.write(_steer(asked, running.cseq))
            try:
                answer = await running.call.info(body, mansrtsp.CONTENT_TYPE)
            except SipFailure:
                raise Unavailable("gb28181.no_answer", "the device does not answer") from None
        if not 200 <= answer.status < 300:
            raise Unavailable("gb28181.refused", f"the device answered {answer.summary}")
        running.lines.tell(CallEvent(event="paused" if asked.action == "pause" else "resumed"))

    async def keyframe(self, call_id: str) -> None:
        """Ask for a key frame (2016 A.2.3.1: IFameCmd). Raises NotFound ``call.unknown``, Unavailable."""
        running = self._running.get(call_id)
        if running is None:
            raise NotFound("call.unknown", "no such call")
        command = DeviceControl(sn=self._questions.number(), device=running.wish.channel, keyframe=True)
        await self._questions.send(running.wish.device, command)


def stream_of(wish: CallIn) -> str:
    """The stream that a relay asks for; it calls itself relay and stream."""
    return wish.owner.rpartition("/")[2]


def follow(devices: Devices, device: str, call: Call) -> None:
    """Requests of a call go to where the device is now: a BYE to an address that it left would stop no picture."""
    with contextlib.suppress(HubError):
        flow = devices.flow(device)
        if flow.transport == call.flow.transport:
            call.flow = flow


def _described(call: Call) -> invite.Media:
    try:
        return invite.parse(call.body)
    except GbError as error:
        raise Unavailable("gb28181.sdp", f"the device's answer cannot be read: {error}") from None


def _steer(asked: ControlIn, cseq: int) -> Steer:
    match asked.action:
        case "pause":
            return Steer("pause", cseq)
        case "play":
            return Steer("play", cseq)
        case "seek" if asked.seek_s is not None:
            return Steer("play", cseq, seek_s=asked.seek_s)
        case "speed" if asked.speed is not None:
            return Steer("play", cseq, scale=asked.speed)
    raise Invalid("request.invalid", f"{asked.action} needs a value")
