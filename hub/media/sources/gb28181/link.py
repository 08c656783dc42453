"""Where a device's media comes in: one UDP port, one TCP listener, or one connection that we open.

Whoever sends first and makes sense is believed, and then only they: by address where it is that of the device or its
answer named it, by SSRC, or by going on while nobody else does (QUIRKS 12, 18). Numbers of SSRCs are easily guessed and
any port is found by trying, so who has the better claim takes over from who has less, at once.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import Final, cast

from hub.bus.call_wire import MediaMode
from hub.domain.source_url import refuse_device_address
from hub.media.peer.ports import Ports, UdpPort, host_of
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.receiver import GbReceiver
from signaling.gb28181.framing import Deframer

STRANGER: Final = 8  # packets of somebody whom nothing speaks for
SILENT_S: Final = 2.0  # after that another sender may take over
MAX_CONNECTIONS: Final = 4
DIAL_S: Final = 5.0
DIAL_PAUSE_S: Final = 0.4


class Claim(IntEnum):
    """What speaks for a sender of datagrams."""

    NOTHING = 0
    NUMBER = 1  # the SSRC that was agreed
    ADDRESS = 2  # the device's own, or the one that its answer names


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
        self._named: frozenset[str] = frozenset()
        self._seen = ""
        self._claim = Claim.NOTHING  # of the peer
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

    def answered(self, host: str, seen: str = "") -> None:
        """The device said where it sends from; behind NAT it comes from where its signalling was ``seen``."""
        self._named, self._seen = frozenset(each for each in (host, seen) if each), seen
        if self._peer is not None and host_of(self._peer) in self._named:  # it sent before it answered
            self._claim = Claim.ADDRESS

    def names(self, host: str) -> bool:
        """Whether this is the device's address as far as we were told."""
        return host in self._named

    async def dial(self, host: str, port: int) -> None:
        """Open the connection to exactly this address. Raises SourceError."""
        refused = refuse_device_address(host, self._seen)
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
        host, claim = host_of(name), Claim.NOTHING
        if host in self._named:
            claim = Claim.ADDRESS
        elif self._receiver.expects(int.from_bytes(data[8:12], "big")):
            claim = Claim.NUMBER
        if self._peer is None or self._loop.time() - self.heard_at > SILENT_S or claim > self._claim:
            if claim or self._goes_on(name):
                if self._peer is not None and claim > self._claim:
                    self._receiver.begin_anew()
                self._peer, self._candidate, self._claim = name, None, claim
                return True
        elif claim and host == host_of(self._peer) and data[1] & 0x7F in (0, 8):
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
        if not self._may_replace(connection):
            self.strangers += 1
            return False
        if len(self._connections) >= MAX_CONNECTIONS:
            other = next((each for each in self._connections if not self.names(each.host)), None)
            if other is None or not self.names(connection.host):  # who only waits must not keep the device out
                self.strangers += 1
                return False
            other.drop()
        self._connections.add(connection)
        return True

    def _may_replace(self, connection: "_Connection") -> bool:
        """Whether a connection may be the one although another is: that fell silent, or has no claim and this one."""
        chosen = self._chosen
        if chosen is None or self._loop.time() - self.heard_at > SILENT_S:
            return True
        return self.names(connection.host) and not self.names(chosen.host)

    def gone(self, connection: "_Connection", why: str) -> None:
        """A connection is over."""
        self._connections.discard(connection)
        if connection is self._chosen:
            self._chosen = None
            self._on_end(why)

    def data(self, connection: "_Connection", packets: list[bytes], *, bare: bool) -> None:
        """What came over a connection."""
        if connection is not self._chosen:
            if not self._may_replace(connection):
                connection.drop()
                return
            if self._chosen is not None:
                self._receiver.begin_anew()
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
        self.host = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's are of no common class
        peer = transport.get_extra_info("peername")
        self.host = str(peer[0]) if peer else ""
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
