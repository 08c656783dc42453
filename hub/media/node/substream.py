"""A camera's sub stream: the small layer of its picture, open only while a small tile or a narrow path wants it."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn

import structlog

from hub.domain.errors import Invalid
from hub.media.sources.errors import SourceError
from hub.media.sources.opening import OpenSource
from hub.media.stream import Stream

log: Final = structlog.get_logger(__name__)

LAYER: Final = 1


class SubStream:
    """Pulls ``url`` into layer 1 of the stream. What fails here costs nobody the main stream: the layer is missing."""

    def __init__(
        self,
        stream: Stream,
        url: str,
        opener: Callable[[str], AbstractAsyncContextManager[OpenSource]],
        *,
        linger_s: float,
        retry: Callable[[int], float],
    ) -> None:
        self.opened = 0  # connections ever tried
        self._stream = stream
        self._url = url
        self._opener = opener
        self._linger_s = linger_s
        self._retry = retry
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Viewers changed, or what they want."""
        self._changed.set()

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

    async def _pump(self) -> NoReturn:
        failures = 0
        while True:
            failures += 1
            try:
                await self._receive()
            except (SourceError, Invalid) as error:
                log.info("substream.failed", stream=self._stream.id, reason=error.id)
            except Exception as error:  # a fault of ours must not take the main stream along
                log.exception("substream.crashed", stream=self._stream.id, error=type(error).__name__)
            await asyncio.sleep(self._retry(failures))

    async def _receive(self) -> NoReturn:
        self.opened += 1
        try:
            async with self._opener(self._url) as source:
                while True:
                    for unit in await source.read():
                        if unit.kind == "video":
                            self._stream.publish(unit, LAYER)
        finally:
            with contextlib.suppress(IndexError):  # nobody who comes now may be shown a picture of the past
                self._stream.layers("video")[LAYER].restart()
