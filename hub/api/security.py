"""Cookies, origins, the local demo, and the headers that every answer carries."""

import base64
import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.domain.errors import Forbidden, NotFound, Unauthenticated

COOKIE: Final = "sharpeyes_session"
COOKIE_SECONDS: Final = 7 * 24 * 3_600
MAX_TOKEN: Final = 128
PLAYERS: Final = "/streams/"
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_PROXIED: Final = re.compile(r"via|.*forwarded.*|(.*[-_])?(client|real|connecting)[-_]ip|.*external[-_]address")


def session_token(connection: HTTPConnection) -> tuple[str, bool]:
    """The token of a request, and whether it came by cookie. Raises Unauthenticated (``session.none``)."""
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and 0 < len(token.strip()) <= MAX_TOKEN:
            return token.strip(), False
        if scheme.lower() == "basic" and connection.scope["path"].startswith(PLAYERS):
            return _basic_token(token), False
        raise Unauthenticated("session.none", "the Authorization header is not a bearer token")
    token = connection.cookies.get(COOKIE, "")
    if not 0 < len(token) <= MAX_TOKEN:
        raise Unauthenticated("session.none", "nobody is signed in")
    return token, True


def _basic_token(text: str) -> str:
    """The token as a password: players know no other way, and take it from ``http://x:token@host/…``."""
    try:
        password = base64.b64decode(text.strip()[: 4 * MAX_TOKEN], validate=True).decode().partition(":")[2]
    except ValueError:
        password = ""
    if not 0 < len(password) <= MAX_TOKEN:
        raise Unauthenticated("session.none", "the password is not a token")
    return password


def set_cookie(response: Response, connection: HTTPConnection, token: str) -> None:
    """Hand the token to a browser so that its scripts cannot read it."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_SECONDS,
        path="/",
        secure=is_secure(connection.scope),
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, connection: HTTPConnection) -> None:
    """Make a browser forget the token."""
    response.delete_cookie(COOKIE, path="/", secure=is_secure(connection.scope), httponly=True, samesite="strict")


def is_secure(scope: Scope) -> bool:
    """Whether the connection is encrypted, as the server or a trusted proxy says."""
    return scope.get("scheme") in ("https", "wss")


def check_origin(connection: HTTPConnection, *, needed: bool = True) -> None:
    """Raise Forbidden (``origin.wrong``) unless the Origin is this host. ``needed`` False: none at all will do too."""
    origin = connection.headers.get("origin")
    if origin is None and not needed:
        return
    if origin is not None and len(origin) <= 300:
        try:
            parts = urlsplit(origin)
        except ValueError:
            parts = urlsplit("")
        # Behind a proxy we speak http where the page says https; the other way round a stranger on the wire made it.
        schemes = ("https",) if is_secure(connection.scope) else ("http", "https")
        if parts.scheme in schemes and _authority(parts.netloc, parts.scheme) == _authority(
            connection.headers.get("host", ""), parts.scheme
        ):
            return
    raise Forbidden("origin.wrong", "this request did not come from a page of this host")


def check_local_demo(connection: HTTPConnection, *, demo: bool) -> None:
    """Raise NotFound unless this is the demo, asked from this machine by a name of this machine, without a proxy."""
    if demo and _from_loopback(connection) and not was_forwarded(connection.headers) and _names_loopback(connection):
        return
    raise NotFound("route.unknown", "there is nothing here")


def from_loopback(connection: HTTPConnection) -> bool:
    """Whether the request came straight from this machine."""
    return _from_loopback(connection) and not was_forwarded(connection.headers)


def _from_loopback(connection: HTTPConnection) -> bool:
    try:
        return connection.client is not None and ipaddress.ip_address(connection.client.host).is_loopback
    except ValueError:
        return False


def was_forwarded(headers: Headers) -> bool:
    """Whether a proxy says that it passed this request on."""
    return any(_PROXIED.fullmatch(name) for name in headers)


def _names_loopback(connection: HTTPConnection) -> bool:
    """Whether the Host header is a name of this machine and our own port: a foreign name could be rebound to us."""
    hosts = connection.headers.getlist("host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return False
    try:
        parts = urlsplit("//" + hosts[0])
        port = parts.port or (443 if is_secure(connection.scope) else 80)
    except ValueError:  # a port over 65535, or brackets around what is no address
        return False
    server = connection.scope.get("server")
    if server is not None and server[1] is not None and port != server[1]:
        return False
    name = (parts.hostname or "").rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _authority(netloc: str, scheme: str) -> str:
    """Host and port in one form: lower case, default port left out."""
    default = ":443" if scheme == "https" else ":80"
    return netloc.lower().removesuffix(default)


class SecurityHeaders:
    """ASGI: what every answer carries, so that a browser holds the console's pages tightly."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(scope, MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, with_headers)


def _harden(scope: Scope, headers: MutableHeaders) -> None:
    host = Headers(scope=scope).get("host", "")
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        f"media-src 'self' blob:; connect-src 'self'{sockets}; worker-src 'self' blob:; font-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault(
        "Permissions-Policy", "camera=(self), microphone=(self), fullscreen=(self), geolocation=(self), payment=()"
    )
    headers.setdefault("Cache-Control", "no-store")
    if is_secure(scope):
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
