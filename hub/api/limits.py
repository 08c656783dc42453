"""Bounds of a request: bytes of the body, however it is framed, and seconds until it is answered (but streams)."""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.errors import error_body
from hub.api.security import PLAYERS

MIB: Final = 2**20
BODY_BYTES: Final = MIB
FEEDBACK_BYTES: Final = 12 * MIB
UPLOADS: Final = "/uploads/"
NOBODYS_BYTES: Final = 64 * 1_024  # of a request that carries neither token nor cookie
SECONDS: Final = 60.0


def body_limit(scope: Scope) -> int:
    """Bytes that this request's body may have."""
    if scope["path"].startswith(UPLOADS):  # a device's picture: the route asks whether it is expected before it reads
        return FEEDBACK_BYTES
    headers = Headers(scope=scope)
    if "authorization" not in headers and "cookie" not in headers:
        return NOBODYS_BYTES
    path: str = scope["path"]
    return FEEDBACK_BYTES if path.startswith("/api/v1/orders/") and path.endswith("/feedback") else BODY_BYTES


class Limits:
    """ASGI: 413 (``request.too_large``) and 503 (``request.timeout``) where an application would go on."""

    def __init__(self, app: ASGIApp, *, seconds: float = SECONDS, limit: Callable[[Scope], int] = body_limit) -> None:
        self._app = app
        self._seconds = seconds
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope)
        gate = _Gate(scope, receive, send, limit)
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            await gate.refuse("request.too_large", f"at most {limit} bytes", 413)
            return
        try:
            async with asyncio.timeout(None if scope["path"].startswith(PLAYERS) else self._seconds):
                await self._app(scope, gate.receive, gate.send)
        except TimeoutError:
            if gate.started:
                raise
            await gate.refuse("request.timeout", "this took too long; try again", 503)


class _Gate:
    """Counts what comes in, and stops what goes out once the request was refused."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left = limit
        self._limit = limit
        self._refused = False
        self.started = False

    async def receive(self) -> Message:
        if self._refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0 and not self.started:
                await self.refuse("request.too_large", f"at most {self._limit} bytes", 413)
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        self.started = True
        await self._send(message)

    async def refuse(self, id: str, message: str, status: int) -> None:
        self._refused = True
        answer = JSONResponse(error_body(id, message), status, {"Connection": "close"})
        await answer(self._scope, self._receive, self._send)
