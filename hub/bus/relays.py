"""The api's client for a relay's internal HTTP (``relay_wire``). Errors come out with the relay's own stable ids."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

import httpx

from hub.bus.internal_client import InternalClient, http_client, refusal
from hub.bus.relay_wire import (
    SESSION_HEADER,
    AnswerOut,
    DrainIn,
    FragmentIn,
    FragmentOut,
    OfferIn,
    PushIn,
    StreamConfig,
    StreamState,
    StreamStates,
    SubscribeIn,
    SubscriberAnswer,
    SubscriberOut,
    TalkConfig,
    TracksIn,
)
from hub.domain.errors import NotFound

MAX_STREAMING: Final = 128
SNAPSHOT_S: Final = 15.0  # a camera's opening and its longest usual GOP
TALK_S: Final = 20.0  # the device answers, then calls back
CONNECT_ALIVE_S: Final = 5.0  # whoever listens gives up earlier, by a clock that minds this process's own pauses
ALIVE_S: Final = 1.5  # a relay that says nothing for so long is dead, or cannot be reached


class Relays(InternalClient):
    """Talks to every relay; ``base`` is the relay's ``NodeInfo.url``.

    All calls raise HubError: Unavailable ``relay.none`` when the relay does not answer, otherwise the class that
    belongs to the status, with the id that the relay gave.
    """

    def __init__(self, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(token, "relay", transport=transport)
        self._open: dict[str, set[TransportStream]] = {}  # by relay
        # apart, so that streams without end leave room for calls
        self._streaming = http_client(token, timeout_s=20.0, most=MAX_STREAMING, transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await super().close()
        await self._streaming.aclose()

    async def put_stream(self, base: str, stream: str, config: StreamConfig) -> None:
        """Make the relay want this stream so; idempotent."""
        await self.call("PUT", base, f"/streams/{stream}", body=config)

    async def delete_stream(self, base: str, stream: str) -> None:
        """Make the relay forget the stream; its sessions end. Unknown is as good as gone."""
        try:
            await self.call("DELETE", base, f"/streams/{stream}")
        except NotFound:
            return

    async def push(self, base: str, stream: str, *, to: str, url: str) -> None:
        """Have the relay publish a stream at the relay ``to``, whose internal URL is ``url``; idempotent."""
        await self.call("PUT", base, f"/streams/{stream}/pushes/{to}", body=PushIn(url=url))

    async def drain(self, base: str, *, draining: bool) -> None:
        """Have the relay say that it takes nothing new, or that it does again."""
        await self.call("PUT", base, "/drain", body=DrainIn(draining=draining))

    async def alive(self, base: str) -> AsyncGenerator[None, None]:
        """Yields every half second while the relay lives; ends, or raises Unavailable, when it does not."""
        request = self._streaming.build_request(
            "GET", f"{base.rstrip('/')}/alive", timeout=httpx.Timeout(ALIVE_S, connect=CONNECT_ALIVE_S)
        )
        try:
            response = await self._streaming.send(request, stream=True)
            try:
                if not response.is_success:
                    raise self.error(response.status_code, b"")
                async for _ in response.aiter_raw():
                    yield
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self.silent(error) from None

    async def streams(self, base: str) -> list[StreamState]:
        """State of every stream of this relay."""
        answer = await self.call("GET", base, "/streams")
        return self.parsed(StreamStates, answer).items

    async def stream(self, base: str, stream: str) -> StreamState:
        """State of one stream. Raises NotFound ``stream.unknown``."""
        return self.parsed(StreamState, await self.call("GET", base, f"/streams/{stream}"))

    async def whep(self, base: str, stream: str, offer: OfferIn) -> AnswerOut:
        """A viewer's session. The source may have to be opened first, which the relay does behind the answer."""
        return self.parsed(AnswerOut, await self.call("POST", base, f"/streams/{stream}/whep", body=offer))

    async def whip(self, base: str, stream: str, offer: OfferIn) -> AnswerOut:
        """A publisher's session; the stream comes into being."""
        return self.parsed(AnswerOut, await self.call("POST", base, f"/streams/{stream}/whip", body=offer))

    async def transport_stream(self, base: str, stream: str, *, owner: str) -> "TransportStream":
        """Open a stream as MPEG-TS; close what is returned. Waits for the first picture."""
        request = self._streaming.build_request(
            "GET", f"{base.rstrip('/')}/streams/{stream}.ts", params={"owner": owner}
        )
        try:
            response = await self._streaming.send(request, stream=True)
            if response.is_success:
                opened = self._open.setdefault(base, set())
                opened.add(made := TransportStream(response, opened.discard))
                return made
            try:
                answer = await refusal(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self.silent(error) from None
        raise self.error(response.status_code, answer)

    def lost(self, base: str) -> None:
        """A relay is dead, though its connections may not break: what is read from it ends."""
        for opened in self._open.pop(base, ()):
            opened.lost.set()

    async def snapshot(self, base: str, stream: str, *, owner: str) -> bytes:
        """The stream's newest key frame as JPEG; waits for one."""
        return await self.call(
            "GET", base, f"/streams/{stream}/snapshot", params={"owner": owner}, timeout_s=SNAPSHOT_S
        )

    async def put_talk(self, base: str, talk: str, config: TalkConfig) -> None:
        """Have the relay speak to a device; returns once the device listens. Raises what the device says."""
        await self.call("PUT", base, f"/talks/{talk}", body=config, timeout_s=TALK_S)

    async def patch(self, base: str, session: str, fragment: FragmentIn) -> FragmentOut:
        """Trickle into a session, or begin its ICE anew. Raises NotFound ``session.unknown``, Invalid."""
        return self.parsed(FragmentOut, await self.call("PATCH", base, f"/sessions/{session}", body=fragment))

    async def subscribe(self, base: str, body: SubscribeIn) -> SubscriberOut:
        """A connection for many streams; empty as yet."""
        return self.parsed(SubscriberOut, await self.call("POST", base, "/subscribers", body=body))

    async def wish(self, base: str, session: str, body: TracksIn) -> SubscriberOut:
        """What a subscriber wants now, and nothing else. Raises NotFound ``session.unknown``."""
        return self.parsed(SubscriberOut, await self.call("PUT", base, f"/subscribers/{session}/tracks", body=body))

    async def answer(self, base: str, session: str, body: SubscriberAnswer) -> SubscriberOut:
        """A subscriber's answer. Raises NotFound, Conflict ``media.revision``, Invalid ``sdp.invalid``."""
        return self.parsed(SubscriberOut, await self.call("POST", base, f"/subscribers/{session}/answer", body=body))

    async def restart(self, base: str, session: str) -> SubscriberOut:
        """Have a subscriber's ICE begin anew. Raises NotFound."""
        return self.parsed(SubscriberOut, await self.call("POST", base, f"/subscribers/{session}/restart"))

    async def withdraw(self, base: str, session: str, key: str) -> None:
        """Take from a subscriber what hangs on this key alone. Unknown is as good as gone."""
        with contextlib.suppress(NotFound):
            await self.call("DELETE", base, f"/subscribers/{session}/grants", params={"key": key})

    async def end_session(self, base: str, session: str) -> None:
        """End one session. Unknown is as good as ended."""
        try:
            await self.call("DELETE", base, f"/sessions/{session}")
        except NotFound:
            return

    async def end_owner(self, base: str, owner: str) -> None:
        """End every session of an owner: a right was withdrawn."""
        await self.call("DELETE", base, "/sessions", params={"owner": owner})


class TransportStream:
    """An open MPEG-TS of a relay. ``lost`` is set when the relay is known to be dead: nothing else may ever come."""

    def __init__(self, response: httpx.Response, on_close: Callable[["TransportStream"], None]) -> None:
        self.lost = asyncio.Event()
        self._on_close = on_close
        self.session = response.headers.get(SESSION_HEADER, "")
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """What comes, until it ends or the relay is gone."""
        with contextlib.suppress(httpx.HTTPError):
            async for chunk in self._response.aiter_raw():
                yield chunk

    async def close(self) -> None:
        """Leave; the relay notices."""
        self._on_close(self)
        await self._response.aclose()
