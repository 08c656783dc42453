"""One log line and one measurement a request: method, route, status, milliseconds. Never a query, body or token."""

import re
import secrets
import time
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log: Final = structlog.get_logger("hub.api")

REQUESTS: Final = Counter("sharpeyes_http_requests_total", "Requests answered", ("method", "status"))
SECONDS: Final = Histogram("sharpeyes_http_request_seconds", "Time until the answer was complete", ("method",))
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_QUIET: Final = ("/healthz", "/readyz", "/metrics", "/assets/")

_SECRET: Final = re.compile(
    r"^(/uploads/|/api/v1/cameras/[^/]*/pictures/)[^/]+"
)  # addresses that are themselves a right


def _said(path: str) -> str:
    return _SECRET.sub(r"\1***", path)[:200]


class RequestLog:
    """ASGI: gives every request an id (answered as ``X-Request-Id``) and notes how it went."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, began, status = secrets.token_hex(8), time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        with structlog.contextvars.bound_contextvars(request=request):
            try:
                await self._app(scope, receive, noting)
            finally:
                seconds = time.perf_counter() - began
                REQUESTS.labels(method, str(status)).inc()
                SECONDS.labels(method).observe(seconds)
                say = log.debug if scope["path"].startswith(_QUIET) and status < 400 else log.info
                say("request", method=method, path=_said(scope["path"]), status=status, ms=round(seconds * 1_000, 1))
