"""A gateway as a relay sees it, with devices behind it that send real program streams over real sockets."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from hub.bus import internal_http
from hub.bus.call_wire import CallIn, CallOut, TalkIn, TalkOut
from hub.bus.gateway_calls import GatewayCalls
from hub.domain.clock import system_clock
from hub.domain.errors import HubError, Unavailable
from hub.domain.gb_url import parse_gb_url
from hub.media.peer.ports import Ports
from hub.media.sources.gb28181.source import GbSource, Memory
from signaling.gb28181.es import VideoCodec
from signaling.gb28181.framing import frame
from signaling.gb28181.ps_mux import Oddities, PsMuxer, RtpSender
from tests.unit.gb_media.kit import SOUND, film

TOKEN = "token-of-this-installation"
DEVICE, CHANNEL = "34020000001110000001", "34020000001310000001"
URL = f"gb28181://{DEVICE}/{CHANNEL}?stream=0"
SSRC = 100_000_001
FRAME_S = 0.01


@dataclass
class Manner:
    """How a device behaves."""

    modes: tuple[str, ...] = ("udp", "tcp_passive", "tcp_active")  # in which anything arrives
    refuses: HubError | None = None
    codec: VideoCodec = "h264"
    svac: bool = False
    ssrc: int = SSRC
    payload_type: int = 96
    loss: float = 0.0
    swaps: float = 0.0
    skip: int = 0  # bytes of the TCP stream that are left out at its beginning
    dollar: bool = False
    noise: bool = False
    keyframes: bool = True
    pictures: int = 10_000
    oddities: Oddities | None = None
    end: str | None = None  # event after the last picture
    reason: str = ""  # and what the gateway says of it


@dataclass
class Gateway:
    """What was asked for, and the devices' manner."""

    manner: Manner = field(default_factory=Manner)
    url: str = ""
    invites: list[CallIn] = field(default_factory=list)
    talks: list[TalkIn] = field(default_factory=list)
    keyframes: int = 0
    open: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    talk_out: TalkOut | None = None

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/calls", self.calls, methods=["POST"]),
            Route("/talks", self.talk, methods=["POST"]),
            Route("/calls/{call}/keyframe", self.keyframe, methods=["POST"]),
        ]

    async def keyframe(self, _: Request) -> Response:
        self.keyframes += 1
        return Response(status_code=204)

    async def talk(self, request: Request) -> Response:
        self.talks.append(await internal_http.read(request, TalkIn))
        assert self.talk_out is not None
        return self._lines(self.talk_out.model_dump_json(), None)

    async def calls(self, request: Request) -> Response:
        wish = await internal_http.read(request, CallIn)
        self.invites.append(wish)
        if self.manner.refuses is not None:
            raise self.manner.refuses
        listener: socket.socket | None = None
        if wish.mode == "tcp_active":
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
        out = CallOut(
            call=f"call-{len(self.invites)}", ssrc=SSRC, answered_ssrc=self.manner.ssrc, remote_host="127.0.0.1",
            remote_port=listener.getsockname()[1] if listener is not None else 15_060, mode=wish.mode,
            answered_after_ms=3,
        )  # fmt: skip
        return self._lines(out.model_dump_json(), lambda: send(self.manner, wish, listener))

    def _lines(self, first: str, play: "Callable[[], Coroutine[None, None, None]] | None") -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            self.open += 1
            sending = asyncio.create_task(play()) if play is not None else None
            try:
                yield first + "\n"
                if sending is not None:
                    while not (await asyncio.wait([sending], timeout=1.0))[0]:
                        yield "\n"  # a gateway lives, whatever its device does
                    if self.manner.end is not None:
                        yield json.dumps({"event": self.manner.end, "reason": self.manner.reason}) + "\n"
                while True:
                    yield "\n"
                    await asyncio.sleep(0.05)
            finally:
                if sending is not None:
                    sending.cancel()
                self.open -= 1
                self.closed.set()

        return StreamingResponse(lines(), media_type="application/x-ndjson")


async def send(manner: Manner, wish: CallIn, listener: socket.socket | None) -> None:
    """Be the device of one call."""
    loop = asyncio.get_running_loop()
    if wish.mode not in manner.modes:
        return
    if wish.mode == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((wish.host, wish.port))
            async for packets in rtp(manner):
                for packet in packets:
                    with contextlib.suppress(OSError):
                        sock.send(packet)
        return
    if listener is not None:
        connection, _ = await loop.sock_accept(listener)
        listener.close()
    else:
        connection = socket.socket()
        connection.setblocking(False)
        await loop.sock_connect(connection, (wish.host, wish.port))
    skip = manner.skip
    with connection, contextlib.suppress(OSError):
        async for packets in rtp(manner):
            data = b"".join((b"$\0" if manner.dollar else b"") + frame(packet) for packet in packets)
            await loop.sock_sendall(connection, data[skip:])
            skip = max(skip - len(data), 0)
        await asyncio.sleep(3_600)


async def rtp(manner: Manner) -> AsyncIterator[list[bytes]]:
    """The film round and round, one picture and its sound at a time."""
    dice = random.Random(5)
    sender = RtpSender(manner.ssrc, manner.payload_type, seq=65_500)
    muxer = PsMuxer("svac" if manner.svac else manner.codec, sound="pcma", oddities=manner.oddities)
    shots = [shot for shot in film(manner.codec) if manner.keyframes or not shot.key]
    for place in range(manner.pictures):
        shot = shots[place % len(shots)]
        pts = 900_000 + place * 3_600
        data = dice.randbytes(3_000) if manner.noise else muxer.picture(shot.data, pts, key=shot.key)
        packets = sender.packets(data, pts, limit=700)
        if not manner.noise:
            packets += sender.packets(muxer.sound(SOUND, pts), pts, marker=False)
        packets = [packet for packet in packets if dice.random() >= manner.loss]
        for at in range(len(packets) - 1):
            if dice.random() < manner.swaps:
                packets[at], packets[at + 1] = packets[at + 1], packets[at]
        yield packets
        await asyncio.sleep(FRAME_S)


@dataclass
class Rig:
    """A gateway that listens, and sources that use it."""

    gateway: Gateway
    calls: GatewayCalls
    ports: Ports
    memory: Memory

    def source(self, url: str = URL, **given: object) -> GbSource:
        options: dict[str, object] = {"first_s": 0.6, "read_s": 2.0, "keyframe_s": 1.0} | given
        return GbSource(
            parse_gb_url(url), gateway=self.gateway.url, calls=self.calls, ports=self.ports, memory=self.memory,
            host="127.0.0.1", clock=system_clock, **options,  # type: ignore[arg-type]
        )  # fmt: skip


@contextlib.asynccontextmanager
async def gb_rig(manner: Manner | None = None) -> AsyncIterator[Rig]:
    """Everything on ephemeral ports of the loopback."""
    gateway = Gateway(manner or Manner())
    async with (
        internal_http.serve(gateway.routes(), token=TOKEN, host="127.0.0.1") as gateway.url,
        GatewayCalls(TOKEN) as calls,
    ):
        yield Rig(gateway, calls, Ports("127.0.0.1"), Memory())


def refusal(id: str) -> HubError:
    """As a gateway would say it."""
    return Unavailable(id, "the device says no")
