"""A platform above us calls a shared camera: the api finds the relay, the relay sends, we answer (GB/T 28181-2016 9.2).

The relay's HTTP answer lives as long as the call: closing it ends the sending, its end sends BYE upwards.
"""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from hub.bus.call_wire import ControlIn, MediaMode
from hub.bus.gateway_wire import CascadeEnd, CascadeInvite, CascadeMedia, SharedChannel
from hub.bus.relay_lines import RelayLines, Sending
from hub.bus.relay_wire import PsOutIn, PsOutState
from hub.domain.clock import Clock
from hub.domain.errors import HubError, Unavailable
from hub.gateway.calls import Calls
from hub.gateway.reports import Reports
from signaling.gb28181 import invite, manscdp, mansrtsp
from signaling.gb28181.errors import GbError
from signaling.gb28181.messages import MediaStatus
from signaling.sip.layer import ServerTransaction
from signaling.transport.sip import Call, SipFailure, SipNode

if TYPE_CHECKING:
    from hub.gateway.cascade import Upper

log: Final = structlog.get_logger(__name__)

MEDIA_S: Final = 15.0  # the api opens the camera; playback has to be found
MAX_CALLS: Final = 512
BUSY: Final = {"camera.unknown": 404, "relay.none": 503, "relay.full": 486}


@dataclass
class _Asked:
    upper: str
    media: "asyncio.Future[CascadeMedia]"


@dataclass
class _Running:
    upper: "Upper"
    shared: SharedChannel
    call: Call
    stream: str


class CascadeCalls:
    """One per gateway."""

    def __init__(self, node: SipNode, calls: Calls, reports: Reports, token: str, clock: Clock) -> None:
        self._node = node
        self._calls = calls
        self._reports = reports
        self._relays = RelayLines(token)
        self._clock = clock
        self._asked: dict[str, _Asked] = {}
        self._running: dict[str, _Running] = {}  # by Call-ID
        self.may: Callable[[str, SharedChannel], bool] = lambda upper, shared: True
        """Whether a platform may see a channel now; ``Cascade`` knows."""
        self._telling: set[asyncio.Task[None]] = set()
        self.gateway = ""  # our node id

    def by_upper(self) -> Counter[str]:
        """How many calls each platform has."""
        return Counter(each.upper.config.id for each in self._running.values())

    def withdraw(self) -> None:
        """What is shared has changed: hang up what may be seen no more."""
        for running in list(self._running.values()):
            if not self.may(running.upper.config.id, running.shared):
                log.info("upper.withdrawn", upper=running.upper.config.id, channel=running.shared.id)
                running.call.hang_up()

    def media(self, call: str, media: CascadeMedia) -> None:
        """What the api found."""
        asked = self._asked.get(call)
        if asked is not None and not asked.media.done():
            asked.media.set_result(media)

    async def invited(self, upper: "Upper", tx: ServerTransaction) -> None:
        """One INVITE, from the question to the end of the call."""
        if len(self._running) + len(self._asked) >= MAX_CALLS:
            tx.respond(486)
            return
        shared = upper.channels.get(_called(tx))
        if shared is None:
            tx.respond(404)
            return
        try:
            offer = invite.parse(tx.request.body)
        except GbError as error:
            log.info("upper.sdp", upper=upper.config.id, error=str(error))
            tx.respond(488)
            return
        if offer.kind != "video" or offer.purpose == "talk":
            tx.respond(488)
            return
        tx.respond(100)
        cancelled = asyncio.Event()
        tx.on_cancel = lambda _: cancelled.set()
        question = CascadeInvite(
            node=self.gateway,
            call=f"up-{secrets.token_hex(16)}",  # a Call-ID would have to stand in a path of ours, and may come twice
            upper=upper.config.id,
            camera=shared.camera,
            purpose="playback" if offer.purpose in ("playback", "download") else "play",
            start_s=offer.start_s,
            end_s=offer.end_s,
            speed=min(max(offer.speed or 1, 1), 16),
            at=self._clock(),
        )
        media = await self._find(question)
        try:
            if cancelled.is_set() or tx.answered:
                return
            if media.relay is None or media.stream is None:
                tx.respond(BUSY.get(media.error or "", 480))
                return
            await self._send(upper, tx, offer, media, shared)
        finally:
            if media.stream is not None and question.purpose == "playback":
                self._reports.tell(CascadeEnd(stream=media.stream, at=self._clock()))

    def file_end(self, stream: str) -> None:
        """The device below has sent all of a recording: say so above (2016 9.8.2)."""
        found = next((each for each in self._running.values() if each.stream == stream), None)
        if found is None:
            return
        body = manscdp.write(MediaStatus(sn=1, device=found.shared.id), found.upper.config.charset)

        async def tell() -> None:
            with contextlib.suppress(SipFailure):
                await found.call.request("MESSAGE", body=body, content_type=manscdp.CONTENT_TYPE)

        task = asyncio.create_task(tell(), name=f"upper/file_end/{stream}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _find(self, question: CascadeInvite) -> CascadeMedia:
        asked = _Asked(question.upper, asyncio.get_running_loop().create_future())
        self._asked[question.call] = asked
        self._reports.tell(question)
        try:
            async with asyncio.timeout(MEDIA_S):
                return await asked.media
        except TimeoutError:
            return CascadeMedia(error="relay.none")
        finally:
            self._asked.pop(question.call, None)

    async def _send(
        self, upper: "Upper", tx: ServerTransaction, offer: invite.Media, media: CascadeMedia, shared: SharedChannel
    ) -> None:
        assert media.relay is not None
        assert media.stream is not None
        mode: MediaMode = "udp"
        if offer.tcp:  # as we see it: they listen, so we dial
            mode = "tcp_passive" if offer.setup == "active" else "tcp_active"
        wish = PsOutIn(
            host=offer.host,
            port=offer.port,
            mode=mode,
            ssrc=offer.ssrc or 0,
            payload_type=offer.payloads[0].number if offer.payloads else 96,
            owner=f"gb-{upper.config.id}",
            peer_host=tx.flow.host,
            hold=True,
        )
        try:
            async with contextlib.AsyncExitStack() as stack:
                sending = await stack.enter_async_context(self._relays.open(media.relay, media.stream, wish))
                if tx.answered:
                    return  # cancelled meanwhile
                if not self.may(upper.config.id, shared):  # withdrawn meanwhile
                    tx.respond(404)
                    return
                call = self._answer(upper, tx, offer, mode, sending.first)
                self._running[call.id] = _Running(upper, shared, call, media.stream)
                call.on_request = lambda request: self._inside(request, media.stream or "")
                try:
                    await self._until_over(call, sending)
                finally:
                    self._running.pop(call.id, None)
                    call.hang_up()
        except HubError as error:
            log.info("upper.no_media", upper=upper.config.id, error=error.id)
            if not tx.answered:
                tx.respond(BUSY.get(error.id, 480))

    async def _until_over(self, call: Call, sending: Sending) -> None:
        """Send once the answer is acknowledged, until either side ends it.

        Anybody can write the platform's address on a datagram and his own into the description; who acknowledges our
        answer has seen it. Raises HubError: the relay is gone.
        """
        if await call.wait_confirmed():
            await sending.begin()
        ended = asyncio.create_task(call.wait_ended(), name=f"upper/call/{call.id}")
        over = asyncio.create_task(sending.ended(), name=f"upper/media/{call.id}")
        try:
            await asyncio.wait({ended, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ended, over):
                task.cancel()

    def _answer(
        self, upper: "Upper", tx: ServerTransaction, offer: invite.Media, mode: MediaMode, sending: PsOutState
    ) -> Call:
        answer = invite.Media(
            owner=upper.config.local_id,
            host=sending.host,
            port=sending.port,
            purpose=offer.purpose,
            tcp=offer.tcp,
            setup={"udp": "", "tcp_passive": "passive", "tcp_active": "active"}[mode],  # type: ignore[arg-type] # literals
            direction="sendonly",
            payloads=(offer.payloads[0] if offer.payloads else invite.PS,),
            ssrc=offer.ssrc,
            start_s=offer.start_s,
            end_s=offer.end_s,
        )
        return self._node.answer(tx, body=invite.write(answer), headers=[("Contact", upper.me.contact)])

    def _inside(self, tx: ServerTransaction, stream: str) -> Coroutine[Any, Any, None] | None:
        """INFO of a playback goes on to the call below."""
        if tx.method != "INFO":
            tx.respond(200 if tx.method in ("MESSAGE", "UPDATE", "OPTIONS") else 488)
            return None
        running = self._calls.of_stream(stream)
        try:
            steer = mansrtsp.parse(tx.request.body)
        except GbError:
            tx.respond(400)
            return None
        if running is None or steer.action == "teardown":
            tx.respond(200)
            return None
        return self._steer(tx, running.call.id, steer)

    async def _steer(self, tx: ServerTransaction, call: str, steer: mansrtsp.Steer) -> None:
        wishes: list[ControlIn] = []
        if steer.action == "pause":
            wishes.append(ControlIn(action="pause"))
        if steer.seek_s is not None:
            wishes.append(ControlIn(action="seek", seek_s=steer.seek_s))
        if steer.scale is not None:
            wishes.append(ControlIn(action="speed", speed=min(max(steer.scale, 0.125), 16)))
        try:
            for wish in wishes or [ControlIn(action="play")]:
                await self._calls.control(call, wish)
        except Unavailable:
            tx.respond(480)
            return
        except HubError:
            tx.respond(481)
            return
        tx.respond(200, body=mansrtsp.write_answer(steer.cseq), content_type=mansrtsp.CONTENT_TYPE)


def _called(tx: ServerTransaction) -> str:
    """Whose picture is wanted: the Request-URI; some write it into the Subject alone."""
    try:
        user = tx.request.target.user or ""
    except ValueError:
        user = ""
    subject = invite.parse_subject(tx.request.headers.get("Subject") or "")
    return user or (subject[0] if subject else "")
