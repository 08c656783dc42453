"""A tap's own bounded queue of a stream's units."""

import asyncio
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from hub.media.rtp.unit import AccessUnit, Kind


class Read(Protocol):
    """What a reader needs of its stream."""

    def forget(self, reader: "Reader") -> None:
        """It closed."""


class Reader:
    """A tap's bounded queue: an asynchronous iterator that ends when the stream ends.

    ``async with stream.units("recorder", 256) as reader: async for unit in reader: ...``. When the queue is full
    units are dropped until the next key frame, so that what is read always decodes; ``dropped`` counts them.
    """

    def __init__(self, stream: "Read", name: str, maxlen: int, *, whole: bool = False) -> None:
        self.name = name
        self.whole = whole  # it ends with a recording, too
        self.dropped = 0
        self.closed = False
        self._stream = stream
        self._maxlen = maxlen
        self._queue: deque[AccessUnit] = deque()
        self._ready = asyncio.Event()
        self._lost: set[Kind] = {"video"}

    def offer(self, unit: AccessUnit) -> bool:
        """Put a unit in, or drop it; never waits. False when it was dropped for want of room."""
        if unit.kind in self._lost and not (unit.keyframe or unit.kind == "audio"):
            self.dropped += 1
            return False
        if len(self._queue) >= self._maxlen:
            self._lost.add(unit.kind)
            self.dropped += 1
            return False
        self._lost.discard(unit.kind)
        self._queue.append(unit)
        self._ready.set()
        return True

    def finish(self) -> None:
        """The stream ended: what is queued can still be read."""
        self.closed = True
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AccessUnit:
        while not self._queue:
            if self.closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; the stream has one subscriber less. May be called twice."""
        self._queue.clear()
        self.finish()
        self._stream.forget(self)
