"""Answers that go on as long as a call lives: one JSON object a line, an empty line every 5 s."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from pydantic import BaseModel
from starlette.responses import Response

from hub.bus.call_wire import CallEvent
from hub.bus.streaming import Streamed

ALIVE_S: Final = 5.0
MAX_WAITING: Final = 64


class Lines:
    """What is told about one call. ``end`` is the last line; after that nothing is taken any more."""

    def __init__(self, first: BaseModel) -> None:
        self._waiting: deque[BaseModel] = deque([first])
        self._wake = asyncio.Event()
        self._wake.set()
        self.ended = False

    def tell(self, event: CallEvent) -> None:
        """One more line; beyond 64 that nobody takes they are dropped."""
        if not self.ended and len(self._waiting) < MAX_WAITING:
            self._waiting.append(event)
            self._wake.set()

    def end(self, reason: str) -> None:
        """The call is over. May be called twice; the first reason counts."""
        if not self.ended:
            self._waiting.append(CallEvent(event="ended", reason=reason))
            self.ended = True
            self._wake.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        while True:
            while self._waiting:
                yield self._waiting.popleft().model_dump_json().encode() + b"\n"
            if self.ended:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(ALIVE_S):
                    await self._wake.wait()
            except TimeoutError:
                yield b"\n"

    def response(self, on_done: Callable[[], Awaitable[None]]) -> Response:
        """As an answer over HTTP; ``on_done`` is called when the asker is gone or the call is over."""
        return Streamed(self.chunks(), media_type="application/x-ndjson", on_done=on_done)
