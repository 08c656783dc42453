"""Streams that leave over HTTP as MPEG-TS: who reads which, and how they are ended."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Final

from hub.domain.errors import TooMany, Unavailable
from hub.media.node.departures import Departure, Departures
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.taps.mpegts import Muxer

MAX_OUTLETS: Final = 64  # of one relay
QUEUE: Final = 256  # units that wait for a slow reader; then it loses pictures up to the next key frame
FILE_QUEUE: Final = 2_048  # of a recording that is kept as a file: it comes faster, and every picture counts
FIRST_S: Final = 12.0  # to the first key frame: a camera's opening and its longest usual GOP


class Outlet(Departure):
    """One reader over HTTP."""

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


class Outlets(Departures[Outlet]):
    """All of a relay's."""

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
