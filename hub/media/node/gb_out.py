"""What this relay sends to devices and platforms: talks, and streams as PS; who began them, and how they end."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from hub.bus.call_wire import TalkIn, TalkOut
from hub.bus.gateway_calls import OpenCall
from hub.bus.relay_wire import PsOutIn, PsOutState, TalkConfig
from hub.domain.errors import Conflict, NotFound, TooMany
from hub.media.node.departures import Departure, Departures, OnEnd
from hub.media.node.gb import GbMedia
from hub.media.stream import Stream
from hub.media.taps.ps_out import QUEUE, PsOut
from hub.media.taps.rtp_out import RtpOut
from hub.media.taps.talk import Voice

log: Final = structlog.get_logger(__name__)

MAX_TALKS: Final = 64
MAX_PS: Final = 256
BEAT_S: Final = 5.0
GO_S: Final = 40.0  # an INVITE's answer is given up when no ACK comes for 32 s


@dataclass
class _Talk:
    config: TalkConfig
    task: "asyncio.Task[None]"
    why: str = "deleted"


class Talks:
    """All talks of a relay; ``group`` owns their tasks."""

    def __init__(self, gb: GbMedia, find: Callable[[str], Stream], group: asyncio.TaskGroup, on_end: OnEnd) -> None:
        self._gb = gb
        self._find = find
        self._group = group
        self._on_end = on_end
        self._open: dict[str, _Talk] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def put(self, id: str, config: TalkConfig) -> None:
        """Begin a talk and wait until the device listens; the same again is nothing.

        Raises NotFound ``stream.unknown``, Conflict ``talk.exists``, TooMany ``relay.full``, what the gateway says.
        """
        if (talk := self._open.get(id)) is not None:
            if talk.config == config:
                return
            raise Conflict("talk.exists", "another talk has this id")
        stream = self._find(config.stream)
        if len(self._open) >= MAX_TALKS:
            raise TooMany("relay.full", f"this relay carries {MAX_TALKS} talks")
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = self._group.create_task(self._run(id, stream, config, up), name=f"talk/{id}")
        self._open[id] = _Talk(config, task)
        try:
            await asyncio.shield(up)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def delete(self, id: str, why: str = "deleted") -> bool:
        """End one; False when it is not known."""
        if (talk := self._open.get(id)) is None:
            return False
        talk.why = why
        talk.task.cancel()
        await asyncio.wait([talk.task])
        return True

    async def close_owner(self, owner: str) -> int:
        """End everything of an owner; how many there were."""
        mine = [id for id, talk in self._open.items() if talk.config.owner == owner]
        return sum([await self.delete(id, "withdrawn") for id in mine])

    async def _run(self, id: str, stream: Stream, config: TalkConfig, up: "asyncio.Future[None]") -> None:
        why = ""
        try:
            why = await self._carry(stream, config, up)
        except asyncio.CancelledError:
            why = self._open[id].why if id in self._open else "deleted"
            if not up.done():
                up.cancel()
            raise
        except Exception as error:
            why = getattr(error, "id", type(error).__name__)
            if up.done():
                log.exception("talk.crashed", talk=id)
            else:
                up.set_exception(error)
        finally:
            self._open.pop(id, None)
            if up.done() and not up.cancelled() and up.exception() is None:
                self._on_end(config.stream, id, config.owner, why)

    async def _carry(self, stream: Stream, config: TalkConfig, up: "asyncio.Future[None]") -> str:
        """One talk from port to BYE; why it ended."""
        # Called for a broadcast, the device says in its INVITE how it wants the sound.
        out = RtpOut(config.mode if config.kind == "talk" else None, self._gb.ports)
        call: OpenCall[TalkOut] | None = None
        try:
            await out.listen()
            wish = TalkIn(
                device=config.device,
                channel=config.channel,
                host=self._gb.host,
                port=out.port,
                mode=config.mode,
                kind=config.kind,
                owner=config.owner,
            )
            call = await self._gb.calls.talk(config.gateway, wish)
            out.framed = call.out.framed
            out.settle(call.out.mode)
            await out.connect(call.out.remote_host, call.out.remote_port, call.out.device_host)
            voice = Voice(stream, out, call.out.ssrc, call.out.payload_type)
            up.set_result(None)
            return await self._until_over(voice, call)
        finally:
            log.info("talk.over", channel=config.channel, sent=out.sent, dropped=out.dropped)
            out.close()
            if call is not None:
                await call.close()

    async def _until_over(self, voice: Voice, call: OpenCall[TalkOut]) -> str:
        """Whichever ends first, the sound or the call."""
        speaking = asyncio.ensure_future(voice.run())
        calling = asyncio.ensure_future(_ended(call))
        try:
            await asyncio.wait({speaking, calling}, return_when=asyncio.FIRST_COMPLETED)
            return speaking.result() if speaking.done() else calling.result()
        finally:
            for task in (speaking, calling):
                task.cancel()
            await asyncio.gather(speaking, calling, return_exceptions=True)


async def _ended(call: OpenCall[TalkOut]) -> str:
    async with contextlib.aclosing(call.events()) as events:
        async for event in events:
            if event.event == "ended":
                return event.reason or "device"
    return "gateway.none"


@dataclass
class PsSession(Departure):
    """One stream on its way to a platform above us."""

    out: RtpOut
    wanted: PsOutIn
    host: str
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Let go of the stream and the port."""
        super().stop()
        self.out.close()

    async def lines(self) -> AsyncIterator[bytes]:
        """The answer's body; sending goes on while it is read."""
        state = PsOutState(session=self.id, host=self.host, port=self.out.port)
        yield state.model_dump_json().encode() + b"\n"
        sending = asyncio.ensure_future(self._send())
        try:
            while not (await asyncio.wait([sending], timeout=BEAT_S))[0]:
                yield b"\n"
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self) -> None:
        if self.wanted.hold:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GO_S):
                    await self.go.wait()
            if not self.go.is_set():
                return
        await self.out.connect(self.wanted.host, self.wanted.port, self.wanted.peer_host)
        sender = PsOut(self.out, self.wanted.ssrc, self.wanted.payload_type)
        ends = [asyncio.ensure_future(sender.run(self.reader)), asyncio.ensure_future(self.out.ended.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)


class PsOuts(Departures[PsSession]):
    """All of a relay's."""

    def __init__(self, gb: GbMedia, find: Callable[[str], Stream], on_end: OnEnd) -> None:
        super().__init__(on_end)
        self._gb = gb
        self._find = find

    async def open(self, stream_id: str, wanted: PsOutIn) -> PsSession:
        """A port and a reader for it. Raises NotFound ``stream.unknown``, TooMany ``relay.full``."""
        stream = self._find(stream_id)
        if len(self._open) >= MAX_PS:
            raise TooMany("relay.full", f"this relay sends {MAX_PS} streams to platforms")
        out = RtpOut(wanted.mode, self._gb.ports)
        await out.listen()
        id = "ps-" + secrets.token_urlsafe(12)
        reader = stream.units(id, QUEUE)
        stream.watch(id, hears=False)  # it takes the units themselves: nothing is transcoded for it
        session = PsSession(id, wanted.owner, stream, reader, out, wanted, self._gb.host)
        self._open[id] = session
        return session

    def go(self, id: str) -> None:
        """Begin to send what was held back. Raises NotFound ``ps.unknown``."""
        if (session := self._open.get(id)) is None:
            raise NotFound("ps.unknown", "there is no such session")
        session.go.set()
