"""Every refusal in one shape: ``{"error": {"id", "message", ...}}``. What was sent is never echoed."""

from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from hub.domain.errors import HubError, TooMany

log: Final = structlog.get_logger(__name__)
PLACES: Final = ("line", "column", "field")
_IDS: Final = {404: "route.unknown", 405: "method.not_allowed", 400: "request.invalid", 413: "request.too_large"}


def error_body(id: str, message: str, **place: Any) -> dict[str, Any]:
    """The body of a refusal (``schemas.base.Error``)."""
    return {"error": {"id": id, "message": message} | {key: place[key] for key in PLACES if place.get(key) is not None}}


def install(app: FastAPI) -> None:
    """Answer every error in the one shape."""
    app.add_exception_handler(HubError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _crashed)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HubError)
    return refusal(error)


def refusal(error: HubError) -> Response:
    """The answer to a refusal."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooMany) and isinstance(wait := error.details.get("retry_ms"), int):
        headers["Retry-After"] = str(-(-wait // 1_000))
    return JSONResponse(error_body(error.id, error.message, **error.details), error.status, headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    field = ".".join(where) or None
    if first["type"] in ("json_invalid", "json_type"):
        field = None
    message = f"{field}: {first['msg']}" if field else str(first["msg"])
    return JSONResponse(error_body("request.invalid", message[:500], field=field and field[:200]), 422)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    id = _IDS.get(error.status_code, "request.refused")
    return JSONResponse(error_body(id, str(error.detail)), error.status_code, error.headers)


async def _crashed(_: Request, error: Exception) -> Response:
    log.error("request.crashed", error=type(error).__name__, exc_info=error)
    return JSONResponse(error_body("server.error", "something went wrong here; it has been logged"), 500)
