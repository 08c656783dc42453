"""What a connection hands to its stream: access units in a bounded queue, figures, and the error that ended it."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

from hub.media.rtp.unit import AccessUnit, Description
from hub.media.sources.errors import SourceError

QUEUE: Final = 256  # units: 10 s of video
Described: TypeAlias = Callable[[Description], None]
"""Told what a source brings, once a connection: as soon as that is certain, and before its first unit can be read."""


@dataclass(slots=True)
class Figures:
    """Totals of a connection, or of all connections of a camera."""

    packets: int = 0
    lost: int = 0  # packets that never came
    late: int = 0  # packets that came after their turn, or twice
    malformed: int = 0  # packets that are not what they should be
    dropped: int = 0  # access units that could not be decoded, or found no room

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


class UnitQueue:
    """One writer, one reader, on one loop. When it is full units are dropped until the next key frame."""

    def __init__(self) -> None:
        self.dropped = 0
        self._queue: deque[AccessUnit] = deque()
        self._ready = asyncio.Event()
        self._error: SourceError | None = None
        self._over = asyncio.Event()
        self._wants_key = False

    def put(self, unit: AccessUnit) -> None:
        """Add a unit, or drop it; never waits."""
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            self._wants_key = True
        elif self._wants_key and unit.kind == "video" and not unit.keyframe:
            self.dropped += 1
        else:
            self._wants_key = self._wants_key and unit.kind != "video"
            self._queue.append(unit)
        self._ready.set()

    def fail(self, error: SourceError) -> None:
        """Nothing comes any more; what is queued can still be read. The first error counts."""
        self._error = self._error or error
        self._ready.set()
        self._over.set()

    @property
    def empty(self) -> bool:
        """Whether everything was read."""
        return not self._queue

    @property
    def failed(self) -> bool:
        """Whether it is over."""
        return self._error is not None

    @property
    def error(self) -> SourceError | None:
        """What ended it."""
        return self._error

    async def failing(self) -> None:
        """Wait until it is over."""
        await self._over.wait()

    def clear(self) -> None:
        """Forget what is queued."""
        self._queue.clear()

    async def read(self) -> list[AccessUnit]:
        """Everything that came since the last call, at least one unit. Raises SourceError. Safe to cancel."""
        while not self._queue:
            if self._error is not None:
                raise self._error
            self._ready.clear()
            await self._ready.wait()
        units = list(self._queue)
        self._queue.clear()
        return units
