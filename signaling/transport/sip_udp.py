"""The UDP port of a SIP node: a socket read in a drain loop, since a datagram at a time costs too much of the loop."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

DRAIN: Final = 64  # datagrams a turn: the others on the loop must not wait
BUFFER: Final = 4 * 2**20  # a city's devices register at once when the power comes back
LARGEST: Final = 65_536
RCVBUFFORCE: Final = 33  # asm-generic/socket.h; Python has no name for it
BUSY_S: Final = 0.02  # what wakes us so soon again is a stream of keepalives
REST_S: Final = 0.01  # then they are gathered so long: waking up costs more than answering


class UdpPort:
    """One bound socket. ``on_datagram`` gets (data, host, port), ``on_batch`` is called after every turn."""

    def __init__(
        self, on_datagram: Callable[[bytes, str, int], None], on_batch: Callable[[], None], counters: Counter[str]
    ) -> None:
        self._on_datagram, self._on_batch, self._counters = on_datagram, on_batch, counters
        self._socket: socket.socket | None = None
        self._buffer = bytearray(LARGEST)
        self._view = memoryview(self._buffer)
        self._woken_at = 0.0
        self._rest: asyncio.TimerHandle | None = None

    def bind(self, host: str, port: int) -> int:
        """Bind and read; the port. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                made.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            with contextlib.suppress(OSError):  # beyond net.core.rmem_max, where we may
                made.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, BUFFER)
            made.bind((host, port))
        except OSError:
            made.close()
            raise
        self._socket = made
        self._loop = asyncio.get_running_loop()
        asyncio.get_running_loop().add_reader(made.fileno(), self._readable)
        return int(made.getsockname()[1])

    def close(self) -> None:
        """Stop reading. May be called twice."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def send(self, host: str, port: int, data: bytes) -> None:
        """One datagram; lost, and counted, when the socket is full or the address cannot be reached."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(data, (host, port))
        except BlockingIOError:
            self._counters["udp_full"] += 1
        except (OSError, OverflowError, UnicodeError):
            self._counters["udp_failed"] += 1

    def _readable(self) -> None:
        self._drain()
        if self._socket is None:
            return
        now, before = self._loop.time(), self._woken_at
        self._woken_at = now
        if now - before < BUSY_S:
            self._loop.remove_reader(self._socket.fileno())
            self._rest = self._loop.call_later(REST_S, self._rested)

    def _rested(self) -> None:
        """What was gathered; wait for more until a rest brought nothing."""
        self._rest = None
        count = self._drain()
        if self._socket is None:
            return
        if count:
            self._rest = self._loop.call_later(REST_S if count < DRAIN else 0.0, self._rested)
        else:
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def _drain(self) -> int:
        """Everything that waits, at most DRAIN; how many there were."""
        for count in range(DRAIN):
            if self._socket is None:
                return 0
            try:
                size, address = self._socket.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                if count:
                    self._on_batch()
                return count
            except OSError:  # an ICMP message about something sent before
                self._counters["udp_failed"] += 1
                continue
            self._on_datagram(bytes(self._view[:size]), address[0], address[1])
        self._on_batch()
        return DRAIN
