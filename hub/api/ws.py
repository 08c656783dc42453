"""``/ws``: one socket a page. ``signaling/wire.py`` defines the messages, ``docs/protocol.md`` says what they mean."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

import structlog
from fastapi import APIRouter
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from hub.api.clients import Client, Reason
from hub.api.deps import get_context, part, signed_in
from hub.api.errors import error_body
from hub.api.fanout import Fanout
from hub.api.schemas import accounts as schemas
from hub.api.security import session_token
from hub.domain.errors import HubError, TooMany, Unavailable
from hub.domain.roles import Right
from hub.services import accounts, conferences, dispatch
from hub.services.access import require
from hub.services.context import Context
from hub.services.media import Media
from hub.services.subscriptions import Subscription
from signaling import wire

log: Final = structlog.get_logger(__name__)
router = APIRouter()

MOST_BAD: Final = 20
MOST_A_SECOND: Final = 50
BURST: Final = 200
LAST_WORD_S: Final = 1.0
SOCKETS_A_PERSON: Final = 16
CODES: Final[dict[Reason, int]] = {
    "signed_out": 4401,
    "expired": 4401,
    "revoked": 4401,
    "shutting_down": 1012,
    "too_slow": 1013,
}

Handler: TypeAlias = Callable[["Session", Any], Coroutine[Any, Any, None]]


class _Close(Exception):
    """This socket is to be closed for what its client did."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """Live events, ringing, presence and control of conferences, for whoever is signed in."""
    try:
        who = await signed_in(websocket)
        fanout = part(Fanout)(websocket)
        if not fanout.ready.is_set():
            raise Unavailable("ws.not_ready", "this process is starting; try again")
        if fanout.sockets_of(who.actor.id) >= SOCKETS_A_PERSON:
            raise TooMany("ws.too_many_sockets", f"a person has at most {SOCKETS_A_PERSON} sockets")
    except HubError as error:
        await _deny(websocket, error)
        return
    await websocket.accept()
    client = fanout.join(who, session_token(websocket)[0])
    try:
        await Session(websocket, get_context(websocket), fanout, client, part(Media)(websocket)).run()
    finally:
        fanout.part(client)


async def _deny(websocket: WebSocket, error: HubError) -> None:
    """Refuse the handshake with a status where the server can, else with 403."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(JSONResponse(error_body(error.id, error.message), error.status))
    else:
        await websocket.close(1008, error.id)


class Session:
    """A reader and a writer of one socket; it ends with the first of them, or when the hub wants it to."""

    def __init__(self, websocket: WebSocket, ctx: Context, fanout: Fanout, client: Client, media: Media) -> None:
        self._websocket = websocket
        self.ctx = ctx
        self.fanout = fanout
        self.client = client
        self.media = Subscription(ctx, media, lambda: client.who, client.send)
        self._bad = 0
        self._tokens = float(BURST)
        self._refilled = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Greet, then read and write until one side has had enough."""
        me = await accounts.me(self.ctx, self.client.actor)
        user = schemas.Me.model_validate(me).model_dump(mode="json")
        await self._send(wire.Hello(now=self.ctx.clock(), seq=self.client.seq, user=user).model_dump_json())
        await self.fanout.greet(self.client)
        reader = asyncio.create_task(self._read(), name="ws/read")
        writer = asyncio.create_task(self._write(), name="ws/write")
        media = asyncio.create_task(self.media.run(), name="ws/media")
        self.fanout.subscriptions.join(self.media)
        try:
            either: set[asyncio.Future[Any]] = {reader, writer, self.client.over}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.fanout.subscriptions.part(self.media)
            for task in (reader, writer, media):
                task.cancel()
            ended = await asyncio.gather(reader, writer, media, return_exceptions=True)
        await self._last_word(ended)

    async def _last_word(self, ended: Sequence[BaseException | None]) -> None:
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect, OSError):
            async with asyncio.timeout(LAST_WORD_S):  # a client that reads nothing gets none
                if self.client.over.done():
                    reason = self.client.over.result()
                    await self._send(wire.Bye(reason=reason).model_dump_json())
                    await self._websocket.close(CODES[reason], reason)
                    return
                for error in ended:
                    if isinstance(error, _Close):
                        await self._websocket.close(error.code, error.reason)
                        return
        for error in ended:
            known = (_Close, WebSocketDisconnect, asyncio.CancelledError, RuntimeError)
            if error is not None and not isinstance(error, known):
                raise error

    async def _write(self) -> None:
        while True:
            await self._send(await self.client.queue.get())

    async def _send(self, text: str) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            await self._websocket.send_text(text)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            raw = message.get("text")
            await self._take(raw if raw is not None else message.get("bytes") or b"")

    async def _take(self, raw: str | bytes) -> None:
        """One message: an answer, an error with its id, or the end of a client that only sends rubbish."""
        self._pay()
        kind: str | None = None
        try:
            message = wire.parse_client(raw)
            kind = message.type
            await HANDLERS[type(message)](self, message)
        except wire.WireError as error:
            self.client.send(wire.Failed(error=error.id, message=error.message[:300]))
            if error.id == "ws.too_long":
                raise _Close(1009, "ws.too_long") from None
            self._bad += 1
            if self._bad >= MOST_BAD:
                raise _Close(1008, "ws.too_many_errors") from None
        except HubError as error:
            self.client.send(wire.Failed(error=error.id, message=error.message[:300], re=kind))
        except Exception as error:
            log.exception("ws.crashed", kind=kind)
            self.client.send(wire.Failed(error="server.error", message=type(error).__name__, re=kind))

    def _pay(self) -> None:
        """A bucket of messages: a page sends a few a second."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(float(BURST), self._tokens + (now - self._refilled) * MOST_A_SECOND)
        self._refilled = now
        if self._tokens < 1:
            raise _Close(1008, "ws.too_many_messages")
        self._tokens -= 1


async def _ping(session: Session, message: wire.Ping) -> None:
    session.client.send(wire.Pong(n=message.n, now=session.ctx.clock()))


async def _watch(session: Session, message: wire.WatchCameras) -> None:
    require(session.client.actor, Right.CAMERA_READ)
    await session.fanout.watch(session.client, message.cameras)


async def _ringing(session: Session, message: wire.CallRinging) -> None:
    await conferences.ringing(session.ctx, session.client.actor, message.conference)


async def _answer(session: Session, message: wire.CallAnswer) -> None:
    await conferences.answer(session.ctx, session.client.actor, message.conference, accept=message.accept)


async def _leave(session: Session, message: wire.ConferenceLeave) -> None:
    await conferences.leave(session.ctx, session.client.actor, message.conference)


async def _end(session: Session, message: wire.ConferenceEnd) -> None:
    await conferences.end(session.ctx, session.client.actor, message.conference)


async def _stage(session: Session, message: wire.ConferenceStage) -> None:
    await conferences.stage(session.ctx, session.client.actor, message.conference, message.camera)


async def _invite(session: Session, message: wire.ConferenceInvite) -> None:
    await conferences.invite(session.ctx, session.client.actor, message.conference, message.units)


async def _devices(session: Session, message: wire.ConferenceDevices) -> None:
    actor = session.client.actor
    await conferences.devices(session.ctx, actor, message.conference, audio=message.audio, video=message.video)


async def _received(session: Session, message: wire.OrderReceived) -> None:
    await dispatch.mark_delivered(session.ctx, session.client.actor, message.order)


async def _subscribe(session: Session, message: wire.MediaSubscribe) -> None:
    session.media.subscribe(message)


async def _media_answer(session: Session, message: wire.MediaAnswer) -> None:
    session.media.answered(message)


async def _media_restart(session: Session, message: wire.MediaRestart) -> None:
    session.media.restart()


HANDLERS: Final[dict[type[wire.Wire], Handler]] = {
    wire.Ping: _ping,
    wire.WatchCameras: _watch,
    wire.CallRinging: _ringing,
    wire.CallAnswer: _answer,
    wire.ConferenceLeave: _leave,
    wire.ConferenceEnd: _end,
    wire.ConferenceStage: _stage,
    wire.ConferenceInvite: _invite,
    wire.ConferenceDevices: _devices,
    wire.OrderReceived: _received,
    wire.MediaSubscribe: _subscribe,
    wire.MediaAnswer: _media_answer,
    wire.MediaRestart: _media_restart,
}
