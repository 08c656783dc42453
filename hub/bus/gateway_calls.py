"""A relay's client for calls at the gateway: INVITEs that live as long as a connection (``gateway_wire``)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from hub.bus.gateway_wire import CallEvent, CallIn, CallOut, TalkIn, TalkOut
from hub.bus.internal_client import MAX_ANSWER_BYTES, InternalClient
from hub.domain.errors import Unavailable

MAX_CALLS: Final = 4_096
MAX_LINE: Final = 64 * 1_024
ANSWER_S: Final = 30.0  # a device that is asked by INVITE may think; the gateway gives up before
SILENT_S: Final = 20.0  # the gateway says something every 5 s
M = TypeVar("M", bound=BaseModel)


class OpenCall(Generic[M]):
    """A call that stands. ``out`` is the device's answer."""

    def __init__(self, out: M, response: httpx.Response, lines: AsyncIterator[str]) -> None:
        self.out = out
        self._response = response
        self._lines = lines

    async def events(self) -> AsyncGenerator[CallEvent, None]:
        """What happens, until the call is over; the last is ``ended``, also where the gateway is gone."""
        try:
            async for line in self._lines:
                if not line:
                    continue
                event = CallEvent.model_validate_json(line)
                yield event
                if event.event == "ended":
                    return
        except (httpx.HTTPError, httpx.StreamError, ValidationError, Unavailable):
            pass
        yield CallEvent(event="ended", reason="gateway.none")

    async def close(self) -> None:
        """End it: the gateway says BYE."""
        with contextlib.suppress(httpx.HTTPError, RuntimeError):  # RuntimeError: somebody reads it right now
            await self._response.aclose()


class GatewayCalls(InternalClient):
    """Calls at any gateway; raises HubError, Unavailable ``gateway.none`` when it does not answer."""

    def __init__(self, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(token, "gateway", transport=transport)
        self._streaming = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_S, connect=1.0, pool=1.0),
            limits=httpx.Limits(max_connections=MAX_CALLS, max_keepalive_connections=0),
            trust_env=False,
            follow_redirects=False,
            transport=transport,
        )

    async def close(self) -> None:
        """Close the connections; every call ends."""
        await super().close()
        await self._streaming.aclose()

    async def invite(self, base: str, call: CallIn) -> OpenCall[CallOut]:
        """Have a device send its picture. Raises HubError with the gateway's own id."""
        return await self._open(base, "/calls", call, CallOut)

    async def talk(self, base: str, talk: TalkIn) -> OpenCall[TalkOut]:
        """Have a device listen. Raises HubError with the gateway's own id."""
        return await self._open(base, "/talks", talk, TalkOut)

    async def keyframe(self, base: str, call: str) -> None:
        """Ask the device of a call for a key frame."""
        await self.call("POST", base, f"/calls/{call}/keyframe")

    async def _open(self, base: str, path: str, body: BaseModel, model: type[M]) -> OpenCall[M]:
        request = self._streaming.build_request(
            "POST",
            base.rstrip("/") + path,
            content=body.model_dump_json(),
            headers={"Content-Type": "application/json"},
        )
        response: httpx.Response | None = None
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._streaming.send(request, stream=True)
                if not response.is_success:
                    said = bytearray()
                    async for chunk in response.aiter_bytes():
                        said += chunk
                        if len(said) > MAX_ANSWER_BYTES:
                            break
                    raise self.error(response.status_code, bytes(said))
                lines = _lines(response)
                async for line in lines:
                    if line:
                        return OpenCall(self.parsed(model, line.encode()), response, lines)
            raise Unavailable("gateway.answer", "the gateway ended the call without an answer")
        except BaseException as error:
            if response is not None:
                await response.aclose()
            if isinstance(error, httpx.HTTPError):
                raise self.silent(error) from None
            if isinstance(error, TimeoutError):
                raise Unavailable("gateway.none", "the gateway does not answer") from None
            raise


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Lines of at most 64 KiB. Raises Unavailable ``gateway.answer`` for a longer one."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").strip()
        if len(rest) > MAX_LINE:
            raise Unavailable("gateway.answer", "the gateway's line is too long")
