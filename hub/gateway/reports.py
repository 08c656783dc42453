"""What the gateway tells the api: a bounded queue on its way into a Redis stream. Nothing here waits for Redis."""

import asyncio
from collections import deque
from typing import Final

from pydantic import BaseModel
from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.relay_wire import REPORTS_STREAM
from hub.bus.streams import publish

MAX_WAITING: Final = 20_000  # a storm of registrations, or a catalogue of a large platform in pages
KEPT: Final = 16_384


class Reports:
    """One per gateway."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: deque[BaseModel] = deque()
        self._wake = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def tell(self, report: BaseModel) -> None:
        """Queue a report; during an outage the oldest beyond 20,000 are dropped and counted."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(report)
        self._wake.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        outage = Outage("gateway/reports")
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                try:
                    await publish(self._redis, REPORTS_STREAM, self._waiting[0].model_dump_json(), maxlen=KEPT)
                    outage.worked()
                except BUS_ERRORS as error:
                    await asyncio.sleep(outage.failed(error))
                    continue
                self._waiting.popleft()
