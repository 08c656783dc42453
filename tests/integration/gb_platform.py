"""A platform just large enough to prove the simulated device: registrar, questions, calls, media over real sockets."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.film import Film
from hub.demo.gb_device.fleet import running
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.media.rtp.packet import parse_rtp
from signaling.gb28181 import invite, manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.es import MediaUnit
from signaling.gb28181.invite import Media
from signaling.gb28181.ps import PsDemuxer
from signaling.gb28181.ps_mux import RtpSender
from signaling.gb28181.times import format_date
from signaling.sip.digest import Authority
from signaling.sip.message import Request, make_request
from signaling.transport.sip import Call, Flow, NodeConfig, ServerTransaction, SipNode

SERVER, DOMAIN, PASSWORD = "34020000002000000001", "3402000000", "demo-secret"
M = TypeVar("M", bound=m.Message)
Mode = Literal["udp", "tcp_passive", "tcp_active"]


@dataclass
class Receiver:
    """What arrives at one media port; ``connection`` bytes are kept raw when they cannot be RTP."""

    packets: list[bytes] = field(default_factory=list)
    units: list[MediaUnit] = field(default_factory=list)
    demuxer: PsDemuxer = field(default_factory=PsDemuxer)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    raw: bytearray = field(default_factory=bytearray)

    def packet(self, data: bytes) -> None:
        self.packets.append(data)
        header = parse_rtp(data)
        if header.payload_type in (96, 98, 33):
            self.units += self.demuxer.feed(header.payload, time=header.timestamp, marker=header.marker)
        self.grown.set()

    async def until(self, true: Callable[["Receiver"], bool], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not true(self):
                self.grown.clear()
                await self.grown.wait()

    def pictures(self) -> list[MediaUnit]:
        return [unit for unit in self.units if unit.codec == "h264"]


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def datagram_received(self, data: bytes, _addr: tuple[str | Any, int]) -> None:
        self.receiver.packet(data)


async def _read_framed(reader: asyncio.StreamReader, receiver: Receiver) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            receiver.packet(await reader.readexactly(size))


@dataclass
class Live:
    """A call of ours and what it brings."""

    call: Call
    answer: Media
    receiver: Receiver


class Platform:
    """Registrar and asker. ``got`` keeps every MANSCDP message; ``requests`` every request of the device."""

    def __init__(self) -> None:
        self.got: list[tuple[m.Message | m.Unknown, ServerTransaction]] = []
        self.requests: list[Request] = []
        self.raw: list[bytes] = []
        self.flow: Flow | None = None
        self.broadcast_port = 40_000
        self.broadcasts: list[tuple[Call, Media]] = []
        self._grown = asyncio.Event()
        self._authority = Authority(DOMAIN, now=asyncio.get_running_loop().time)
        self._sn = 100

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Platform"]:
        def trace(direction: str, _flow: Flow, data: bytes) -> None:
            if direction == "in":
                self.raw.append(data)

        async with SipNode(self._handle, NodeConfig(), trace=trace) as node, contextlib.AsyncExitStack() as stack:
            self.node, self._stack = node, stack
            yield self

    def _handle(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        self.requests.append(request)
        match transaction.method:
            case "REGISTER":
                self._register(transaction)
            case "MESSAGE":
                self.got.append((manscdp.parse(request.body), transaction))
                transaction.respond(200)
            case "INVITE":
                self._broadcast(transaction)
        self._grown.set()

    def _register(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        checked = self._authority.check(request.headers.all("Authorization"), "REGISTER", lambda _name: PASSWORD)
        if not checked.good:
            challenges = [("WWW-Authenticate", each) for each in self._authority.challenges()]
            transaction.respond(401, headers=challenges)
            return
        self.flow = transaction.flow
        ahead = format_date(int((time.time() + 3_600) * 1_000))  # an hour, to see that it is taken
        transaction.respond(200, headers=[("Expires", request.headers.get("Expires") or "3600"), ("Date", ahead)])

    def _broadcast(self, transaction: ServerTransaction) -> None:
        offer = invite.parse(transaction.request.body)
        setup: invite.Setup = ("passive" if offer.setup == "active" else "active") if offer.tcp else ""
        answer = replace(offer, owner=SERVER, direction="sendonly", port=self.broadcast_port, setup=setup)
        call = self.node.answer(transaction, body=invite.write(answer))
        self.broadcasts.append((call, offer))

    async def until(self, true: Callable[["Platform"], bool], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not true(self):
                self._grown.clear()
                await self._grown.wait()

    def all(self, kind: type[M]) -> list[M]:
        return [message for message, _ in self.got if isinstance(message, kind)]

    async def one(self, kind: type[M], count: int = 1) -> list[M]:
        """Wait for ``count`` messages of a kind."""
        await self.until(lambda _: len(self.all(kind)) >= count)
        return self.all(kind)

    def sn(self) -> int:
        self._sn += 1
        return self._sn

    def request(self, method: str, to: str, body: bytes, content_type: str = manscdp.CONTENT_TYPE) -> Request:
        return make_request(
            method,
            f"sip:{to}@{DOMAIN}",
            from_=f"sip:{SERVER}@{DOMAIN}",
            to=f"sip:{to}@{DOMAIN}",
            body=body,
            content_type=content_type,
        )

    async def send(self, message: m.Message, to: str = "") -> int:
        """A MESSAGE; the status."""
        assert self.flow is not None
        request = self.request("MESSAGE", to or message.device, manscdp.write(message))
        return (await self.node.request(request, self.flow)).status

    async def open(self, target: str, mode: Mode = "udp", **more: Any) -> Live:
        """INVITE a channel and receive what it sends."""
        assert self.flow is not None
        receiver = Receiver()
        port = 9
        if mode == "udp":
            port = await self.udp(receiver)
        elif mode == "tcp_passive":
            server = await asyncio.start_server(lambda reader, _w: _read_framed(reader, receiver), "127.0.0.1", 0)
            self._stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
        given: dict[str, Any] = {"ssrc": 200_000_007, "payloads": invite.OFFERED, **more}
        offer = Media(
            owner=SERVER, host="127.0.0.1", port=port, tcp=mode != "udp",
            setup="" if mode == "udp" else "passive" if mode == "tcp_passive" else "active", **given,
        )  # fmt: skip
        request = self.request("INVITE", target, invite.write(offer), invite.CONTENT_TYPE)
        request.headers.add("Subject", invite.subject(target, offer.ssrc or 0, SERVER))
        call = await self.node.invite(request, self.flow, timeout=5.0)
        answer = invite.parse(call.body)
        if mode == "tcp_active":
            reader, writer = await asyncio.open_connection(answer.host, answer.port)
            self._stack.callback(writer.close)
            task = asyncio.create_task(_read_framed(reader, receiver))
            self._stack.callback(task.cancel)
        return Live(call, answer, receiver)

    async def udp(self, receiver: Receiver) -> int:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(receiver), sock=sock)
        self._stack.callback(transport.close)
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def registered(film: Film, *quirks: Quirk, **more: Any) -> AsyncIterator[tuple[Platform, GbDevice]]:
    """A platform and a device that has registered with it."""
    async with Platform().listening() as platform:
        given: dict[str, Any] = {"channels": 2, "heartbeat_s": 0.2, "late_s": 0.3, **more}
        options = DeviceOptions(
            server_id=SERVER,
            domain=DOMAIN,
            port=platform.node.port,
            password=PASSWORD,
            quirks=frozenset(quirks),
            **given,
        )
        async with running(options, film) as device:
            async with asyncio.timeout(60):
                await device.registered.wait()
            yield platform, device


def voice(sender: RtpSender, count: int) -> list[bytes]:
    """So many packets of 20 ms."""
    return [sender.packet(bytes([0xD5]) * 160, index * 160) for index in range(count)]
