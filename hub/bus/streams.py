"""Work streams: bounded, at least once, shared by the consumers of a group (Redis streams, XAUTOCLAIM).

An entry carries one field, ``json``. A consumer that dies leaves its entries to the others; an entry that no
consumer gets done is put aside after a few deliveries, and counted.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from hub.bus.connection import BUS_ERRORS, Outage

log: Final = structlog.get_logger(__name__)

FIELD: Final = "json"
BLOCK_MS: Final = 2_000  # below the client's socket timeout
MOST_DELIVERIES: Final = 5


async def publish(redis: Redis, stream: str, text: str, *, maxlen: int) -> str:
    """Append one entry; the oldest go when there are over about ``maxlen``. Returns its id. Raises RedisError."""
    return str(await redis.xadd(stream, {FIELD: text}, maxlen=maxlen, approximate=True))


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of work. It comes again until it is acknowledged."""

    id: str
    text: str


class GroupReader:
    """One consumer of one group. Survives the death of Redis: it waits, and makes the group anew."""

    def __init__(self, redis: Redis, stream: str, group: str, consumer: str, *, idle_ms: int = 30_000) -> None:
        self._redis = redis
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._idle_ms = idle_ms  # entries of others that rest so long are taken over
        self._cursor = "0-0"
        self.put_aside = 0

    async def ack(self, entry: Entry) -> None:
        """The work is done. When Redis is gone the entry may come again, so work must bear repetition."""
        try:
            await self._redis.xack(self._stream, self._group, entry.id)
        except BUS_ERRORS as error:
            log.debug("bus.ack_lost", stream=self._stream, error=str(error))

    async def entries(self, *, count: int = 16) -> AsyncIterator[Entry]:
        """Entries as they come, for ever; those of dead consumers in between. Never raises RedisError."""
        outage = Outage(f"{self._stream}/{self._group}")
        claimed_at = -float("inf")
        loop = asyncio.get_running_loop()
        made = False
        while True:
            batch: list[Entry] = []
            try:
                if not made:
                    await self._make_group()
                    made = True
                if loop.time() - claimed_at >= self._idle_ms / 2_000:
                    batch += await self._claim(count)
                    claimed_at = loop.time()
                batch += await self._read(count, block_ms=1 if batch else BLOCK_MS)
                outage.worked()
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    await asyncio.sleep(outage.failed(error))
                made = False
            except BUS_ERRORS as error:
                made = False
                await asyncio.sleep(outage.failed(error))
            for entry in batch:
                yield entry

    async def _make_group(self) -> None:
        try:  # from the first entry on: what was written before the first consumer came counts
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _read(self, count: int, *, block_ms: int) -> list[Entry]:
        answer = await self._redis.xreadgroup(
            self._group, self._consumer, {self._stream: ">"}, count=count, block=block_ms
        )
        # RESP2 answers a list of pairs, RESP3 a map whose values carry one more list
        lists = answer.values() if isinstance(answer, dict) else [found for _, found in answer or []]
        return [entry for found in lists for entry in _entries(found)]

    async def _claim(self, count: int) -> list[Entry]:
        answer = await self._redis.xautoclaim(
            self._stream, self._group, self._consumer, min_idle_time=self._idle_ms, start_id=self._cursor, count=count
        )
        self._cursor = answer[0]  # Redis 6.2 keeps trimmed entries pending; going on from the cursor passes them by
        taken = _entries(answer[1])
        good = []
        for entry in taken:
            if await self._deliveries(entry.id) <= MOST_DELIVERIES:
                good.append(entry)
                continue
            self.put_aside += 1
            log.error("bus.entry_put_aside", stream=self._stream, entry=entry.id)
            await publish(self._redis, f"{self._stream}:aside", entry.text, maxlen=256)
            await self._redis.xack(self._stream, self._group, entry.id)
        return good

    async def _deliveries(self, entry_id: str) -> int:
        pending = await self._redis.xpending_range(self._stream, self._group, min=entry_id, max=entry_id, count=1)
        return int(pending[0]["times_delivered"]) if pending else 0


def _entries(found: Any) -> list[Entry]:
    """Entries with our field; Redis 6.2 answers nil for claimed entries that were trimmed away."""
    if len(found) == 1 and isinstance(found[0], list) and found[0] and not isinstance(found[0][0], str):
        found = found[0]
    return [Entry(item[0], item[1][FIELD]) for item in found if item and item[1] and FIELD in item[1]]
