"""The relay's internal HTTP (``hub.bus.relay_wire``): one handler a route, nothing decided here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hub.bus.internal_http import read, reply
from hub.bus.relay_wire import (
    ALIVE_EVERY_S,
    SESSION_HEADER,
    DrainIn,
    FragmentIn,
    OfferIn,
    PsOutIn,
    PushIn,
    StreamConfig,
    StreamStates,
    SubscribeIn,
    SubscriberAnswer,
    TalkConfig,
    TracksIn,
)
from hub.bus.streaming import Streamed
from hub.domain.errors import Invalid, NotFound
from hub.domain.ids import Id
from hub.media.node.manager import Streams
from hub.media.taps.snapshot import jpeg_of

_ID: Final = TypeAdapter(Id)
VPS: Final = b"\x40"  # what a key frame of H.265 begins with, and none of H.264
MAX_OWNER: Final = 80
MAX_ANSWER_BODY: Final = 256 * 1024  # an answer of 131,072 characters, escaped as JSON


class Routes:
    """Handlers over one table of streams."""

    def __init__(
        self, streams: Streams, registry: CollectorRegistry, on_drain: Callable[[bool], None] = lambda on: None
    ) -> None:
        self._streams = streams
        self._registry = registry
        self._on_drain = on_drain

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/streams", self.states, methods=["GET"]),
            Route("/streams/{stream}.ts", self.transport_stream, methods=["GET"]),
            Route("/streams/{stream}", self.state, methods=["GET"]),
            Route("/streams/{stream}", self.put, methods=["PUT"]),
            Route("/streams/{stream}", self.delete, methods=["DELETE"]),
            Route("/streams/{stream}/whep", self.whep, methods=["POST"]),
            Route("/streams/{stream}/whip", self.whip, methods=["POST"]),
            Route("/streams/{stream}/snapshot", self.snapshot, methods=["GET"]),
            Route("/streams/{stream}/pictures/{picture}", self.picture, methods=["GET"]),
            Route("/streams/{stream}/pushes/{node}", self.push, methods=["PUT"]),
            Route("/streams/{stream}/pushes/{node}", self.unpush, methods=["DELETE"]),
            Route("/streams/{stream}/ps", self.ps, methods=["POST"]),
            Route("/ps/{session}", self.ps_go, methods=["POST"]),
            Route("/talks/{talk}", self.talk, methods=["PUT"]),
            Route("/talks/{talk}", self.end_talk, methods=["DELETE"]),
            Route("/drain", self.drain, methods=["PUT"]),
            Route("/alive", self.alive, methods=["GET"]),
            Route("/sessions", self.end_owner, methods=["DELETE"]),
            Route("/sessions/{session}", self.end_session, methods=["DELETE"]),
            Route("/sessions/{session}", self.patch, methods=["PATCH"]),
            Route("/subscribers", self.subscribe, methods=["POST"]),
            Route("/subscribers/{session}", self.end_session, methods=["DELETE"]),
            Route("/subscribers/{session}/tracks", self.wish, methods=["PUT"]),
            Route("/subscribers/{session}/answer", self.answer, methods=["POST"]),
            Route("/subscribers/{session}/restart", self.restart, methods=["POST"]),
            Route("/subscribers/{session}/grants", self.withdraw, methods=["DELETE"]),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def states(self, _: Request) -> Response:
        return reply(StreamStates(items=self._streams.states()))

    async def state(self, request: Request) -> Response:
        return reply(self._streams.state(_stream(request)))

    async def put(self, request: Request) -> Response:
        self._streams.put(_stream(request), await read(request, StreamConfig))
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        await self._streams.delete(_stream(request))
        return Response(status_code=204)

    async def whep(self, request: Request) -> Response:
        return reply(await self._streams.whep(_stream(request), await read(request, OfferIn)), 201)

    async def whip(self, request: Request) -> Response:
        return reply(await self._streams.whip(_stream(request), await read(request, OfferIn)), 201)

    async def push(self, request: Request) -> Response:
        wanted = await read(request, PushIn)
        self._streams.push(_stream(request), _node(request), wanted.url)
        return Response(status_code=204)

    async def unpush(self, request: Request) -> Response:
        self._streams.legs.unpush(_stream(request), _node(request))
        return Response(status_code=204)

    async def drain(self, request: Request) -> Response:
        self._on_drain((await read(request, DrainIn)).draining)
        return Response(status_code=204)

    async def alive(self, _: Request) -> Response:
        """A connection that breaks with this process: nobody has to wait for a heartbeat that does not come."""

        async def beats() -> AsyncIterator[bytes]:
            while True:
                yield b"."
                await asyncio.sleep(ALIVE_EVERY_S)

        async def done() -> None:
            return

        return Streamed(beats(), media_type="text/plain", on_done=done)

    async def transport_stream(self, request: Request) -> Response:
        outlet = self._streams.outlet(_stream(request), _owner(request))

        async def done() -> None:
            self._streams.outlets.close(outlet.id, "left")

        try:
            first = await outlet.first()
        except BaseException:
            await done()
            raise
        return Streamed(
            outlet.chunks(first),
            media_type="video/mp2t",
            headers={SESSION_HEADER: outlet.id},
            until=outlet.ended,
            on_done=done,
        )

    async def ps(self, request: Request) -> Response:
        session = await self._streams.need_ps.open(_stream(request), await read(request, PsOutIn))

        async def done() -> None:
            self._streams.need_ps.close(session.id, "left")

        return Streamed(
            session.lines(),
            media_type="application/x-ndjson",
            headers={SESSION_HEADER: session.id},
            until=session.ended,
            on_done=done,
        )

    async def ps_go(self, request: Request) -> Response:
        self._streams.need_ps.go(request.path_params["session"])
        return Response(status_code=204)

    async def talk(self, request: Request) -> Response:
        await self._streams.need_talks.put(_talk(request), await read(request, TalkConfig))
        return Response(status_code=204)

    async def end_talk(self, request: Request) -> Response:
        if not await self._streams.need_talks.delete(_talk(request)):
            raise NotFound("talk.unknown", "there is no such talk")
        return Response(status_code=204)

    async def snapshot(self, request: Request) -> Response:
        outlet = self._streams.outlet(_stream(request), _owner(request))
        try:
            return Response(await jpeg_of(await outlet.first()), media_type="image/jpeg")
        finally:
            self._streams.outlets.close(outlet.id, "left")

    async def picture(self, request: Request) -> Response:
        data = self._streams.shelf.get(_stream(request), request.path_params["picture"])
        if data is None:
            raise NotFound("picture.gone", "the relay keeps only the last pictures")
        return Response(data, media_type="video/h265" if data[4:5] == VPS else "video/h264")

    async def end_session(self, request: Request) -> Response:
        await self._streams.end_session(request.path_params["session"])
        return Response(status_code=204)

    async def patch(self, request: Request) -> Response:
        return reply(self._streams.patch(request.path_params["session"], await read(request, FragmentIn)))

    async def subscribe(self, request: Request) -> Response:
        body = await read(request, SubscribeIn)
        self._streams.need_room(body.owner)
        return reply(self._streams.subscribers.open(body), 201)

    async def wish(self, request: Request) -> Response:
        body = await read(request, TracksIn)
        return reply(self._streams.subscribers.wish(request.path_params["session"], body))

    async def answer(self, request: Request) -> Response:
        body = await read(request, SubscriberAnswer, limit=MAX_ANSWER_BODY)
        return reply(self._streams.subscribers.answer(request.path_params["session"], body))

    async def restart(self, request: Request) -> Response:
        return reply(self._streams.subscribers.restart(request.path_params["session"]))

    async def withdraw(self, request: Request) -> Response:
        self._streams.subscribers.withdraw(request.path_params["session"], request.query_params.get("key", ""))
        return Response(status_code=204)

    async def end_owner(self, request: Request) -> Response:
        await self._streams.end_owner(_owner(request))
        return Response(status_code=204)

    async def healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def _stream(request: Request) -> str:
    try:
        return _ID.validate_python(request.path_params["stream"])
    except ValidationError:
        raise Invalid("request.invalid", "stream: not an id") from None


def _node(request: Request) -> str:
    try:
        return _ID.validate_python(request.path_params["node"])
    except ValidationError:
        raise Invalid("request.invalid", "node: not an id") from None


def _talk(request: Request) -> str:
    try:
        return _ID.validate_python(request.path_params["talk"])
    except ValidationError:
        raise Invalid("request.invalid", "talk: not an id") from None


def _owner(request: Request) -> str:
    owner = request.query_params.get("owner", "")
    if not 1 <= len(owner) <= MAX_OWNER:
        raise Invalid("request.invalid", "owner: missing or too long")
    return owner
