"""The api's client for a relay's internal HTTP (``relay_wire``). Errors come out with the relay's own stable ids."""

import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from hub.bus.relay_wire import (
    SESSION_HEADER,
    AnswerOut,
    ErrorOut,
    OfferIn,
    StreamConfig,
    StreamState,
    StreamStates,
)
from hub.domain.errors import Conflict, Forbidden, HubError, Invalid, NotFound, TooMany, Unavailable

MAX_STREAMING: Final = 128
MAX_ANSWER_BYTES: Final = 8 * 2**20  # GET /streams of a relay with many thousand streams
CLASSES: Final[dict[int, type[HubError]]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: TooMany,
}
M = TypeVar("M", bound=BaseModel)


class Relays:
    """Talks to every relay; ``base`` is the relay's ``NodeInfo.url``.

    All calls raise HubError: Unavailable ``relay.none`` when the relay does not answer, otherwise the class that
    belongs to the status, with the id that the relay gave.
    """

    def __init__(self, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(5.0, connect=1.0),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
            trust_env=False,  # a proxy of the environment must not see camera addresses
            follow_redirects=False,
            transport=transport,
        )
        self._streaming = httpx.AsyncClient(  # apart, so that streams without end leave room for calls
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(20.0, connect=1.0, pool=1.0),
            limits=httpx.Limits(max_connections=MAX_STREAMING, max_keepalive_connections=0),
            trust_env=False,
            follow_redirects=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._streaming.aclose()

    async def put_stream(self, base: str, stream: str, config: StreamConfig) -> None:
        """Make the relay want this stream so; idempotent."""
        await self._call("PUT", base, f"/streams/{stream}", body=config)

    async def delete_stream(self, base: str, stream: str) -> None:
        """Make the relay forget the stream; its sessions end. Unknown is as good as gone."""
        try:
            await self._call("DELETE", base, f"/streams/{stream}")
        except NotFound:
            return

    async def streams(self, base: str) -> list[StreamState]:
        """State of every stream of this relay."""
        answer = await self._call("GET", base, "/streams")
        return _parsed(StreamStates, answer).items

    async def whep(self, base: str, stream: str, offer: OfferIn) -> AnswerOut:
        """A viewer's session. The source may have to be opened first, which the relay does behind the answer."""
        return _parsed(AnswerOut, await self._call("POST", base, f"/streams/{stream}/whep", body=offer))

    async def whip(self, base: str, stream: str, offer: OfferIn) -> AnswerOut:
        """A publisher's session; the stream comes into being."""
        return _parsed(AnswerOut, await self._call("POST", base, f"/streams/{stream}/whip", body=offer))

    async def transport_stream(self, base: str, stream: str, *, owner: str) -> "TransportStream":
        """Open a stream as MPEG-TS; close what is returned. Waits for the first picture."""
        request = self._streaming.build_request(
            "GET", f"{base.rstrip('/')}/streams/{stream}.ts", params={"owner": owner}
        )
        try:
            response = await self._streaming.send(request, stream=True)
            if response.is_success:
                return TransportStream(response)
            try:
                answer = (await response.aread())[:MAX_ANSWER_BYTES]
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise Unavailable("relay.none", f"the relay does not answer: {type(error).__name__}") from None
        raise _error(response.status_code, answer)

    async def end_session(self, base: str, session: str) -> None:
        """End one session. Unknown is as good as ended."""
        try:
            await self._call("DELETE", base, f"/sessions/{session}")
        except NotFound:
            return

    async def end_owner(self, base: str, owner: str) -> None:
        """End every session of an owner: a right was withdrawn."""
        await self._call("DELETE", base, "/sessions", params={"owner": owner})

    async def _call(
        self,
        method: str,
        base: str,
        path: str,
        *,
        body: BaseModel | None = None,
        params: dict[str, str] | None = None,
    ) -> bytes:
        content = None if body is None else body.model_dump_json()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._http.build_request(
            method, base.rstrip("/") + path, content=content, params=params, headers=headers
        )
        try:
            response = await self._http.send(request, stream=True)
            try:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise Unavailable("relay.answer", "the relay's answer is too long")
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise Unavailable("relay.none", f"the relay does not answer: {type(error).__name__}") from None
        if response.is_success:
            return bytes(answer)
        raise _error(response.status_code, bytes(answer))


class TransportStream:
    """An open MPEG-TS of a relay."""

    def __init__(self, response: httpx.Response) -> None:
        self.session = response.headers.get(SESSION_HEADER, "")
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """What comes, until it ends or the relay is gone."""
        with contextlib.suppress(httpx.HTTPError):
            async for chunk in self._response.aiter_raw():
                yield chunk

    async def close(self) -> None:
        """Leave; the relay notices."""
        await self._response.aclose()


def _error(status: int, body: bytes) -> HubError:
    try:
        out = ErrorOut.model_validate_json(body)
    except ValidationError:
        out = ErrorOut(error="relay.error", message=f"the relay answered {status}")
    return CLASSES.get(status, Unavailable)(out.error, out.message)


def _parsed(model: type[M], answer: bytes) -> M:
    try:
        return model.model_validate_json(answer)
    except ValidationError:
        raise Unavailable("relay.answer", "the relay's answer is not understood") from None
