"""The Python client of ``/ws``, for the command line, tests and benches. Messages are those of ``signaling.wire``."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from signaling.wire import Bye, ClientMessage, Hello, ServerMessage, Wire, WireError, parse_server

M = TypeVar("M", bound=Wire)
MAX_SERVER_BYTES: Final = 4 * 2**20
KEPT: Final = 4_096


class Refused(ConnectionError):
    """The hub refused the handshake; ``status`` is the HTTP status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"/ws answered {status}")
        self.status = status
        self.body = body


class Closed(ConnectionError):
    """The socket closed; ``code`` and ``reason`` as the hub gave them, ``bye`` the reason it said before."""

    def __init__(self, code: int | None, reason: str, bye: str | None) -> None:
        super().__init__(f"/ws closed with {code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.bye = bye


class HubSocket:
    """One connection. Use it as a context manager; ``hello`` is there once it is open."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        tls: ssl.SSLContext | None = None,
        open_timeout: float = 10.0,
        headers: dict[str, str] | None = None,
    ) -> None:
        """``url``: the hub's base address (http or https) or the socket's own (ws or wss)."""
        self._url = socket_url(url)
        self._headers = {"Authorization": f"Bearer {token}"} | (headers or {}) if token else dict(headers or {})
        self._tls = tls
        self._timeout = open_timeout
        self._connection: ClientConnection | None = None
        self._bye: str | None = None
        self._seen: deque[ServerMessage] = deque(maxlen=KEPT)
        self.hello: Hello | None = None

    async def __aenter__(self) -> Self:
        """Open it and wait for ``hello``. Raises Refused, Closed, OSError, TimeoutError."""
        try:
            self._connection = await connect(
                self._url,
                additional_headers=self._headers,
                ssl=self._tls,
                open_timeout=self._timeout,
                max_size=MAX_SERVER_BYTES,
                proxy=None,
            )
        except InvalidStatus as error:
            raise Refused(error.response.status_code, error.response.body.decode(errors="replace")) from None
        self.hello = await self.expect(Hello, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def send(self, message: ClientMessage) -> None:
        """Send a message. Raises Closed."""
        await self.send_raw(message.model_dump_json())

    async def send_raw(self, data: str | bytes) -> None:
        """Send anything at all (to see what the hub makes of it). Raises Closed."""
        try:
            await self._open.send(data)
        except ConnectionClosed as error:
            raise self._closed(error) from None

    async def receive(self) -> ServerMessage:
        """The next message. Raises Closed, WireError."""
        try:
            message = parse_server(await self._open.recv())
        except ConnectionClosed as error:
            raise self._closed(error) from None
        if isinstance(message, Bye):
            self._bye = message.reason
        return message

    async def expect(self, kind: type[M], where: Callable[[M], bool] = lambda _: True, *, timeout: float = 10.0) -> M:
        """The next message of this kind for which ``where`` holds. Others are kept for later calls, in order.

        Raises TimeoutError, Closed.
        """
        for at, kept in enumerate(self._seen):
            if isinstance(kept, kind) and where(kept):
                del self._seen[at]
                return kept
        async with asyncio.timeout(timeout):
            while True:
                message = await self.receive()
                if isinstance(message, kind) and where(message):
                    return message
                self._seen.append(message)

    async def until_closed(self, *, timeout: float = 10.0) -> Closed:
        """Read until the hub closes the socket; return how. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await self.receive()
                except Closed as closed:
                    return closed

    @property
    def _open(self) -> ClientConnection:
        if self._connection is None:
            raise Closed(None, "not open", None)
        return self._connection

    def _closed(self, error: ConnectionClosed) -> Closed:
        frame = error.rcvd
        return Closed(None if frame is None else frame.code, "" if frame is None else frame.reason, self._bye)


def socket_url(base: str) -> str:
    """``http://host`` → ``ws://host/ws``; an address that is a socket's already stays. Raises WireError."""
    scheme, _, rest = base.partition("://")
    if scheme in ("ws", "wss"):
        return base
    if scheme not in ("http", "https") or not rest:
        raise WireError("ws.url", "the hub's address begins with http:// or https://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest.rstrip('/')}/ws"
