"""A path that loses, delays and narrows: a UDP proxy between a client and the peer server, on the loopback."""

import asyncio
import contextlib
import random
import re
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

QUEUE_MS: Final = 400


class NarrowPath:
    """What goes down to the client meets ``loss`` (0..1), ``jitter_ms`` and a bottleneck of ``rate`` bit/s.

    With ``upwards`` it is what goes up to the server.
    """

    def __init__(self, server_port: int, *, upwards: bool = False) -> None:
        self._upwards = upwards
        self.loss = 0.0
        self.jitter_ms = 0.0
        self.rate: float | None = None
        self.lost = 0
        self.port = 0
        self._server = ("127.0.0.1", server_port)
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(3)
        self._front = _socket()
        self._backs: dict[Any, socket.socket] = {}
        self._free = 0.0
        self.port = self._front.getsockname()[1]
        self._loop.add_reader(self._front, self._up)

    def rewrite(self, answer: str) -> str:
        """The answer with this path's port in its candidates, and none by TCP: that would go around it."""
        answer = re.sub(r"a=candidate:\S+ 1 tcp .*\r\n", "", answer)
        return re.sub(r"(a=candidate:\S+ 1 udp \d+ \S+) \d+", rf"\1 {self.port}", answer)

    def close(self) -> None:
        """Give the sockets back."""
        for sock in (self._front, *self._backs.values()):
            self._loop.remove_reader(sock)
            sock.close()

    def _up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                data, client = self._front.recvfrom(2_048)
                if client not in self._backs:
                    back = self._backs[client] = _socket()
                    self._loop.add_reader(back, self._down, back, client)
                self._meet(data, self._backs[client], self._server, free=not self._upwards)

    def _down(self, back: socket.socket, client: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                self._meet(back.recv(2_048), self._front, client, free=self._upwards)

    def _meet(self, data: bytes, by: socket.socket, to: Any, *, free: bool) -> None:
        """The path, on its way ``to``, unless that direction is ``free``."""
        media = 128 <= data[0] <= 191
        if free:
            self._send(data, by, to)
        elif media and self._random.random() < self.loss:
            self.lost += 1
        else:
            self._pass(data, by, to)

    def _pass(self, data: bytes, by: socket.socket, to: Any) -> None:
        now = self._loop.time()
        at = now + self._random.random() * self.jitter_ms / 1_000
        if self.rate is not None:
            if self._free - now > QUEUE_MS / 1_000:
                self.lost += 1
                return
            self._free = max(self._free, now) + len(data) * 8 / self.rate
            at = max(at, self._free)
        if at <= now:
            self._send(data, by, to)
        else:
            self._loop.call_at(at, self._send, data, by, to)

    def _send(self, data: bytes, by: socket.socket, to: Any) -> None:
        with contextlib.suppress(OSError):
            by.sendto(data, to)


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(("127.0.0.1", 0))
    return sock


@contextlib.asynccontextmanager
async def narrow_path(server_port: int, *, upwards: bool = False) -> AsyncIterator[NarrowPath]:
    """A path to the server's port."""
    path = NarrowPath(server_port, upwards=upwards)
    try:
        yield path
    finally:
        path.close()
