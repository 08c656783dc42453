"""Where a device's media comes in: one UDP port, one TCP listener, or one connection that we open.

Whoever sends first and makes sense is believed, and then only they: by address where the answer named it, by SSRC, or
by going on while nobody else does (QUIRKS 12, 18).
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from typing import Final, cast

from hub.bus.gateway_wire import MediaMode
from hub.domain.source_url import refuse_address
from hub.media.peer.ports import Ports, UdpPort, host_of
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.receiver import GbReceiver
from signaling.gb28181.framing import Deframer

STRANGER: Final = 8  # packets of somebody whom nothing speaks for
SILENT_S: Final = 2.0  # after that another sender may take over
MAX_CONNECTIONS: Final = 4
DIAL_S: Final = 5.0
DIAL_PAUSE_S: Final = 0.4


class Link:
    """One mode's receiving end. ``heard_at`` is loop time of the last packet, zero before the first."""

    def __init__(self, mode: MediaMode, ports: Ports, receiver: GbReceiver, *, on_end: Callable[[str], None]) -> None:
        """``on_end`` is told why a TCP connection is over. Raises TooMany ``gb28181.no_port``."""
        self.mode = mode
        self.port = 0
        self.heard_at = 0.0
        self.strangers = 0  # packets that were not taken
        self.first = asyncio.Event()
        self._receiver = receiver
        self._on_end = on_end
        self._remote = ""
        self._loop = asyncio.get_running_loop()
        self._udp: UdpPort | None = None
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._peer: bytes | None = None
        self._candidate: tuple[bytes, int] | None = None
        self._connections: set[_Connection] = set()
        self._chosen: _Connection | None = None
        if mode == "udp":
            self._udp = ports.udp(self._datagram)
            self.port = self._udp.port
        elif mode == "tcp_passive":
            self._listener = ports.tcp()
            self.port = self._listener.getsockname()[1]

    async def listen(self) -> None:
        """Take connections, where it is the device that dials."""
        if self._listener is not None:
            self._server = await self._loop.create_server(lambda: _Connection(self), sock=self._listener)

    def answered(self, host: str) -> None:
        """The device said where it sends from; behind NAT that is not where it comes from."""
        self._remote = host

    async def dial(self, host: str, port: int) -> None:
        """Open the connection to exactly this address. Raises SourceError."""
        try:
            refused = refuse_address(ipaddress.ip_address(host))
        except ValueError:
            refused = "the device names no address"
        if refused is not None or not port:
            raise SourceError("source.refused", f"{host}: {refused or 'no port'}")
        last = "no answer"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DIAL_S):
                while True:  # some devices listen a moment after they have answered
                    try:
                        await self._loop.create_connection(lambda: _Connection(self), host, port)
                        return
                    except OSError as error:
                        last = error.strerror or type(error).__name__
                        await asyncio.sleep(DIAL_PAUSE_S)
        raise SourceError("gb28181.dial_failed", f"{host}:{port}: {last}")

    def close(self) -> None:
        """Let go of everything. May be called twice."""
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.drop()

    # UDP --------------------------------------------------------------------------------------------

    def _datagram(self, data: bytes, name: bytes) -> None:
        if name != self._peer and not self._admits(data, name):
            return
        self.heard_at = self._loop.time()
        self._receiver.packet(data)
        if not self.first.is_set():
            self.first.set()

    def _admits(self, data: bytes, name: bytes) -> bool:
        """Whether a datagram from another address than the last one's is taken."""
        if len(data) < 12 or data[0] >> 6 != 2:
            self.strangers += 1
            return False
        speaks = host_of(name) == self._remote or self._receiver.expects(int.from_bytes(data[8:12], "big"))
        if self._peer is None or self._loop.time() - self.heard_at > SILENT_S:
            if speaks or self._goes_on(name):
                self._peer, self._candidate = name, None
                return True
        elif speaks and name[4:8] == self._peer[4:8] and data[1] & 0x7F in (0, 8):
            return True  # sound from another port of the same device
        self.strangers += 1
        return False

    def _goes_on(self, name: bytes) -> bool:
        count = self._candidate[1] + 1 if self._candidate is not None and self._candidate[0] == name else 1
        self._candidate = (name, count)
        return count >= STRANGER

    # TCP --------------------------------------------------------------------------------------------

    def connected(self, connection: "_Connection") -> bool:
        """A connection came; False when there are too many or one is believed already."""
        alive = self._chosen is not None and self._loop.time() - self.heard_at <= SILENT_S
        if alive or len(self._connections) >= MAX_CONNECTIONS:
            self.strangers += 1
            return False
        self._connections.add(connection)
        return True

    def gone(self, connection: "_Connection", why: str) -> None:
        """A connection is over."""
        self._connections.discard(connection)
        if connection is self._chosen:
            self._chosen = None
            self._on_end(why)

    def data(self, connection: "_Connection", packets: list[bytes], *, bare: bool) -> None:
        """What came over a connection."""
        if connection is not self._chosen:
            if self._chosen is not None and self._loop.time() - self.heard_at <= SILENT_S:
                connection.drop()
                return
            self._chosen = connection
            for other in list(self._connections):
                if other is not connection:
                    other.drop()
        self.heard_at = self._loop.time()
        take = self._receiver.bare if bare else self._receiver.packet
        for packet in packets:
            take(packet)
        if not self.first.is_set():
            self.first.set()


class _Connection(asyncio.Protocol):
    """One TCP connection of a device."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._deframer = Deframer()
        self._transport: asyncio.Transport | None = None
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's are of no common class
        self._admitted = self._link.connected(self)
        if not self._admitted:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        packets = self._deframer.feed(data)
        if packets:
            self._link.data(self, packets, bare=self._deframer.framing == "bare")
        elif self._deframer.hopeless:
            self.drop()

    def connection_lost(self, error: Exception | None) -> None:
        if self._admitted:
            self._link.gone(self, "closed by the device" if error is None else str(error))

    def drop(self) -> None:
        """Cut it off."""
        self._admitted = False
        self._link.gone(self, "it sends no RTP")
        if self._transport is not None:
            self._transport.abort()
