"""What routes are given: the context, the parts of this process, and who asks.

Default is to deny: ``create_app`` refuses a route that neither declares its right here nor is listed as public.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from hub.api.network import client_zone
from hub.api.security import check_local_demo, check_origin, session_token
from hub.domain.errors import Unavailable
from hub.domain.roles import Right
from hub.services import accounts
from hub.services.access import require
from hub.services.accounts import SignedInAs
from hub.services.cameras import CameraStates
from hub.services.context import Actor, Context
from hub.services.units import Online

T = TypeVar("T")
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def get_context(connection: HTTPConnection) -> Context:
    """The process's context."""
    context: Context = connection.app.state.context
    return context


def get_states(connection: HTTPConnection) -> CameraStates:
    """What relays say about cameras."""
    states: CameraStates = connection.app.state.states
    return states


def get_online(connection: HTTPConnection) -> Online:
    """Who is connected."""
    online: Online = connection.app.state.online
    return online


def part(cls: type[T]) -> Callable[[HTTPConnection], T]:
    """A dependency that gives the object of this class among ``create_app(parts=…)``.

    The request answers 503 (``part.missing``) in a process that was put together without it.
    """

    def give(connection: HTTPConnection) -> T:
        parts: Mapping[type, Any] = connection.app.state.parts
        for each in parts.values():
            if isinstance(each, cls):
                return each
        raise Unavailable("part.missing", f"this process runs without {cls.__name__}")

    return give


async def signed_in(connection: HTTPConnection) -> SignedInAs:
    """The session of this request: bearer token, or cookie and then a right Origin for what changes something.

    Raises Unauthenticated, Forbidden (``origin.wrong``). Works for sockets too, which always need the Origin
    when they come with a cookie.
    """
    cached = connection.scope.get("sharpeyes.session")
    if isinstance(cached, SignedInAs):
        return cached
    token, by_cookie = session_token(connection)
    unsafe = connection.scope["type"] == "websocket" or connection.scope.get("method") not in SAFE
    if by_cookie and unsafe:
        check_origin(connection)
    context = get_context(connection)
    who = replace(await accounts.authenticate(context, token), zone=client_zone(connection, context.settings))
    connection.scope["sharpeyes.session"] = who
    return who


class Requires:
    """Dependency: the person asking, whose role holds ``right`` (None: it is enough to be signed in)."""

    def __init__(self, right: Right | None) -> None:
        self.right = right

    async def __call__(self, connection: HTTPConnection) -> Actor:
        who = await signed_in(connection)
        if self.right is not None:
            require(who.actor, self.right)
        return who.actor


class LocalDemo:
    """Dependency: the demo is on and the request comes from this very machine, not through a proxy. Else 404."""

    async def __call__(self, connection: HTTPConnection) -> None:
        check_local_demo(connection, demo=get_context(connection).settings.demo)


anybody_signed_in: Final = Requires(None)
local_demo: Final = LocalDemo()

ContextDep = Annotated[Context, Depends(get_context)]
StatesDep = Annotated[CameraStates, Depends(get_states)]
OnlineDep = Annotated[Online, Depends(get_online)]
CurrentActor = Annotated[Actor, Depends(anybody_signed_in)]


def declared(route: APIRoute) -> list[Requires | LocalDemo]:
    """The guards that a route declares, wherever in its dependencies they stand."""
    return [call for call in _calls(route.dependant) if isinstance(call, Requires | LocalDemo)]


def _calls(dependant: Any) -> Iterator[object]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
