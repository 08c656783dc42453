"""The TCP side of a SIP node: connections that came and those that were dialled, bounded in number, size and time."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from signaling.sip.layer import Flow
from signaling.sip.stream import PONG, Framer


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Bounds of connections; times in seconds."""

    connections: int = 20_000
    per_address: int = 4_096  # a NAT with a whole town behind it is one address
    idle_s: float = 600.0
    message_s: float = 10.0  # from a message's first byte to its last
    unsent: int = 2**19  # bytes that a peer leaves unread
    dial_s: float = 5.0
    pings: int = 16  # keep-alives answered a read


class TcpPort:
    """Every connection of a node, by number and by address."""

    def __init__(
        self,
        limits: TcpLimits,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_lost: Callable[[Flow], None],
        on_batch: Callable[[], None],
        counters: Counter[str],
    ) -> None:
        self.limits, self.counters = limits, counters
        self.on_message, self.on_lost, self.on_batch = on_message, on_lost, on_batch
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._connections: dict[int, _Connection] = {}
        self._by_address: dict[tuple[str, int], int] = {}
        self._of_host: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._connections)

    async def bind(self, host: str, port: int) -> int:
        """Listen; the port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=1_024)
        return int(self._server.sockets[0].getsockname()[1])

    async def dial(self, host: str, port: int) -> Flow:
        """A connection to that address: one that is there, else a new one. Raises OSError, TimeoutError."""
        if (number := self._by_address.get((host, port))) is not None:
            return Flow("tcp", host, port, number)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.limits.dial_s):
            _, made = await loop.create_connection(lambda: _Connection(self), host, port)
        if made.flow.connection not in self._connections:
            raise ConnectionRefusedError("too many connections")
        return made.flow

    def alive(self, flow: Flow) -> bool:
        """Whether that very connection is up."""
        return flow.connection in self._connections

    def send(self, flow: Flow, data: bytes) -> bool:
        """Write; False when the connection is gone, or its peer does not read and it was closed for that."""
        number = flow.connection or self._by_address.get((flow.host, flow.port), 0)
        found = self._connections.get(number)
        return found is not None and found.send(data)

    def sweep(self, now: float) -> None:
        """Close connections that said nothing for too long."""
        for each in [*self._connections.values()]:
            if now - each.heard > self.limits.idle_s:
                self.counters["tcp_idle"] += 1
                each.close()

    def stop_listening(self) -> None:
        """Take no new connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Close everything. May be called twice."""
        self.stop_listening()
        for each in [*self._connections.values()]:
            each.close()

    def admit(self, made: "_Connection", host: str, port: int) -> int | None:
        """A number for a new connection; None when there are too many."""
        if len(self._connections) >= self.limits.connections or self._of_host[host] >= self.limits.per_address:
            self.counters["tcp_refused"] += 1
            return None
        number = next(self._numbers)
        self._connections[number] = made
        self._by_address[(host, port)] = number
        self._of_host[host] += 1
        self.counters["tcp_connections"] += 1
        return number

    def gone(self, flow: Flow) -> None:
        """A connection ended."""
        if self._connections.pop(flow.connection, None) is None:
            return
        if self._by_address.get((flow.host, flow.port)) == flow.connection:
            del self._by_address[(flow.host, flow.port)]
        self._of_host[flow.host] -= 1
        if not self._of_host[flow.host]:
            del self._of_host[flow.host]
        self.on_lost(flow)


class _Connection(asyncio.Protocol):
    """One connection; ends by itself when its bytes make no sense or take too long."""

    def __init__(self, port: TcpPort) -> None:
        self.flow = Flow("tcp", "", 0)
        self.heard = 0.0
        self._port = port
        self._framer = Framer()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has its methods and is no subclass
        peer = transport.get_extra_info("peername")
        if peer is None:  # it went while it came
            self._transport.abort()
            return
        number = self._port.admit(self, peer[0], peer[1])
        if number is None:
            self._transport.abort()
            return
        self.flow = Flow("tcp", peer[0], peer[1], number)
        self.heard = self._loop.time()

    def data_received(self, data: bytes) -> None:
        if not self.flow.connection:
            return
        self.heard = self._loop.time()
        messages = self._framer.feed(data)
        for message in messages:
            self._port.on_message(message, self.flow)
        if self._framer.pings:
            count, self._framer.pings = min(self._framer.pings, self._port.limits.pings), 0
            self.send(PONG * count)
        self._port.on_batch()
        if self._framer.broken is not None:
            self._port.counters["tcp_broken"] += 1
            self.close(gently=True)  # the refusal goes out first
            return
        self._time(restart=bool(messages))

    def _time(self, *, restart: bool) -> None:
        """One message's time runs while a part of it is here."""
        if self._deadline is not None and (restart or not self._framer.unfinished):
            self._deadline.cancel()
            self._deadline = None
        if self._framer.unfinished and self._deadline is None:
            self._deadline = self._loop.call_later(self._port.limits.message_s, self._slow)

    def _slow(self) -> None:
        self._port.counters["tcp_slow"] += 1
        self.close()

    def send(self, data: bytes) -> bool:
        """Write; False when that is no longer possible."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._port.limits.unsent:
            self._port.counters["tcp_unread"] += 1
            self.close()
            return False
        transport.write(data)
        return True

    def close(self, *, gently: bool = False) -> None:
        """End it, after what was written if gently (and in bounded time even then)."""
        if self._transport is None:
            return
        if gently:
            self._transport.close()
            self._loop.call_later(self._port.limits.dial_s, self._transport.abort)
        else:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._port.gone(self.flow)
        self._port.on_batch()
