"""A client for the internal HTTP of another role. Errors come out with that role's own stable ids."""

from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from hub.bus.relay_wire import ErrorOut
from hub.domain.errors import Conflict, Forbidden, HubError, Invalid, NotFound, Outdated, TooMany, Unavailable

MAX_ANSWER_BYTES: Final = 8 * 2**20  # GET /streams of a relay with many thousand streams
CLASSES: Final[dict[int, type[HubError]]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Outdated,
    422: Invalid,
    429: TooMany,
}
MAX_REFUSAL: Final = 64 * 1_024
M = TypeVar("M", bound=BaseModel)


def http_client(
    token: str,
    *,
    timeout_s: float,
    pool_s: float = 1.0,
    most: int,
    kept: int = 0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """At most ``most`` connections, ``kept`` of them for the next request; ``pool_s`` is how long to wait for one."""
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {token}"},
        timeout=httpx.Timeout(timeout_s, connect=1.0, pool=pool_s),
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=kept),
        trust_env=False,  # a proxy of the environment must not see camera addresses
        follow_redirects=False,
        transport=transport,
    )


class InternalClient:
    """``base`` of each call is the other's ``NodeInfo.url``; ``noun`` its role, as error ids name it.

    All calls raise HubError: Unavailable ``<noun>.none`` when it does not answer, otherwise the class that belongs to
    the status, with the id that it gave.
    """

    def __init__(self, token: str, noun: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.noun = noun
        self._http = http_client(token, timeout_s=5.0, pool_s=5.0, most=64, kept=16, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        base: str,
        path: str,
        *,
        body: BaseModel | None = None,
        params: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """One request; the answer's body, at most 8 MiB. ``timeout_s`` for what takes longer than 5 s."""
        content = None if body is None else body.model_dump_json()
        headers = {} if body is None else {"Content-Type": "application/json"}
        wait = httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(timeout_s, connect=1.0)
        request = self._http.build_request(
            method, base.rstrip("/") + path, content=content, params=params, headers=headers, timeout=wait
        )
        try:
            response = await self._http.send(request, stream=True)
            try:
                answer = bytearray()
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise Unavailable(f"{self.noun}.answer", f"the {self.noun}'s answer is too long")
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self.silent(error) from None
        if response.is_success:
            return bytes(answer)
        raise self.error(response.status_code, bytes(answer))

    def silent(self, error: Exception) -> Unavailable:
        """It does not answer."""
        return Unavailable(f"{self.noun}.none", f"the {self.noun} does not answer: {type(error).__name__}")

    def error(self, status: int, body: bytes) -> HubError:
        """What it said, as an exception."""
        try:
            out = ErrorOut.model_validate_json(body)
        except ValidationError:
            out = ErrorOut(error=f"{self.noun}.error", message=f"the {self.noun} answered {status}")
        return CLASSES.get(status, Unavailable)(out.error, out.message)

    def parsed(self, model: type[M], answer: bytes) -> M:
        """The answer as a model. Raises Unavailable ``<noun>.answer``."""
        try:
            return model.model_validate_json(answer)
        except ValidationError:
            raise Unavailable(f"{self.noun}.answer", f"the {self.noun}'s answer is not understood") from None


async def refusal(response: httpx.Response) -> bytes:
    """The body of a refusal that is read as it comes: its first 64 KiB and what came with them."""
    said = bytearray()
    async for chunk in response.aiter_raw():
        said += chunk
        if len(said) > MAX_REFUSAL:
            break
    return bytes(said)
