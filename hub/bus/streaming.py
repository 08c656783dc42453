"""A body without end over HTTP: it stops when its source does, when it is told to, or when nobody takes it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STALLED_S: Final = 20.0
GOODBYE_S: Final = 0.5


class Streamed(Response):
    """Sends ``chunks`` as they come. ``until`` ends it at once, also while the client takes nothing.

    A client that takes nothing for ``stalled_s`` is let go. ``on_done`` is called once, however it ends.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        until: asyncio.Event | None = None,
        on_done: Callable[[], Awaitable[None]],
        stalled_s: float = STALLED_S,
    ) -> None:
        super().__init__(media_type=media_type, headers=dict(headers or {}) | {"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._chunks = chunks
        self._until = until or asyncio.Event()
        self._on_done = on_done
        self._stalled_s = stalled_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        running: list[asyncio.Task[None]] = []
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            running = [
                asyncio.create_task(self._pump(send), name="streamed/pump"),
                asyncio.create_task(_until_gone(receive), name="streamed/client"),
                asyncio.create_task(_until_set(self._until), name="streamed/until"),
            ]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._on_done()
        with contextlib.suppress(TimeoutError):  # a client that takes nothing is cut off by the server instead
            async with asyncio.timeout(GOODBYE_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        with contextlib.suppress(TimeoutError):
            async for chunk in self._chunks:
                async with asyncio.timeout(self._stalled_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()
