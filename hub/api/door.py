"""The door before the routes: nobody's request is turned away before its body is read or its path is looked up."""

from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api.deps import signed_in
from hub.api.errors import refusal
from hub.api.security import PLAYERS
from hub.domain.errors import HubError

GUARDED: Final = ("/api/", "/whep/", "/whip/", "/streams/")
OPEN: Final = frozenset(
    {
        ("POST", "/api/v1/sessions"),
        ("GET", "/api/v1/demo/people"),  # these two check for themselves that they are asked from this machine
        ("POST", "/api/v1/demo/sessions"),
        ("GET", "/api/v1/openapi.json"),
    }
)


class Door:
    """ASGI: 401 (or 403 for a wrong Origin) unless somebody is signed in, on every path of the interface.

    The routes' own guards still decide who may do what; the session found here is handed on to them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _guarded(scope["method"], scope["path"]):
            try:
                await signed_in(HTTPConnection(scope))
            except HubError as error:
                answer = refusal(error)
                if error.status == 401 and scope["path"].startswith(PLAYERS):
                    answer.headers["WWW-Authenticate"] = 'Basic realm="sharpeyes"'  # what players understand
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _guarded(method: str, path: str) -> bool:
    return path.startswith(GUARDED) and (method, path) not in OPEN
