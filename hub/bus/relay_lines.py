"""A gateway's client for a relay's answers that go on: sending a stream upwards."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import httpx

from hub.bus.lines_client import LinesClient, OpenAnswer
from hub.bus.relay_wire import PsOutIn, PsOutState
from hub.domain.errors import Unavailable

FIRST_S: Final = 12.0
MAX_OPEN: Final = 512


class Sending:
    """A stream on its way up."""

    def __init__(self, answer: OpenAnswer[PsOutState], begin: Callable[[], Awaitable[bytes]]) -> None:
        self.first = answer.first
        self._answer = answer
        self._begin = begin

    async def begin(self) -> None:
        """Have what was held back sent. Raises HubError."""
        await self._begin()

    async def ended(self) -> str:
        """Until the relay ends it, or is gone: then the id of what is wrong, otherwise nothing."""
        try:
            async for _ in self._answer.rest():
                pass
        except Unavailable as error:
            return error.id
        return ""


class RelayLines(LinesClient):
    """Raises HubError as ``InternalClient``."""

    def __init__(self, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(token, "relay", answer_s=FIRST_S, most=MAX_OPEN, transport=transport)

    @contextlib.asynccontextmanager
    async def open(self, base: str, stream: str, wish: PsOutIn) -> AsyncIterator[Sending]:
        """Have the relay send; leaving the block ends it."""
        answer = await self.open_lines(base, f"/streams/{stream}/ps", wish, PsOutState)
        try:
            yield Sending(answer, lambda: self.call("POST", base, f"/ps/{answer.first.session}"))
        finally:
            await answer.close()
