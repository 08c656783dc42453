"""A client for answers that go on as lines, one JSON object each, empty ones as signs of life."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final, Generic, TypeVar

import httpx
from pydantic import BaseModel

from hub.bus.internal_client import InternalClient, http_client, refusal
from hub.domain.errors import Unavailable

MAX_LINE: Final = 64 * 1_024
SILENT_S: Final = 20.0  # a line comes every 5 s
M = TypeVar("M", bound=BaseModel)


class OpenAnswer(Generic[M]):
    """An answer that stands as long as it is held open. ``first`` is its first line."""

    def __init__(
        self, first: M, response: httpx.Response, lines: AsyncGenerator[bytes, None], by: InternalClient
    ) -> None:
        self.first = first
        self._response = response
        self._lines = lines
        self._by = by

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """The lines after the first, without the empty ones, until the other side ends it.

        Raises Unavailable: ``<noun>.none`` where the other is gone or says nothing for 20 s, ``<noun>.answer`` where a
        line has no end.
        """
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    line = await anext(self._lines, None)
            except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
                raise self._by.silent(error) from None
            if line is None:
                return
            if line:
                yield line

    async def close(self) -> None:
        """End it: the other side notices."""
        with contextlib.suppress(httpx.HTTPError, RuntimeError):  # RuntimeError: somebody reads it right now
            await self._response.aclose()


class LinesClient(InternalClient):
    """Raises HubError as ``InternalClient``. ``answer_s``: how long the first line may take. ``most``: how many answers
    may be open at once."""

    def __init__(
        self, token: str, noun: str, *, answer_s: float, most: int, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(token, noun, transport=transport)
        self._answer_s = answer_s
        self._streaming = http_client(token, timeout_s=max(answer_s, SILENT_S), most=most, transport=transport)

    async def close(self) -> None:
        """Close the connections; every answer ends."""
        await super().close()
        await self._streaming.aclose()

    async def open_lines(self, base: str, path: str, body: BaseModel, model: type[M]) -> OpenAnswer[M]:
        """Ask by POST, and wait for the first line. Raises HubError with the other's own id."""
        request = self._streaming.build_request(
            "POST",
            base.rstrip("/") + path,
            content=body.model_dump_json(),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        )
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(self._answer_s):
                response = await self._streaming.send(request, stream=True)
                if not response.is_success:
                    raise self.error(response.status_code, await refusal(response))
                lines = _lines(response, self.noun)
                async for line in lines:
                    if line:
                        return OpenAnswer(self.parsed(model, line), response, lines, self)
            raise Unavailable(f"{self.noun}.answer", f"the {self.noun} ended its answer without a word")
        except BaseException as error:
            if response is not None:
                await response.aclose()
            if isinstance(error, httpx.HTTPError | TimeoutError):
                raise self.silent(error) from None
            raise


async def _lines(response: httpx.Response, noun: str) -> AsyncGenerator[bytes, None]:
    """Whole lines of at most 64 KiB, in the order they came. Raises Unavailable ``<noun>.answer`` for a longer one."""
    line = bytearray()
    async for chunk in response.aiter_raw():
        for place, piece in enumerate(chunk.split(b"\n")):
            if place:
                yield bytes(line.strip())
                line.clear()
            line += piece
            if len(line) > MAX_LINE:
                raise Unavailable(f"{noun}.answer", f"a line of the {noun}'s answer is longer than {MAX_LINE} bytes")
