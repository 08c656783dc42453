"""Readers whose units leave this relay in another way than to its peers: who reads what, and how they are ended."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from hub.media.reader import Reader
from hub.media.stream import Stream

OnEnd: TypeAlias = Callable[[str, str, str, str], None]
"""Told stream, session, owner and why."""


@dataclass
class Departure:
    """One reader. ``ended`` is set when it has to stop."""

    id: str
    owner: str
    stream: Stream
    reader: Reader
    ended: asyncio.Event = field(default_factory=asyncio.Event, kw_only=True)

    def stop(self) -> None:
        """Let go of the stream."""
        self.ended.set()
        self.reader.close()
        self.stream.release(self.id)


D = TypeVar("D", bound=Departure)


class Departures(Generic[D]):
    """All of one kind that a relay has."""

    def __init__(self, on_end: OnEnd) -> None:
        self._on_end = on_end
        self._open: dict[str, D] = {}

    def __len__(self) -> int:
        return len(self._open)

    def close(self, id: str, reason: str) -> bool:
        """Stop one; False when it is not known. May be called twice."""
        if (found := self._open.pop(id, None)) is None:
            return False
        found.stop()
        self._on_end(found.stream.id, id, found.owner, reason)
        return True

    def close_owner(self, owner: str) -> int:
        """Stop everything of an owner; returns how many there were."""
        return sum(self.close(id, "withdrawn") for id, each in list(self._open.items()) if each.owner == owner)
