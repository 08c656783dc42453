"""The relay process, put together: sources and taps on one side, peers on the other, Redis and HTTP around."""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog
from redis.asyncio import Redis

from hub.bus import internal_http
from hub.bus.connection import BUS_ERRORS
from hub.bus.registry import heartbeat
from hub.bus.relay_wire import NodeInfo, StreamConfig
from hub.bus.routes import address_of_route
from hub.domain.clock import Clock, system_clock
from hub.domain.errors import Unavailable
from hub.domain.source_url import check_url
from hub.media.node.feed import Feed, Tap
from hub.media.node.http import Routes
from hub.media.node.manager import Streams
from hub.media.node.metrics import registry
from hub.media.node.outbox import Outbox
from hub.media.peer.server import PeerServer
from hub.media.sources.opening import open_source
from hub.media.stream import Stream
from hub.media.taps.pictures import Shelf, keep_pictures
from hub.settings import Settings

log: Final = structlog.get_logger(__name__)

MIN_PICTURE_MS: Final = 200
MAX_SESSIONS: Final = 512


async def run_relay(
    settings: Settings,
    *,
    node_id: str,
    token: str,
    redis: Redis,
    clock: Clock = system_clock,
    on_ready: Callable[[NodeInfo], None] = lambda node: None,
) -> None:
    """Run a relay until cancelled. ``on_ready`` is told its address once it serves.

    Raises Unavailable in one plain line: ``relay.port_taken``, ``relay.unusable``, ``internal.port_taken``.
    """
    host = settings.media_host or settings.host
    announce = settings.announce or _own_addresses(host)
    try:
        peers = await PeerServer.open(
            host, settings.udp_port, announce=announce, clock=clock, max_sessions=MAX_SESSIONS, fanout=settings.fanout
        )
    except OSError as error:
        why = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise Unavailable("relay.port_taken", f"media port {host}:{settings.udp_port}/udp: {why}") from None
    except RuntimeError as error:  # the self-test, or a native half that was demanded and is not built
        raise Unavailable("relay.unusable", str(error)) from None
    outbox: Outbox | None = None
    try:
        async with asyncio.TaskGroup() as group:
            relay = _Relay(settings, node_id, redis, clock, peers, group)
            outbox = relay.outbox
            await relay.serve(token, on_ready)
    finally:
        await peers.close()
        if outbox is not None:
            await _last_words(outbox)


class _Relay:
    """The objects of one relay and how they know each other."""

    def __init__(
        self,
        settings: Settings,
        node_id: str,
        redis: Redis,
        clock: Clock,
        peers: PeerServer,
        group: asyncio.TaskGroup,
    ) -> None:
        self._settings = settings
        self._id = node_id
        self._redis = redis
        self._clock = clock
        self._since = clock()
        self._peers = peers
        self._group = group
        self._shelf = Shelf()
        self._base = ""  # known once the internal HTTP listens, before any stream can be asked for
        self.streams = Streams(
            node=node_id, clock=clock, peers=peers, shelf=self._shelf, make_feed=self._feed, group=group
        )
        self.outbox = self.streams.outbox = Outbox(redis, self.streams.states)

    async def serve(self, token: str, on_ready: Callable[[NodeInfo], None]) -> None:
        """Listen, announce, publish, until cancelled."""
        routes = Routes(self.streams, registry(self.streams, self._peers, self.outbox)).routes()
        async with internal_http.serve(routes, token=token, host=self._settings.internal_host) as self._base:
            self._group.create_task(heartbeat(self._redis, self._describe), name="relay/heartbeat")
            self._group.create_task(self.outbox.run(), name="relay/outbox")
            log.info("relay.ready", node=self._id, udp_port=self._peers.port, internal=self._base)
            on_ready(self._describe())
            await asyncio.Event().wait()

    def _describe(self) -> NodeInfo:
        sessions = len(self._peers.sessions)
        facts = {"udp_port": str(self._peers.port), "streams": str(len(self.streams.feeds)), "sessions": str(sessions)}
        return NodeInfo(
            id=self._id,
            role="relay",
            url=self._base,
            since=self._since,
            seen_at=self._clock(),
            load=sum(max(1, len(session.seats)) for session in self._peers.sessions) / MAX_SESSIONS,
            facts=facts,
        )

    def _feed(self, id: str, config: StreamConfig, on_change: Callable[[], None]) -> Feed:
        # ``file:`` may point into the demo's own folder only, and only in the demo.
        files = self._settings.data / "demo" if self._settings.demo else None
        return Feed(
            id,
            config,
            clock=self._clock,
            opener=lambda url: open_source(check_url(url, files=True), clock=self._clock, files=files),
            taps=self._taps,
            on_change=on_change,
            linger_s=self._settings.linger_s,
        )

    def _taps(self, config: StreamConfig) -> Mapping[str, Tap]:
        if config.pictures_every_ms is None:
            return {}
        return {"pictures": partial(self._pictures, max(config.pictures_every_ms, MIN_PICTURE_MS))}

    async def _pictures(self, every_ms: int, stream: Stream) -> None:
        await keep_pictures(
            stream,
            every_ms=every_ms,
            shelf=self._shelf,
            publish=self.outbox.picture,
            node=self._id,
            url=lambda stream, picture: f"{self._base}/streams/{stream}/pictures/{picture}",
        )


def _own_addresses(host: str) -> tuple[str, ...]:
    """What to announce where nothing was said: the host itself, or for "any" the addresses that routes lead from."""
    if host not in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return (host,)
    families = (socket.AF_INET,) if host == "0.0.0.0" else (socket.AF_INET, socket.AF_INET6)  # noqa: S104 - compared
    found = [address for family in families if (address := address_of_route(family)) is not None]
    return (*found, "127.0.0.1")


async def _last_words(outbox: Outbox) -> None:
    """Tell that the sessions ended, if Redis is there at once."""
    try:
        async with asyncio.timeout(0.5):
            await outbox.flush()
    except (*BUS_ERRORS, TimeoutError) as error:
        log.debug("relay.last_words_lost", error=type(error).__name__)
