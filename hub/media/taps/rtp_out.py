"""RTP packets to one device or platform: over UDP, or over TCP that either side opened. Nothing here waits for a peer
that takes nothing: what finds no room is dropped and counted."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Final, cast

from hub.bus.call_wire import MediaMode
from hub.domain.errors import Invalid, Unavailable
from hub.domain.source_url import refuse_device_address
from hub.media.peer.ports import Ports, UdpPort
from signaling.gb28181.framing import frame

CONNECT_S: Final = 8.0
PAUSE_S: Final = 0.4
MAX_BUFFER: Final = 2 * 2**20  # bytes that wait for a slow TCP peer
MAX_EARLY: Final = 16  # connections that came before we knew whose is the one


class RtpOut:
    """One way out. ``port`` is ours, told to the other side; ``ended`` is set when a TCP connection is over."""

    def __init__(self, mode: MediaMode | None, ports: Ports, *, framed: bool = True) -> None:
        """``mode`` None: the other side chooses, and ``settle`` says what. Raises TooMany ``gb28181.no_port``."""
        self.mode: MediaMode = mode or "udp"
        self.port = 0
        self.framed = framed
        self.sent = 0
        self.dropped = 0
        self.strangers = 0  # connections of somebody else
        self.ended = asyncio.Event()
        self._named: frozenset[str] = frozenset()  # addresses that the other side may dial from
        self._early: list[_Peer] = []
        self._remote: tuple[str, int] | None = None
        self._transport: asyncio.Transport | None = None
        self._connected = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None
        self._udp: UdpPort | None = None
        if mode is None:
            self._udp, self._listener = ports.both(lambda data, name: None)
        elif mode == "udp":
            self._udp = ports.udp(lambda data, name: None)
        elif mode == "tcp_passive":
            self._listener = ports.tcp()
        if self._listener is not None:
            self.port = self._listener.getsockname()[1]
        elif self._udp is not None:
            self.port = self._udp.port

    async def listen(self) -> None:
        """Take the connection, where it is the other side that dials."""
        if self._listener is not None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Peer(self), sock=self._listener)

    def settle(self, mode: MediaMode) -> None:
        """The other side has chosen; what it does not want is closed."""
        self.mode = mode
        if mode != "udp" and self._udp is not None:
            self._udp.close()
            self._udp = None
        if mode != "tcp_passive" and self._listener is not None:
            (self._server or self._listener).close()
            self._server = self._listener = None

    async def connect(self, host: str, port: int, seen: str = "") -> None:
        """Know the other side, and where it is TCP wait for it. ``seen``: where its signalling comes from.

        Raises Invalid ``gb28181.address_refused``, Unavailable ``gb28181.dial_failed``, ``gb28181.no_connection``.
        """
        why = refuse_device_address(host, seen)
        if self.mode != "tcp_passive" and (why is not None or not port):
            raise Invalid("gb28181.address_refused", f"{host}:{port}: {why or 'no port'}")
        self._remote = (host, port)
        self._named = frozenset(each for each in (host, seen) if each)
        early, self._early = self._early, []
        for peer in early:
            peer.judged()
        if self.mode == "udp":
            self._connected.set()
            return
        try:
            async with asyncio.timeout(CONNECT_S):
                await (self._connected.wait() if self.mode == "tcp_passive" else self._dial(host, port))
        except TimeoutError:
            id = "gb28181.no_connection" if self.mode == "tcp_passive" else "gb28181.dial_failed"
            raise Unavailable(id, f"no connection with {host}:{port}") from None

    async def _dial(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError):
                await loop.create_connection(lambda: _Peer(self), host, port)
                return
            await asyncio.sleep(PAUSE_S)

    def send(self, packets: Sequence[bytes]) -> bool:
        """Packets that belong together, or none of them; False where they found no room."""
        if self._udp is not None and self._remote is not None:
            for packet in packets:
                if not self._udp.send(packet, self._remote):
                    self.dropped += 1
                    return False
                self.sent += 1
            return True
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > MAX_BUFFER:
            self.dropped += len(packets)
            return False
        transport.write(b"".join(map(frame, packets) if self.framed else packets))
        self.sent += len(packets)
        return True

    def close(self) -> None:
        """Let go of everything. May be called twice."""
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._listener.close()
        if self._transport is not None:
            self._transport.abort()
        early, self._early = self._early, []
        for peer in early:
            peer.drop()
        self.ended.set()

    # the connection ---------------------------------------------------------------------------------

    def came(self, peer: "_Peer", host: str, transport: asyncio.Transport) -> bool:
        """Whether a connection may stay. One that we dialled is the one; of those that came the first from an address
        that the other side named, or signals from: what we send is not for whoever finds the port."""
        if self.mode == "tcp_passive" or self._remote is None:
            if self._remote is None and not self._transport:
                self._early.append(peer)
                if len(self._early) > MAX_EARLY:
                    self._early.pop(0).drop()
                return True
            if host not in self._named:
                self.strangers += 1
                return False
        if self._transport is not None:
            return False
        self._transport = transport
        peer.chosen = True
        with contextlib.suppress(OSError, AttributeError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected.set()
        return True

    def gone(self, peer: "_Peer") -> None:
        """A connection is over."""
        if peer in self._early:
            self._early.remove(peer)
        if peer.chosen:
            self.ended.set()


class _Peer(asyncio.Protocol):
    """The other side's end. What it says is not looked at."""

    def __init__(self, out: RtpOut) -> None:
        self._out = out
        self._transport: asyncio.Transport | None = None
        self._host = ""
        self.chosen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._host = str(peer[0]).removeprefix("::ffff:") if peer else ""
        self.judged()

    def judged(self) -> None:
        """Ask whether it may stay, again once it is known who may."""
        if self._transport is not None and not self._out.came(self, self._host, self._transport):
            self.drop()

    def drop(self) -> None:
        """Cut it off."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._out.gone(self)
