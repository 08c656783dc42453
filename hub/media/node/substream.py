"""A camera's sub stream: the small layer of its picture, open only while a small tile or a narrow path wants it.

Whether a GB/T 28181 device has one shows when it is asked. One that refuses, sends the main picture again, or lets go
of the main stream for it has none: that is remembered, and the camera has one layer as before.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn

import structlog

from hub.domain.errors import Invalid
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.source import GbSource
from hub.media.sources.opening import OpenSource
from hub.media.stream import Stream
from hub.media.taps.health import Health

log: Final = structlog.get_logger(__name__)

LAYER: Final = 1
KEPT_S: Final = 3_600.0  # a device may be set up otherwise meanwhile
MAX_KEPT: Final = 65_536
TRIES: Final = 3
STABLE_S: Final = 10.0
UPSET_S: Final = 12.0  # a main stream that breaks so soon after the sub stream came broke because of it
PASSING: Final = frozenset({"gateway.none", "gateway.answer", "gateway.busy", "gb28181.offline", "gb28181.no_port"})
"""Reasons that say nothing of the device's sub stream."""
REFUSALS: Final = frozenset(
    f"gb28181.{why}"
    for why in ("no_sub_stream", "refused", "not_acceptable", "busy", "forbidden", "channel_unknown", "channel_offline")
)

Size = tuple[int, int]


class Verdicts:
    """Sub streams that turned out to be none, for an hour. One per relay."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._found: dict[str, tuple[float, str]] = {}

    def why(self, url: str) -> str:
        """Why this one is not asked for; empty: it may be."""
        found = self._found.get(url)
        if found is None or self._now() - found[0] >= KEPT_S:
            self._found.pop(url, None)
            return ""
        return found[1]

    def note(self, url: str, why: str) -> None:
        """This is none."""
        self._found.pop(url, None)
        self._found[url] = self._now(), why
        if len(self._found) > MAX_KEPT:
            del self._found[next(iter(self._found))]


class _NoneError(Exception):
    """What came is no sub stream."""


class SubStream:
    """Pulls ``url`` into layer 1 of the stream. What fails here costs nobody the main stream: the layer is missing.

    With ``verdicts`` it is given up where the device has none; ``main_size`` is what it has to be smaller than.
    """

    def __init__(
        self,
        stream: Stream,
        url: str,
        opener: Callable[[str], AbstractAsyncContextManager[OpenSource]],
        *,
        linger_s: float,
        retry: Callable[[int], float],
        verdicts: Verdicts | None = None,
        main_size: Callable[[], Size | None] = lambda: None,
    ) -> None:
        self.opened = 0  # connections ever tried
        self.url = url
        self._stream = stream
        self._opener = opener
        self._linger_s = linger_s
        self._retry = retry
        self._verdicts = verdicts
        self._main_size = main_size
        self._source: OpenSource | None = None
        self._up_at = 0.0
        self._asked_at: float | None = None  # of the connection that stands or is tried
        self._changed = asyncio.Event()

    @property
    def why_none(self) -> str:
        """Why there is none, in a stable word; empty where there may be one."""
        return "" if self._verdicts is None else self._verdicts.why(self.url)

    def wake(self) -> None:
        """Viewers changed, or what they want."""
        self._changed.set()

    def request_keyframe(self) -> None:
        """Ask for one, where that can be done."""
        if isinstance(self._source, GbSource):
            self._source.request_keyframe()

    def main_broke(self, reason: str) -> None:
        """The main stream is lost: a device that can send one picture only has taken it away for this one."""
        since = self._asked_at
        if since is not None and time.monotonic() - since < UPSET_S and reason not in PASSING:
            self._give_up("one_stream_only")

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            while not self._stream.low_wanted:
                self._changed.clear()
                await self._changed.wait()
            pump = asyncio.create_task(self._pump(), name=f"{self._stream.id}/sub")
            try:
                await self._until_unwanted()
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def _until_unwanted(self) -> None:
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(None if self._stream.low_wanted else self._linger_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _pump(self) -> None:
        failures = 0
        while not self.why_none:
            failures += 1
            try:
                await self._receive()
            except _NoneError as found:
                self._give_up(str(found))
                continue
            except (SourceError, Invalid) as error:
                log.info("substream.failed", stream=self._stream.id, reason=error.id)
                failures = 1 if time.monotonic() - self._up_at >= STABLE_S and self._up_at else failures
                if error.id in REFUSALS or (failures >= TRIES and error.id not in PASSING):
                    self._give_up(error.id)
            except Exception as error:  # a fault of ours must not take the main stream along
                log.exception("substream.crashed", stream=self._stream.id, error=type(error).__name__)
            await asyncio.sleep(self._retry(failures))

    def _give_up(self, why: str) -> None:
        if self._verdicts is not None and not self.why_none:
            log.info("substream.none", stream=self._stream.id, reason=why)
            self._verdicts.note(self.url, why)

    async def _receive(self) -> NoReturn:
        self.opened += 1
        self._up_at, self._asked_at = 0.0, time.monotonic()
        try:
            async with self._opener(self.url) as source:
                self._source, self._up_at = source, time.monotonic()
                health = Health()
                while True:
                    for unit in await source.read():
                        if unit.kind != "video":
                            continue
                        if self._verdicts is not None:
                            health.observe(unit)
                            self._judge(unit.codec, health)
                        self._stream.publish(unit, LAYER)
        finally:
            self._source = self._asked_at = None
            with contextlib.suppress(IndexError):  # nobody who comes now may be shown a picture of the past
                self._stream.layers("video")[LAYER].restart()

    def _judge(self, codec: str, health: Health) -> None:
        """Raises _NoneError where this is not a smaller picture that can stand in for the main one."""
        if why := self.why_none:
            raise _NoneError(why)
        tracks = self._stream.layers("video")
        if len(tracks) > LAYER and codec != tracks[LAYER].codec:
            raise _NoneError("codec")
        main = self._main_size()
        if main is None or health.width is None or health.height is None:
            return
        if health.width * health.height >= main[0] * main[1]:
            raise _NoneError("same_picture")
