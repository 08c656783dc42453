"""Sockets for media: packets out over UDP or framed over TCP, sound in over both."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

STALLED_S: Final = 10.0
DIAL_S: Final = 5.0
KEPT_SOUND: Final = 80_000  # bytes of G.711: ten seconds


class Outlet(Protocol):
    """Where a stream goes."""

    port: int

    async def open(self) -> None:
        """Connect where that is needed. Raises OSError, TimeoutError."""

    async def send(self, packets: Sequence[bytes]) -> None:
        """Raises OSError, TimeoutError when the other side is gone or takes nothing."""

    def close(self) -> None: ...


class UdpOutlet:
    """A socket of our own; ``target`` is where the platform wants it."""

    def __init__(self, local: str, target: tuple[str, int]) -> None:
        self._target = target
        self._socket = _udp_socket(local)
        self.port = int(self._socket.getsockname()[1])

    async def open(self) -> None:
        """Nothing to do."""

    async def send(self, packets: Sequence[bytes]) -> None:
        with contextlib.suppress(OSError):  # full, or nobody listens: that is how UDP is
            for packet in packets:
                self._socket.sendto(packet, self._target)

    def close(self) -> None:
        self._socket.close()


class TcpOutlet:
    """Framed packets (RFC 4571, or ``$`` and a channel). Active: we dial ``target``; passive: we wait to be dialled."""

    def __init__(
        self,
        local: str,
        target: tuple[str, int] | None,
        *,
        framing: Literal["length", "dollar"] = "length",
        mid_packet: bool = False,
    ) -> None:
        self._local, self._target = local, target
        self._dollar = framing == "dollar"
        self._lead = b"\x12\x34\x56 rest of a packet that began before\x01\x02" if mid_packet else b""
        self._listener: socket.socket | None = None
        self._writer: asyncio.StreamWriter | None = None
        if target is None:
            self._listener = socket.create_server((local, 0), family=_family(local))
            self._listener.setblocking(False)
            self.port = int(self._listener.getsockname()[1])
        else:
            self.port = 9  # an active side has none yet (RFC 4145 §4.1)

    async def open(self) -> None:
        await self.connect()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection. Raises OSError, TimeoutError."""
        async with asyncio.timeout(DIAL_S):
            if self._listener is not None:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
                self._listener.close()
                connection.setblocking(False)
                reader, self._writer = await asyncio.open_connection(sock=connection)
            else:
                assert self._target is not None
                reader, self._writer = await asyncio.open_connection(*self._target, local_addr=(self._local, 0))
        if self._lead:
            self._writer.write(self._lead)
        return reader, self._writer

    async def send(self, packets: Sequence[bytes]) -> None:
        assert self._writer is not None
        if self._writer.is_closing():
            raise ConnectionResetError("the platform closed the media connection")
        lead = b"$\0" if self._dollar else b""
        self._writer.write(b"".join(lead + len(each).to_bytes(2, "big") + each for each in packets))
        async with asyncio.timeout(STALLED_S):
            await self._writer.drain()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._writer is not None:
            self._writer.close()


@dataclass(slots=True)
class Heard:
    """Sound that came from the platform."""

    packets: int = 0
    octets: int = 0
    lost: int = 0
    ssrc: int | None = None
    payload_type: int | None = None
    sound: bytearray = field(default_factory=bytearray)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    _next: int | None = None

    async def until(self, packets: int) -> None:
        """Wait until so many have come."""
        while self.packets < packets:
            self.grown.clear()
            await self.grown.wait()

    def packet(self, data: bytes) -> None:
        """One RTP packet; what is none is passed over."""
        if len(data) < 13 or data[0] >> 6 != 2:
            return
        number = int.from_bytes(data[2:4], "big")
        if self._next is not None:
            self.lost += min((number - self._next) & 0xFFFF, 100)
        self._next = number + 1 & 0xFFFF
        self.packets += 1
        self.octets += len(data) - 12
        self.payload_type, self.ssrc = data[1] & 0x7F, int.from_bytes(data[8:12], "big")
        self.sound += data[12:]
        del self.sound[:-KEPT_SOUND]
        self.grown.set()


class UdpEar(asyncio.DatagramProtocol):
    """A UDP port that listens to the platform."""

    def __init__(self, heard: Heard, local: str) -> None:
        self._heard = heard
        self._socket = _udp_socket(local)
        self.port = int(self._socket.getsockname()[1])

    def datagram_received(self, data: bytes, _addr: tuple[str | object, int]) -> None:
        self._heard.packet(data)

    async def run(self) -> None:
        """Listen until cancelled."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)
        try:
            await asyncio.Event().wait()
        finally:
            transport.close()

    def close(self) -> None:
        self._socket.close()


class TcpEar:
    """The same over TCP, dialling ``target`` or waiting to be dialled."""

    def __init__(self, heard: Heard, local: str, target: tuple[str, int] | None) -> None:
        self._heard = heard
        self._outlet = TcpOutlet(local, target)
        self.port = self._outlet.port

    async def run(self) -> None:
        """Listen until the other side closes. Raises OSError, TimeoutError when nobody is there."""
        reader, writer = await self._outlet.connect()
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                self._heard.packet(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()

    def close(self) -> None:
        self._outlet.close()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _udp_socket(local: str) -> socket.socket:
    made = socket.socket(_family(local), socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    made.bind((local, 0))
    return made
