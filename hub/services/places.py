"""Where streams are: a lease in Redis by stream, held by a live relay; chosen by ``placing`` where there is none."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from redis.asyncio import Redis

from hub.bus import leases, registry
from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import NodeInfo
from hub.domain.errors import Unavailable
from hub.domain.ids import StreamId
from hub.services import placing
from hub.services.context import Context
from hub.services.states import StreamBook

log: Final = structlog.get_logger(__name__)

PLACE_TTL_MS: Final = 600_000  # a place outlives its use a while; a dead relay's places are taken over at once
SUSPECT_MS: Final = 6_000  # as long as a dead node's entry may stay in the registry
LOOK_EVERY_S: Final = 0.25  # a wall of sixteen tiles asks once


def lease_name(stream: StreamId) -> str:
    """The name of a stream's place among the leases."""
    return f"stream:{stream}"


class Places:
    """One per api process."""

    def __init__(self, ctx: Context, book: StreamBook) -> None:
        self._ctx = ctx
        self._book = book
        self._suspects: dict[tuple[str, int], int] = {}  # (relay, since) that did not answer -> until when
        self._found: list[NodeInfo] = []
        self._found_at = 0.0

    async def relays_alive(self) -> list[NodeInfo]:
        """Live relays, without those that just did not answer. Raises Unavailable (``bus.lost``)."""
        now_s = asyncio.get_running_loop().time()
        if not self._found or now_s - self._found_at > LOOK_EVERY_S:
            try:
                self._found = await registry.nodes(self._redis, "relay")
            except BUS_ERRORS:
                self._found = []
                raise Unavailable("bus.lost", "Redis does not answer; try again") from None
            self._found_at = now_s
        now = self._ctx.clock()
        self._suspects = {key: until for key, until in self._suspects.items() if until > now}
        return [node for node in self._found if (node.id, node.since) not in self._suspects]

    async def place(self, stream: StreamId, *, anew: bool = False) -> NodeInfo:
        """The relay that carries this stream, chosen now if there is none. Raises Unavailable (``relay.none``).

        ``anew``: somewhere else than on a relay that drains, since the stream begins anew.
        """
        alive = {node.id: node for node in await self.relays_alive()}
        if not alive:
            raise Unavailable("relay.none", "no relay is running")
        if anew:
            alive = {node.id: node for node in placing.open_to_new(list(alive.values()))}
        try:
            return alive[await self._lease(stream, alive)]
        except BUS_ERRORS:
            raise Unavailable("bus.lost", "Redis does not answer; try again") from None

    async def where(self, stream: StreamId) -> NodeInfo | None:
        """The live relay that carries this stream, if one does. Raises Unavailable (``bus.lost``)."""
        alive = {node.id: node for node in await self.relays_alive()}
        try:
            holder = await leases.holder_of(self._redis, lease_name(stream))
        except BUS_ERRORS:
            raise Unavailable("bus.lost", "Redis does not answer; try again") from None
        return None if holder is None else alive.get(holder)

    async def _lease(self, stream: StreamId, alive: Mapping[str, NodeInfo]) -> str:
        for _ in range(3):
            choice = placing.heir(stream, list(alive.values()), self._book.legs_of(stream)).id
            holder = await leases.acquire(self._redis, lease_name(stream), choice, ttl_ms=PLACE_TTL_MS)
            if holder in alive:
                if holder != choice:
                    await leases.renew(self._redis, lease_name(stream), holder, ttl_ms=PLACE_TTL_MS)
                return holder
            if await leases.take_over(self._redis, lease_name(stream), holder, choice, ttl_ms=PLACE_TTL_MS):
                log.info("placement.moved", stream=stream, to=choice)
                return choice
        raise Unavailable("relay.none", "no relay could be agreed on")

    def suspect(self, node: NodeInfo) -> None:
        """A relay did not answer: leave it out until the registry has forgotten it, or it starts again."""
        self._suspects[node.id, node.since] = self._ctx.clock() + SUSPECT_MS

    @property
    def _redis(self) -> Redis:
        if self._ctx.redis is None:
            raise Unavailable("bus.lost", "Redis is not configured")
        return self._ctx.redis
