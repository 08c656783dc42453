"""What a relay says over Redis: states, reports, picture references. Redis may be gone: nothing here waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.relay_wire import PICTURES_STREAM, REPORTS_STREAM, STATES_CHANNEL, PictureRef, SessionReport, StreamState
from hub.bus.streams import publish

EVERY_S: Final = 5.0
TOGETHER_S: Final = 0.05  # changes within this time leave together
BATCH: Final = 256
MAX_REPORTS: Final = 1_024
PICTURES_KEPT: Final = 4_096
REPORTS_KEPT: Final = 16_384


class Outbox:
    """One per relay. ``states`` gives every stream's state now."""

    def __init__(self, redis: Redis, states: Callable[[], Sequence[StreamState]]) -> None:
        self._redis = redis
        self._states = states
        self._changed: set[str] = set()
        self._gone: dict[str, StreamState] = {}
        self._reports: deque[SessionReport] = deque()
        self._wake = asyncio.Event()
        self._pictures_outage = Outage("relay/pictures")
        self.dropped = 0

    def changed(self, stream: str) -> None:
        """A stream's state changed; it is published soon."""
        self._changed.add(stream)
        self._wake.set()

    def gone(self, last: StreamState) -> None:
        """A stream was forgotten; its last words."""
        if len(self._gone) < MAX_REPORTS:
            self._gone[last.stream] = last
        self._wake.set()

    def report(self, report: SessionReport) -> None:
        """Queue a report; during an outage the oldest beyond 1,024 are dropped and counted."""
        if len(self._reports) >= MAX_REPORTS:
            self._reports.popleft()
            self.dropped += 1
        self._reports.append(report)
        self._wake.set()

    async def picture(self, ref: PictureRef) -> None:
        """Announce a picture; lost when Redis is gone, as the next one comes soon."""
        try:
            await publish(self._redis, PICTURES_STREAM, ref.model_dump_json(), maxlen=PICTURES_KEPT)
            self._pictures_outage.worked()
        except BUS_ERRORS as error:
            self._pictures_outage.failed(error)
            self.dropped += 1

    async def run(self) -> None:
        """Publish changes at once and everything every 5 s, until cancelled."""
        outage = Outage("relay/states")
        loop = asyncio.get_running_loop()
        everything_at = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(everything_at):
                    await self._wake.wait()
                await asyncio.sleep(TOGETHER_S)
            except TimeoutError:
                everything_at = loop.time() + EVERY_S
                self._changed.update(state.stream for state in self._states())
            self._wake.clear()
            try:
                await self.flush()
                outage.worked()
            except BUS_ERRORS as error:
                await asyncio.sleep(outage.failed(error))
                everything_at = loop.time()  # whoever listens heard nothing meanwhile

    async def flush(self) -> None:
        """Send what is due now. Raises RedisError; reports that were not sent stay."""
        changed, self._changed = self._changed, set()
        gone, self._gone = self._gone, {}
        due = [*gone.values(), *(state for state in self._states() if state.stream in changed)]
        try:
            for at in range(0, len(due), BATCH):
                async with self._redis.pipeline(transaction=False) as pipe:
                    for state in due[at : at + BATCH]:
                        pipe.publish(STATES_CHANNEL, state.model_dump_json())
                    await pipe.execute()
        except BUS_ERRORS:
            self._gone = gone | self._gone  # the living are told of again anyway
            raise
        while self._reports:
            await publish(self._redis, REPORTS_STREAM, self._reports[0].model_dump_json(), maxlen=REPORTS_KEPT)
            self._reports.popleft()
