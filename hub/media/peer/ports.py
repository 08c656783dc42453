"""Ports that devices send to: a bounded range, taken round and round, and one buffer that all UDP ports are read into.

Two hundred devices are two hundred sockets; each is read by one ``recvmmsg`` a wake-up, without a copy that is not
needed. TCP goes over asyncio.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hub.domain.errors import TooMany
from hub.media.peer.udp import address_of, ffi, libc

SLOT: Final = 9_216  # a jumbo frame; most packets are of 1,400 bytes
BATCH: Final = 48
NAME: Final = 32
MSG_DONTWAIT: Final = 0x40
MSG_TRUNC: Final = 0x20
RECEIVE_BUFFER: Final = 1 << 20
ROUNDS: Final = 4  # batches a wake-up, so that one device does not hold up the others
MAX_TRIES: Final = 256
T = TypeVar("T")

Take = Callable[[bytes, bytes], None]
"""A datagram, and the raw address that it came from."""


class Batch:
    """Buffers for one call of ``recvmmsg``, shared by all sockets of a loop."""

    def __init__(self) -> None:
        self._data = ffi.new("char[]", SLOT * BATCH)
        self._names = ffi.new("char[]", NAME * BATCH)
        self._iov = ffi.new("struct iovec[]", BATCH)
        self._messages = ffi.new("struct mmsghdr[]", BATCH)
        self._buffer: Any = ffi.buffer(self._data)
        self._name_buffer: Any = ffi.buffer(self._names)
        self._rows: list[tuple[Any, Any, int, int]] = []
        for i in range(BATCH):
            message = self._messages[i]
            header = message.msg_hdr
            self._iov[i].iov_base = self._data + i * SLOT
            self._iov[i].iov_len = SLOT
            header.msg_name = self._names + i * NAME
            header.msg_namelen = NAME
            header.msg_iov = self._iov + i
            header.msg_iovlen = 1
            self._rows.append((message, header, i * SLOT, i * NAME))

    def read(self, fd: int, take: Take) -> int:
        """Hand on what waits at a socket, at most BATCH datagrams; how many there were. Cut ones are left out."""
        count: int = libc.recvmmsg(fd, self._messages, BATCH, MSG_DONTWAIT, ffi.NULL)
        buffer, names = self._buffer, self._name_buffer
        for message, header, at, name in self._rows[: max(count, 0)]:
            if not header.msg_flags & MSG_TRUNC:
                take(buffer[at : at + message.msg_len], names[name : name + header.msg_namelen])
            header.msg_namelen = NAME
        return count


class UdpPort:
    """One bound socket; ``port`` is what the device is told."""

    def __init__(self, sock: socket.socket, batch: Batch, take: Take) -> None:
        self.port: int = sock.getsockname()[1]
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._batch = batch
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def send(self, data: bytes, remote: tuple[str, int]) -> bool:
        """One datagram; False where it found no room, or no way."""
        try:
            return self._sock is not None and self._sock.sendto(data, remote) == len(data)
        except (OSError, OverflowError):
            return False

    def close(self) -> None:
        """Give the port back. May be called twice."""
        if self._sock is not None:
            self._loop.remove_reader(self._fd)
            self._sock.close()
            self._sock = None

    def _readable(self) -> None:
        for _ in range(ROUNDS):
            if self._batch.read(self._fd, self._take) < BATCH or self._sock is None:
                return


class Ports:
    """The range of one relay. ``first`` 0 leaves the choice to the kernel."""

    def __init__(self, host: str, first: int = 0, last: int = 0) -> None:
        self._host = host
        self._first, self._last = first, max(first, last)
        self._next = first
        self._batch: Batch | None = None

    def udp(self, take: Take) -> UdpPort:
        """A UDP port. Raises TooMany ``gb28181.no_port``."""
        if self._batch is None:
            self._batch = Batch()
        return UdpPort(self._bound(socket.SOCK_DGRAM), self._batch, take)

    def tcp(self) -> socket.socket:
        """A listening TCP socket. Raises TooMany ``gb28181.no_port``."""
        return self._bound(socket.SOCK_STREAM)

    def both(self, take: Take) -> tuple[UdpPort, socket.socket]:
        """UDP and a TCP listener of one number, for who learns later which it will be. Raises TooMany."""
        for _ in range(MAX_TRIES):
            udp = self.udp(take)
            try:
                return udp, self._bound(socket.SOCK_STREAM, udp.port)
            except TooMany:
                udp.close()
        raise TooMany("gb28181.no_port", "every port for devices is taken")

    def _bound(self, kind: socket.SocketKind, port: int = 0) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        for _ in range(min(self._last - self._first + 1, MAX_TRIES) if self._first and not port else 1):
            sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
            try:
                if kind == socket.SOCK_STREAM:  # a port whose last connection has just ended is taken again
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                else:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                sock.bind((self._host, port or self._turn()))
                if kind == socket.SOCK_STREAM:
                    sock.listen(8)
            except OSError as error:
                sock.close()
                if error.errno != errno.EADDRINUSE:
                    raise TooMany("gb28181.no_port", f"no port to receive at: {error.strerror}") from None
                continue
            return sock
        raise TooMany("gb28181.no_port", "every port for devices is taken")

    def _turn(self) -> int:
        """Not the one that was given back last: packets of an old call may still come there."""
        port = self._next
        if self._first:
            self._next = port + 1 if port < self._last else self._first
        return port


def host_of(name: bytes) -> str:
    """The address in a raw ``sockaddr``."""
    return address_of(name)[0]
