"""ICE-TCP, passive (RFC 6544), framed as RFC 4571 §2 says: for networks that let no UDP through.

A ``Line`` is one connection and at once the path by which its session is known, so that sessions, ICE and the fan-out
treat it as they treat a socket address. Whoever connects has FIRST_S for a check with the right password; until then
nothing else is read from it.
"""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, cast

from hub.media.peer import udp
from hub.media.peer.counters import Counters
from hub.media.rtp.packet import WireError

MAX_FRAME: Final = udp.SLOT
MAX_LINES: Final = 1_024
MAX_UNKNOWN: Final = 256  # connections that nobody has proved anything on yet
MAX_UNKNOWN_OF_ONE: Final = 64  # and of one address: an office may stand behind it
FIRST_S: Final = 10.0
STALLED_S: Final = 10.0  # a full line that takes nothing for so long is let go
GOODBYE_S: Final = 2.0  # what waits may still leave
FULL: Final = 256 << 10  # bytes that wait in this process: above, a viewer loses pictures
DRAINED: Final = 64 << 10
HARD: Final = 1 << 20  # and beyond this nothing at all is taken
UNSENT: Final = 64 << 10  # bytes that wait in the kernel, so that a slow line shows here and not only there
_TCP_NOTSENT_LOWAT: Final = 25  # linux/tcp.h
_MARK: Final = struct.pack("=H", 0xFFFF)  # no address family

Read = Callable[["Line", Sequence[bytes]], bool]
Lost = Callable[["Line"], None]


def bind(host: str, port: int) -> socket.socket:
    """A listening, non-blocking TCP socket; "::" is for IPv4 as well. Raises OSError."""
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(udp.open_socket(host, socket.SOCK_STREAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind_to(sock, host, port)
        sock.listen(128)
        undo.pop_all()
    return sock


def frame(data: bytes) -> bytes:
    """One packet with its length in front (RFC 4571 §2)."""
    return len(data).to_bytes(2, "big") + data


class Deframer:
    """Bytes in, whole packets out; holds no more than one unfinished packet."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now. Raises WireError for a length that no packet of ours has."""
        data, at, found = self._rest + data, 0, []
        while len(data) - at >= 2:
            size = int.from_bytes(data[at : at + 2], "big")
            if not 2 <= size <= MAX_FRAME:
                raise WireError("frame is empty or too long", at)
            if len(data) - at - 2 < size:
                break
            found.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        self._rest = data[at:]
        return found


class Line(bytes):
    """One connection. ``full`` says that it takes no more pictures for now; ``known`` that a session has it."""

    address: tuple[str, int]
    full: bool
    known: bool
    _transport: asyncio.Transport

    @classmethod
    def of(cls, number: int, transport: asyncio.Transport, address: tuple[str, int]) -> "Line":
        """The line of a new connection."""
        line = cls(_MARK + number.to_bytes(8, "big"))
        line.address, line._transport, line.full, line.known = address, transport, False, False
        return line

    def write(self, frames: bytes) -> bool:
        """Send framed packets. False when they were dropped, whole: the line is gone or takes nothing."""
        if self._transport.is_closing() or self._transport.get_write_buffer_size() + len(frames) > HARD:
            return False
        self._transport.write(frames)
        return True

    def send(self, data: bytes) -> bool:
        """Send one packet, likewise."""
        return self.write(frame(data))

    def hang_up(self) -> None:
        """Let what waits leave, for GOODBYE_S at most."""
        if not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(GOODBYE_S, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def send(fd: int, data: bytes, path: bytes) -> int:
    """Send one packet by either transport; 0, or an errno."""
    if isinstance(path, Line):
        return 0 if path.send(data) else next(iter(udp.FULL))
    return udp.send(fd, data, path)


def address_of(path: bytes) -> tuple[str, int]:
    """Address and port behind a path of either transport."""
    return path.address if isinstance(path, Line) else udp.address_of(path)


class Lines:
    """Everybody who connected to one port. ``read(line, packets)`` says whether to keep the line."""

    def __init__(self, read: Read, lost: Lost, counters: Counters, *, first_s: float = FIRST_S) -> None:
        self._read = read
        self._lost = lost
        self._counters = counters
        self._first_s = first_s
        self._numbers = itertools.count(1)
        self._open: dict[Line, _Connection] = {}
        self._unknown: Counter[str] = Counter()
        self._server: asyncio.Server | None = None

    def __len__(self) -> int:
        return len(self._open)

    async def listen(self, sock: socket.socket) -> None:
        """Take connections until ``close``."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=sock)

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for line in tuple(self._open):
            line.abort()
        if self._server is not None:
            await self._server.wait_closed()

    # what the connections tell ------------------------------------------------------------------------

    def came(self, connection: "_Connection", transport: asyncio.Transport) -> Line | None:
        """A new connection; ``None`` when there are too many."""
        address = _peer(transport)
        waiting = self._unknown[address[0]] >= MAX_UNKNOWN_OF_ONE or self._unknown.total() >= MAX_UNKNOWN
        if waiting or len(self._open) >= MAX_LINES:
            self._counters.tcp_refused += 1
            return None
        self._counters.tcp_opened += 1
        self._unknown[address[0]] += 1
        line = Line.of(next(self._numbers), transport, address)
        self._open[line] = connection
        return line

    def packets(self, line: Line, packets: Sequence[bytes]) -> None:
        """Hand on what came."""
        before = line.known
        keep = self._read(line, packets)
        if line.known and not before:
            self._settled(line)
        if not keep:
            self._counters.tcp_refused += 1
            line.abort()

    def malformed(self, line: Line) -> None:
        """What came is no framing: the connection cannot be read any further."""
        self._counters.malformed += 1
        line.abort()

    def gone(self, line: Line) -> None:
        """A connection has ended."""
        if self._open.pop(line, None) is None:
            return
        if line.known:
            self._lost(line)
        else:
            self._settled(line)

    def late(self, line: Line) -> None:
        """Nobody proved anything on it in time."""
        if not line.known:
            self._counters.tcp_refused += 1
            line.abort()

    def stalled(self, line: Line) -> None:
        """A full line took nothing for too long."""
        self._counters.tcp_stalled += 1
        line.abort()

    @property
    def first_s(self) -> float:
        """Seconds until ``late``."""
        return self._first_s

    def _settled(self, line: Line) -> None:
        self._unknown[line.address[0]] -= 1
        if self._unknown[line.address[0]] <= 0:
            del self._unknown[line.address[0]]


class _Connection(asyncio.Protocol):
    """What the loop tells of one connection."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._line: Line | None = None
        self._deframer = Deframer()
        self._first: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)  # a server's transport always is one
        line = self._line = self._lines.came(self, plain)
        if line is None:
            plain.abort()
            return
        plain.set_write_buffer_limits(high=FULL, low=DRAINED)
        sock = plain.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * STALLED_S * 1_000))
        self._first = asyncio.get_running_loop().call_later(self._lines.first_s, self._lines.late, line)

    def data_received(self, data: bytes) -> None:
        if self._line is None:
            return
        try:
            packets = self._deframer.feed(data)
        except WireError:
            self._lines.malformed(self._line)
            return
        if packets:
            self._lines.packets(self._line, packets)

    def pause_writing(self) -> None:
        if self._line is not None:
            self._line.full = True
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(STALLED_S, self._lines.stalled, self._line)

    def resume_writing(self) -> None:
        if self._line is not None:
            self._line.full = False
        self._calm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        if self._first is not None:
            self._first.cancel()
        if self._line is not None:
            self._lines.gone(self._line)

    def _calm(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


def _peer(transport: asyncio.Transport) -> tuple[str, int]:
    """Address and port of the other side; IPv4 inside IPv6 comes out as IPv4."""
    name = transport.get_extra_info("peername") or ("0.0.0.0", 0)  # noqa: S104 - gone before it was looked at
    host = str(name[0]).partition("%")[0]
    return host.removeprefix("::ffff:") if "." in host else host, int(name[1])
