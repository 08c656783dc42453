"""A gateway's client for a relay's answers that go on: sending a stream upwards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import httpx
from pydantic import ValidationError

from hub.bus.internal_client import InternalClient
from hub.bus.relay_wire import PsOutIn, PsOutState
from hub.domain.errors import Unavailable

FIRST_S: Final = 12.0
SILENCE_S: Final = 20.0  # a line comes every 5 s
MAX_LINE: Final = 64 * 1024
MAX_OPEN: Final = 512


class Sending:
    """A stream on its way up."""

    def __init__(self, first: PsOutState, lines: AsyncIterator[str]) -> None:
        self.first = first
        self._lines = lines

    async def ended(self) -> None:
        """Until the relay ends it, or is gone."""
        with contextlib.suppress(httpx.HTTPError):
            async for line in self._lines:
                if '"ended"' in line[:200]:
                    return


class RelayLines(InternalClient):
    """Raises HubError as ``InternalClient``."""

    def __init__(self, token: str) -> None:
        super().__init__(token, "relay")
        self._streaming = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(SILENCE_S, connect=1.0, pool=1.0),
            limits=httpx.Limits(max_connections=MAX_OPEN, max_keepalive_connections=0),
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        await super().close()
        await self._streaming.aclose()

    @contextlib.asynccontextmanager
    async def open(self, base: str, stream: str, wish: PsOutIn) -> AsyncIterator[Sending]:
        """Have the relay send; leaving the block ends it."""
        url = f"{base.rstrip('/')}/streams/{stream}/ps"
        headers = {"Content-Type": "application/json"}
        try:
            async with self._streaming.stream("POST", url, content=wish.model_dump_json(), headers=headers) as answer:
                if not answer.is_success:
                    raise self.error(answer.status_code, (await answer.aread())[:MAX_LINE])
                lines = answer.aiter_lines()
                async with asyncio.timeout(FIRST_S):
                    first = PsOutState.model_validate_json((await anext(lines))[:MAX_LINE])
                yield Sending(first, lines)
        except (httpx.HTTPError, TimeoutError, StopAsyncIteration) as error:
            raise Unavailable("relay.none", f"the relay does not answer: {type(error).__name__}") from None
        except ValidationError:
            raise Unavailable("relay.answer", "the relay's answer is not understood") from None
