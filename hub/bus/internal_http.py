"""The HTTP that roles speak to each other: one bearer token, bounded bodies, an ephemeral port.

    async with serve([Route("/streams", handler)], token=token, host=settings.internal_host) as url: ...

Every route but ``/healthz`` wants ``Authorization: Bearer <token>``. Errors leave as ``ErrorOut``.
"""

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final, TypeVar

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.bus.http_protocol import BoundedProtocol
from hub.bus.relay_wire import ErrorOut
from hub.bus.routes import address_of_route
from hub.domain.errors import HubError, Invalid, Unavailable

MAX_BODY: Final = 128 * 1024  # an offer of 65,536 characters, escaped as JSON
MAX_CONCURRENT: Final = 256
BODY_S: Final = 5.0

M = TypeVar("M", bound=BaseModel)


class TooLarge(HubError):
    """The body is over the limit."""

    status = 413


async def read(request: Request, model: type[M], *, limit: int = MAX_BODY) -> M:
    """The body as a model. Raises TooLarge ``request.too_large``, Invalid ``request.invalid``."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise TooLarge("request.too_large", f"the body is over {limit} bytes")
    except (TimeoutError, ClientDisconnect):
        raise Invalid("request.invalid", "the body did not arrive") from None
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid("request.invalid", f"{where}: {first['msg']}" if where else first["msg"]) from None


def reply(model: BaseModel, status: int = 200) -> Response:
    """A model as a JSON response."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def app(routes: Sequence[BaseRoute], token: str) -> ASGIApp:
    """The application by itself, for tests without a socket."""
    inner = Starlette(
        routes=list(routes),
        exception_handlers={HubError: _refused, HTTPException: _http_error, Exception: _crashed},
    )
    return _Bearer(inner, token)


@contextlib.asynccontextmanager
async def serve(
    routes: Sequence[BaseRoute], *, token: str, host: str, port: int = 0, concurrent: int = MAX_CONCURRENT
) -> AsyncIterator[str]:
    """Serve until the block ends; yields the base URL. ``concurrent``: connections at once, those included whose
    answers go on for hours. Raises Unavailable ``internal.port_taken``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable("internal.port_taken", f"internal HTTP cannot listen on {host}:{port}: {error}") from None
    server = Server(
        uvicorn.Config(
            app(routes, token),
            lifespan="off",
            ws="none",
            http=BoundedProtocol,
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=concurrent,
            timeout_graceful_shutdown=1,
        )
    )
    bound = listener.getsockname()[1]
    task = asyncio.create_task(server.serve(sockets=[listener]), name="internal-http")
    try:
        await server.up.wait()
        name = reachable_name(host)
        yield f"http://[{name}]:{bound}" if ":" in name else f"http://{name}:{bound}"
    finally:
        server.should_exit = True
        await task  # at most a second: timeout_graceful_shutdown


def reachable_name(host: str) -> str:
    """What to register where ``host`` is "any": the address that this machine's default route leads from.

    In a container that is its address among the other roles. Loopback where no route leads anywhere.
    """
    match host:
        case "0.0.0.0":  # noqa: S104 - compared, not bound
            return address_of_route(socket.AF_INET) or "127.0.0.1"
        case "::":
            return address_of_route(socket.AF_INET6) or "::1"
    return host


class Server(uvicorn.Server):
    """uvicorn inside a process whose signals belong to the composition root."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Bearer:
    """Refuses whoever lacks the token, before anything else of the request is looked at."""

    def __init__(self, inner: ASGIApp, token: str) -> None:
        if not token:
            raise ValueError("internal HTTP needs a token")
        self._inner = inner
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz":
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not hmac.compare_digest(given, self._expected):
                refusal = ErrorOut(error="internal.unauthorized", message="the token of this installation is needed")
                await reply(refusal, 401)(scope, receive, send)
                return
        await self._inner(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return reply(ErrorOut(error=error.id, message=error.message), error.status)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return reply(ErrorOut(error=f"http.{error.status_code}", message=error.detail), error.status_code)


async def _crashed(_: Request, error: Exception) -> Response:
    # Starlette logs the traceback after this answer is sent.
    return reply(ErrorOut(error="internal.error", message=type(error).__name__), 500)
