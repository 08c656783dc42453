"""uvicorn's HTTP/1.1 with a limit on waiting: whoever connects and asks for nothing does not keep the place for ever.

uvicorn bounds how many connections there are and how long one idles after an answer, yet waits without end for the
first request and for the rest of one that has begun (RFC 9112 §9.5 leaves that to the server).
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S: Final = 15.0


class BoundedProtocol(H11Protocol):
    """Closes a connection on which no whole request head has come for ``HEAD_S`` seconds."""

    head_s = HEAD_S

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._asks_nothing():
            self._wait()
        else:
            self._forget()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._asks_nothing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _asks_nothing(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        if self._deadline is None:  # drops of a head, one at a time, do not set it back
            self._deadline = self.loop.call_later(self.head_s, self._too_slow)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._asks_nothing() and self.transport.get_protocol() is self and not self.transport.is_closing():
            self.transport.close()  # a socket that became a WebSocket has another protocol
