"""The relay process, put together: sources and taps on one side, peers on the other, Redis and HTTP around."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import structlog
from redis.asyncio import Redis

from hub.bus import internal_http, registry
from hub.bus.connection import BUS_ERRORS
from hub.bus.gateway_calls import GatewayCalls
from hub.bus.registry import heartbeat
from hub.bus.relay_wire import NodeInfo, StreamConfig
from hub.bus.relays import Relays
from hub.bus.routes import address_of_route
from hub.domain.clock import Clock, system_clock
from hub.domain.errors import Unavailable
from hub.domain.source_url import check_url
from hub.media.node.feed import Feed, Tap
from hub.media.node.fence import Fence
from hub.media.node.gb import GbMedia
from hub.media.node.gb_out import PsOuts, Talks
from hub.media.node.http import Routes
from hub.media.node.legs import Legs
from hub.media.node.load import Load
from hub.media.node.manager import Streams
from hub.media.node.metrics import registry as figures
from hub.media.node.outbox import Outbox
from hub.media.node.substream import Verdicts
from hub.media.peer.server import PeerServer
from hub.media.rtp.unit import Description
from hub.media.sources.opening import OpenSource, open_source
from hub.media.stream import Stream
from hub.media.taps.pictures import Shelf, keep_pictures
from hub.media.transcode.conversion import Conversion
from hub.media.transcode.pool import Pool
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
    zones = settings.addresses or {"": _own_addresses(host)}
    try:
        peers = await PeerServer.open(
            host, settings.udp_port, announce=zones.pop("", ()), zones=zones, over_tcp=settings.media_tcp, clock=clock,
            max_sessions=MAX_SESSIONS, fanout=settings.fanout,
        )  # fmt: skip
    except OSError as error:
        why = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        kinds = "udp and tcp" if settings.media_tcp else "udp"
        raise Unavailable("relay.port_taken", f"media port {host}:{settings.udp_port}, {kinds}: {why}") from None
    except RuntimeError as error:  # the self-test, or a native half that was demanded and is not built
        raise Unavailable("relay.unusable", str(error)) from None
    outbox: Outbox | None = None
    try:
        async with Relays(token) as relays, GatewayCalls(token) as calls, asyncio.TaskGroup() as group:
            relay = _Relay(settings, node_id, redis, clock, peers, group, relays, calls)
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
        relays: Relays,
        calls: GatewayCalls,
    ) -> None:
        self._settings = settings
        self._id = node_id
        self._redis = redis
        self._clock = clock
        self._since = clock()
        self._peers = peers
        self._group = group
        self._shelf = Shelf()
        width, height = (int(side) for side in settings.transcode_size.split("x"))
        self.pool = Pool(
            group, most=settings.transcode_most or os.cpu_count() or 1, width=width, height=height,
            rate=settings.transcode_rate,
        )  # fmt: skip
        self._base = ""  # known once the internal HTTP listens, before any stream can be asked for
        self._load = Load(MAX_SESSIONS)
        self._announce_now = asyncio.Event()
        self._gb = GbMedia(settings, calls, clock=clock)
        self._verdicts = Verdicts()
        self._legs = Legs(node=node_id, relays=relays, clock=clock, peers=peers, group=group)
        self.streams = Streams(
            node=node_id,
            clock=clock,
            peers=peers,
            shelf=self._shelf,
            make_feed=self._feed,
            group=group,
            legs=self._legs,
        )
        streams = self.streams
        streams.talks = Talks(self._gb, streams.stream, group, streams.report_end)
        streams.ps = PsOuts(self._gb, streams.stream, streams.report_end)
        self.outbox = self.streams.outbox = Outbox(redis, self.streams.states)

    async def serve(self, token: str, on_ready: Callable[[NodeInfo], None]) -> None:
        """Listen, announce, publish, until cancelled."""
        routes = Routes(self.streams, figures(self.streams, self._peers, self.outbox, self.pool), self._drain).routes()
        async with internal_http.serve(routes, token=token, host=self._settings.internal_host) as self._base:
            self._group.create_task(
                heartbeat(self._redis, self._describe, now=self._announce_now), name="relay/heartbeat"
            )
            self._group.create_task(self.outbox.run(), name="relay/outbox")
            self._group.create_task(Fence(self._redis, self._id, self.streams).run(), name="relay/fence")
            log.info("relay.ready", node=self._id, udp_port=self._peers.port, internal=self._base)
            on_ready(self._describe())
            await asyncio.Event().wait()

    def _describe(self) -> NodeInfo:
        sessions = len(self._peers.sessions)
        load = self._load.look(sessions)
        facts = {
            "udp_port": str(self._peers.port),
            "streams": str(len(self.streams.feeds)),
            "sessions": str(sessions),
            "cpu": f"{self._load.cpu:.2f}",
            registry.ZONE: self._settings.relay_zone,
            registry.DIALS: ",".join(self._settings.relay_dials),
            registry.DRAINING: "1" if self.streams.draining else "",
        }
        return NodeInfo(
            id=self._id,
            role="relay",
            url=self._base,
            since=self._since,
            seen_at=self._clock(),
            load=load,
            facts=facts,
        )

    def _drain(self, on: bool) -> None:
        if self.streams.draining is not on:
            log.info("relay.draining" if on else "relay.undrained", node=self._id)
        self.streams.draining = on
        self._announce_now.set()

    def _feed(self, id: str, config: StreamConfig, on_change: Callable[[], None]) -> Feed:
        # ``file:`` may point into the demo's own folder only, and only in the demo.
        files = self._settings.data / "demo" if self._settings.demo else None

        def opener(url: str) -> AbstractAsyncContextManager[OpenSource]:
            if feed.config.kind == "leg":
                return self._legs.source(feed.stream, url)

            def described(found: Description) -> None:
                if url == feed.config.url:  # what the sub stream says of itself is no word on the main one
                    feed.stream.describe(found)

            if feed.config.kind == "gb28181":
                owner = f"{self._id}/{id}" if url == feed.config.url else f"{self._id}/{id}~sub"
                return self._gb.source(feed.config.model_copy(update={"url": url}), owner, on_change, described)
            return open_source(check_url(url, files=True), clock=self._clock, files=files, described=described)

        feed = Feed(
            id,
            config,
            clock=self._clock,
            opener=opener,
            taps=self._taps,
            convert=lambda stream, changed: Conversion(
                stream, self.pool, linger_s=self._settings.linger_s, on_change=changed
            ),
            on_change=on_change,
            on_described=lambda: self._peers.look_again(feed.stream.id),
            linger_s=self._settings.linger_s,
            verdicts=self._verdicts,
        )
        return feed

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
    return (*found, "127.0.0.1") if host == "0.0.0.0" else (*found, "127.0.0.1", "::1")  # noqa: S104 - compared


async def _last_words(outbox: Outbox) -> None:
    """Tell that the sessions ended, if Redis is there at once."""
    try:
        async with asyncio.timeout(0.5):
            await outbox.flush()
    except (*BUS_ERRORS, TimeoutError) as error:
        log.debug("relay.last_words_lost", error=type(error).__name__)
