"""Streams that leave over HTTP as MPEG-TS: who reads which, and how they are ended."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from hub.domain.errors import TooMany, Unavailable
from hub.media.reader import Reader
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.taps.mpegts import Muxer

MAX_OUTLETS: Final = 64  # of one relay
QUEUE: Final = 256  # units that wait for a slow reader; then it loses pictures up to the next key frame
FILE_QUEUE: Final = 2_048  # of a recording that is kept as a file: it comes faster, and every picture counts
FIRST_S: Final = 12.0  # to the first key frame: a camera's opening and its longest usual GOP


@dataclass
class Outlet:
    """One reader over HTTP. ``ended`` is set when it has to stop."""

    id: str
    owner: str
    stream: Stream
    reader: Reader
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def first(self) -> AccessUnit:
        """The first key frame. Raises Unavailable ``stream.not_live``."""
        try:
            async with asyncio.timeout(FIRST_S):
                return await anext(self.reader)
        except (TimeoutError, StopAsyncIteration):
            raise Unavailable("stream.not_live", "the camera sends no picture") from None

    async def chunks(self, first: AccessUnit) -> AsyncIterator[bytes]:
        """The transport stream, until the stream ends."""
        muxer = Muxer()
        yield muxer.write(first)
        async for unit in self.reader:
            if data := muxer.write(unit):
                yield data


class Outlets:
    """All of a relay's. ``on_end`` is told stream, session, owner and why."""

    def __init__(self, on_end: Callable[[str, str, str, str], None]) -> None:
        self._on_end = on_end
        self._open: dict[str, Outlet] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, stream: Stream, owner: str) -> Outlet:
        """A new reader, who counts as a viewer from now on. Raises TooMany ``relay.full``."""
        if len(self._open) >= MAX_OUTLETS:
            raise TooMany("relay.full", f"this relay serves {MAX_OUTLETS} streams over HTTP")
        id = "ts-" + secrets.token_urlsafe(12)
        kept = stream.id.startswith("pb-")
        reader = stream.units(id, FILE_QUEUE if kept else QUEUE, whole=kept)
        outlet = self._open[id] = Outlet(id, owner, stream, reader)
        stream.watch(id, hears=False)
        return outlet

    def close(self, id: str, reason: str) -> bool:
        """Stop one; False when it is not known. May be called twice."""
        if (outlet := self._open.pop(id, None)) is None:
            return False
        outlet.ended.set()
        outlet.reader.close()
        outlet.stream.release(id)
        self._on_end(outlet.stream.id, id, outlet.owner, reason)
        return True

    def close_owner(self, owner: str) -> int:
        """Stop everything of an owner; returns how many there were."""
        mine = [outlet.id for outlet in self._open.values() if outlet.owner == owner]
        return sum(self.close(id, "withdrawn") for id in mine)
