"""Sockets for ``signaling.rtsp.client``: one TCP connection to a given address, UDP ports where media comes so.

Media goes to a callback at once, on the loop's thread; there is no task and no queue here.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Self, TypeAlias, cast

from signaling.rtsp.client import RtspClient
from signaling.rtsp.describe import Offered, Presentation
from signaling.rtsp.events import Described, Ended, Event, Failed, Playing, Redirected, SetUp, TransportRefused, Why
from signaling.rtsp.message import Interleaved
from signaling.rtsp.session import Phase

TEARDOWN_S: Final = 0.5
DRAIN: Final = 64  # datagrams a turn: the others on the loop must not wait for one camera
UDP_BUFFER: Final = 2**20  # bytes: a key frame comes in one burst
MAX_UNSENT: Final = 2**18
PAIR_TRIES: Final = 32
TEN_BYTES: Final = b"\x80\x7f" + bytes(10)  # an RTP header that belongs to nothing: opens a firewall's door

Sink: TypeAlias = Callable[[int, bool, bytes], None]
"""Called with the track's place in ``play``'s choice, whether it is RTCP, and the packet."""


class RtspFailure(ConnectionError):
    """The session does not come about, or is over."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(f"{why.value}: {detail}")
        self.why = why
        self.detail = detail


class RtspRedirect(ConnectionError):
    """The server sends us elsewhere; ``url`` was not checked."""

    def __init__(self, url: str) -> None:
        super().__init__("redirected")
        self.url = url


class RtspConnection(asyncio.Protocol):
    """One connection. ``on_end`` is called once if the session ends by itself after ``play``."""

    def __init__(self, client: RtspClient, sink: Sink, on_end: Callable[[ConnectionError], None]) -> None:
        self.client = client
        self.strangers = 0  # datagrams from elsewhere
        self._sink = sink
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Future[Event] | None = None
        self._over: ConnectionError | None = None
        self._playing = False
        self._channels: dict[int, tuple[int, bool]] = {}
        self._udp: list[_UdpPair] = []

    @classmethod
    async def open(
        cls,
        client: RtspClient,
        address: str,
        port: int,
        *,
        sink: Sink,
        on_end: Callable[[ConnectionError], None],
        tls: ssl.SSLContext | None = None,
        name: str = "",
    ) -> Self:
        """Connect to ``address``, a number: nothing is looked up here. ``name`` is for SNI. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: cls(client, sink, on_end),
            address,
            port,
            ssl=tls,
            server_hostname=(name or address) if tls is not None else None,
        )
        return connection

    async def describe(self) -> Presentation:
        """Ask what there is. Raises RtspFailure, RtspRedirect."""
        event = await self._until(lambda: self.client.start(self._loop.time()))
        assert isinstance(event, Described)
        return event.presentation

    async def play(self, tracks: Sequence[Offered], *, udp: bool = False) -> tuple[SetUp, ...] | None:
        """Set the tracks up and start them; None when the server does not do this transport.

        Raises RtspFailure, RtspRedirect, OSError (no UDP ports).
        """
        self._close_udp()
        if udp:
            for _ in tracks:
                self._udp.append(_UdpPair(self._local_host, self._peer_host, self._loop))
        ports = [pair.ports for pair in self._udp]
        event = await self._until(lambda: self.client.setup(tracks, self._loop.time(), ports))
        if isinstance(event, TransportRefused):
            self._close_udp()
            return None
        assert isinstance(event, Playing)
        return event.tracks

    def send_rtcp(self, place: int, data: bytes) -> None:
        """A report of ours about a track; lost when the connection is stuck."""
        if self._udp:
            self._udp[place].send_rtcp(data)
            return
        tracks = self.client.tracks
        channels = tracks[place].transport.channels if place < len(tracks) else None
        if channels is not None and self._transport is not None and self._over is None:
            if self._transport.get_write_buffer_size() < MAX_UNSENT:
                self.client.send_frame(channels[1], data)
            self._flush()

    async def close(self) -> None:
        """Say goodbye, wait half a second for the answer at most, and close. May be called twice."""
        self._playing = False
        self._sink = _nowhere
        try:
            if self._over is None and self._transport is not None:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    async with asyncio.timeout(TEARDOWN_S):
                        await self._until(lambda: self.client.teardown(self._loop.time()))
        finally:
            self.abort()

    def abort(self) -> None:
        """Close without a word."""
        self._close_udp()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has its methods and is no subclass
        self._transport.set_write_buffer_limits(MAX_UNSENT)

    def data_received(self, data: bytes) -> None:
        for event in self.client.receive(data, self._loop.time()):
            if type(event) is Interleaved:
                target = self._channels.get(event.channel) or self._target(event.channel)
                if target is not None:
                    self._sink(target[0], target[1], event.payload)
            else:
                self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for event in self.client.closed():
            self._take(event)

    # inside -----------------------------------------------------------------------------------------

    async def _until(self, begin: Callable[[], None]) -> Event:
        """Do something and wait for what comes of it."""
        if self._over is not None:
            raise self._over
        waiting: asyncio.Future[Event] = self._loop.create_future()
        self._waiting = waiting
        begin()
        if self.client.phase is Phase.ENDED:
            waiting.set_result(Ended())
        self._flush()
        try:
            return await waiting
        finally:
            self._waiting = None

    def _take(self, event: Event) -> None:
        if isinstance(event, Failed | Redirected):
            self._finish(
                RtspRedirect(event.url) if isinstance(event, Redirected) else RtspFailure(event.why, event.detail)
            )
            return
        if isinstance(event, Playing):
            self._playing = True
            for place, pair in enumerate(self._udp):
                pair.start(place, event.tracks[place].transport.server_port, self._datagram)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(event)

    def _finish(self, error: ConnectionError) -> None:
        if self._over is not None:
            return
        self._over = error
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        elif self._playing:
            self._on_end(error)
        self.abort()

    def _flush(self) -> None:
        """Send what the client wants sent, and look again when it wants to be asked."""
        if self._transport is None or self._over is not None:
            return
        if data := self.client.data_to_send():
            if self._transport.get_write_buffer_size() > MAX_UNSENT:
                self._finish(RtspFailure(Why.NO_ANSWER, "the device takes nothing"))
                return
            self._transport.write(data)
        due = self.client.deadline
        if self._timer is not None and (due is None or self._timer.when() != due):
            self._timer.cancel()
            self._timer = None
        if due is not None and self._timer is None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for event in self.client.tick(self._loop.time()):
            self._take(event)
        self._flush()

    def _target(self, channel: int) -> tuple[int, bool] | None:
        """The track of a channel, known since its SETUP: cameras send before they answer PLAY."""
        for place, each in enumerate(self.client.tracks):
            if each.transport.channels is not None:
                low, high = each.transport.channels
                self._channels |= {low: (place, False), high: (place, True)}
        return self._channels.get(channel)

    def _datagram(self, place: int, rtcp: bool, data: bytes, host: str) -> None:
        if host != self._peer_host:
            self.strangers += 1
        else:
            self._sink(place, rtcp, data)

    def _close_udp(self) -> None:
        for pair in self._udp:
            pair.close()
        self._udp = []

    @property
    def _peer_host(self) -> str:
        assert self._transport is not None
        return str(self._transport.get_extra_info("peername")[0])

    @property
    def _local_host(self) -> str:
        assert self._transport is not None
        return str(self._transport.get_extra_info("sockname")[0])


def _nowhere(place: int, rtcp: bool, data: bytes) -> None:
    """What comes after the goodbye."""


class _UdpPair:
    """An even port for RTP and the next for RTCP (RFC 3550 §11), on the address that the connection leaves from."""

    def __init__(self, local: str, peer: str, loop: asyncio.AbstractEventLoop) -> None:
        self._peer = peer
        self._loop = loop
        self._server: tuple[int, int] | None = None
        self._reading: list[int] = []
        self._sockets = _bound_pair(local)
        self.ports = (self._sockets[0].getsockname()[1], self._sockets[1].getsockname()[1])

    def start(self, place: int, server: tuple[int, int] | None, take: Callable[[int, bool, bytes, str], None]) -> None:
        """Read from now on, and say hello to where media comes from, which opens the way through a firewall."""
        self._server = server
        for rtcp, each in enumerate(self._sockets):
            self._loop.add_reader(each.fileno(), self._drain, each, place, bool(rtcp), take)
            self._reading.append(each.fileno())
        if server is not None:
            with contextlib.suppress(OSError):
                self._sockets[0].sendto(TEN_BYTES, (self._peer, server[0]))

    def _drain(self, udp: socket.socket, place: int, rtcp: bool, take: Callable[[int, bool, bytes, str], None]) -> None:
        for _ in range(DRAIN):
            try:
                data, sender = udp.recvfrom(65_535)
            except BlockingIOError:
                return
            except OSError:  # an ICMP answer to a report of ours
                continue
            take(place, rtcp, data, sender[0])

    def send_rtcp(self, data: bytes) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._sockets[1].sendto(data, (self._peer, self._server[1]))

    def close(self) -> None:
        for number in self._reading:
            self._loop.remove_reader(number)
        self._reading.clear()
        for each in self._sockets:
            each.close()


def _bound_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Raises OSError when no two neighbours are free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(PAIR_TRIES):
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        try:
            first.bind((host, 0))
            port = first.getsockname()[1]
            if port % 2:
                raise OSError("odd")
            second.bind((host, port + 1))
        except OSError:
            first.close()
            second.close()
            continue
        for each in (first, second):
            each.setblocking(False)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        return first, second
    raise OSError("no pair of UDP ports is free")
