"""A relay lets go of cameras whose place is elsewhere by now: one that was taken for dead, and lives, keeps none open.

Places are leases in Redis, written by the api. Without Redis everything goes on as it is; a stream without a lease
belongs to whoever was told to open it.
"""

import asyncio
from typing import Final

import structlog
from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import LEASE_KEY
from hub.domain.errors import NotFound
from hub.media.node.manager import Streams

log: Final = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
PLACE: Final = "stream:{id}"


class Fence:
    """One per relay."""

    def __init__(self, redis: Redis, node: str, streams: Streams) -> None:
        self._redis = redis
        self._node = node
        self._streams = streams
        self.given_up = 0

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except BUS_ERRORS:
                continue  # media goes on without Redis

    async def look(self) -> None:
        """Forget the open cameras that another relay has by now. Raises RedisError."""
        mine = [feed.stream.id for feed in self._streams.feeds if feed.config.kind != "leg" and feed.open]
        if not mine:
            return
        holders = await self._redis.mget([LEASE_KEY.format(name=PLACE.format(id=id)) for id in mine])
        for id, holder in zip(mine, holders, strict=True):
            if holder is not None and str(holder) != self._node:
                self.given_up += 1
                log.warning("relay.stream_given_up", stream=id, to=str(holder))
                try:
                    await self._streams.delete(id)
                except NotFound:
                    continue
