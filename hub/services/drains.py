"""Empties relays that drain: viewers are told to come again elsewhere, then cameras change hands, then it is empty.

The viewers' next relay has the stream by a leg from the draining one before they come, so they see it there at once;
only when the last of them has left does the camera itself move. Exactly one relay has a camera open at any time.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from hub.bus import leases
from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import NodeInfo, StreamState
from hub.bus.relays import Relays
from hub.domain.errors import HubError, Unavailable
from hub.services import placing
from hub.services.context import Context
from hub.services.media import Media
from hub.services.placements import Placements
from hub.services.tasks import uninterrupted

log: Final = structlog.get_logger(__name__)

LEASE: Final = "drains"
LEASE_MS: Final = 4_000
EVERY_S: Final = 0.5
TOLD_EVERY_MS: Final = 4_000  # somebody who has not moved is told again
GRACE_MS: Final = 15_000  # then whoever is left is put out, and comes again by itself
AT_ONCE: Final = 8  # streams that change hands at the same time


class Drains:
    """One per api process; the holder of the lease works."""

    def __init__(self, ctx: Context, placements: Placements, relays: Relays, media: Media, me: str) -> None:
        self._ctx = ctx
        self._placements = placements
        self._relays = relays
        self._media = media
        self._me = me
        self._began: dict[str, int] = {}
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._round()
            except (*BUS_ERRORS, Unavailable):
                pass  # the next round tries again
            except Exception:
                log.exception("drain.failed")
            await asyncio.sleep(EVERY_S)

    async def _round(self) -> None:
        redis = self._ctx.redis
        alive = await self._placements.relays_alive()
        leaving = [node for node in alive if placing.drains(node)]
        self._began = {id: at for id, at in self._began.items() if id in {node.id for node in leaving}}
        if redis is None or not leaving or len(leaving) == len(alive):
            return
        if await leases.acquire(redis, LEASE, self._me, ttl_ms=LEASE_MS) != self._me:
            return
        for node in leaving:
            await self._empty(node, alive)

    async def _empty(self, node: NodeInfo, alive: Sequence[NodeInfo]) -> None:
        """One step of emptying a relay."""
        now = self._ctx.clock()
        late = now - self._began.setdefault(node.id, now) > GRACE_MS
        if now - self._told.get(node.id, -TOLD_EVERY_MS) >= TOLD_EVERY_MS:
            self._told[node.id] = now
            await self._media.move_off(node.id, "drain")
        there = await self._media.sessions_at(node.id)
        left = Counter(stream for noted in there for stream in noted.streams or (noted.stream,))
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(state: StreamState) -> None:
            async with gate:
                if late or not left[state.stream]:
                    try:
                        await self._clear(node, state, alive)
                    except HubError as error:
                        log.warning("drain.stream_stays", stream=state.stream, relay=node.id, error=error.id)

        states = await self._relays.streams(node.url)
        async with asyncio.TaskGroup() as group:
            for state in states:
                group.create_task(one(state), name=f"drain/{state.stream}")

    async def _clear(self, node: NodeInfo, state: StreamState, alive: Sequence[NodeInfo]) -> None:
        """Nobody views this stream at the relay any more: it goes elsewhere, or is forgotten."""
        if state.origin is not None or state.stream.startswith("mem-"):
            await self._relays.delete_stream(node.url, state.stream)
            return
        others = [each for each in alive if each.id != node.id]
        await uninterrupted(self._placements.hand_over(state.stream, node, others, wanted=state.state != "idle"))
