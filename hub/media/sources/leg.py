"""A stream that another relay holds, as a source: dialled from here, or published here by the other relay.

Packets go to the stream as they come; ``read`` only tells that they do, and raises when the leg is over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from hub.domain.clock import Clock
from hub.domain.errors import HubError, NotFound
from hub.media.peer.counters import Tally
from hub.media.peer.dial import Dialed, DialFailed, Post, watching
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.errors import SourceError
from hub.media.sources.relayed import Relayed
from hub.media.sources.units import Figures
from hub.media.stream import Stream

PUSHED: Final = "push:"  # in place of an address: the relay of that name publishes the stream here
LOOK_S: Final = 0.1
LAND_S: Final = 6.0


def near_of(base: str) -> str:
    """The host of an internal URL, where the relay's media port is likely to be, too."""
    return urlsplit(base).hostname or ""


class Passing:
    """A leg that stands: an ``OpenSource``, without units where packets pass as they came."""

    def __init__(
        self, stream: Stream, relayed: Relayed, ended: asyncio.Event, figures: Callable[[], Figures] = Figures
    ) -> None:
        self._stream = stream
        self._relayed = relayed
        self._ended = ended
        self._figures = figures
        self._seen = stream.counters.units

    @property
    def figures(self) -> Figures:
        return self._figures() + self._relayed.figures

    async def read(self) -> list[AccessUnit]:
        """Units; nothing, as soon as packets that pass have come since the last call. Raises SourceError."""
        while not self._ended.is_set():
            if self._relayed.converts:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        return await self._relayed.units.read()
                continue
            if self._stream.counters.units > self._seen:
                self._seen = self._stream.counters.units
                return []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._ended.wait()
        raise SourceError("source.lost", "the other relay ended the leg")


def _figures_of(dialed: Dialed) -> Figures:
    publisher = dialed.session.publisher
    packets, lost = (0, 0) if publisher is None else publisher.totals()
    return Figures(packets=packets, lost=lost, malformed=dialed.totals.malformed)


@contextlib.asynccontextmanager
async def watch_leg(
    stream: Stream,
    base: str,
    post: Post,
    *,
    clock: Clock,
    on_changed: Callable[[], None],
    tally: Tally | None = None,
) -> AsyncIterator[Passing]:
    """Watch the stream at the relay whose internal URL this is. Raises SourceError."""
    relayed = Relayed(stream)
    try:
        async with watching(
            stream, post, near=near_of(base), clock=clock, on_changed=on_changed, tally=tally, into=relayed
        ) as dialed:
            yield Passing(stream, relayed, dialed.session.finished, lambda: _figures_of(dialed))
    except SourceError:
        raise
    except NotFound:
        raise SourceError("source.not_found", "the relay does not know the stream") from None
    except (DialFailed, HubError) as error:
        raise SourceError("source.unreachable", f"relay: {error}") from None


class Landing:
    """Where a pushed leg arrives: the session that publishes it, as long as there is one."""

    def __init__(self, stream: Stream) -> None:
        self.relayed = Relayed(stream)
        self.session = ""
        self.arrived = asyncio.Event()
        self.ended = asyncio.Event()

    def came(self, session: str) -> None:
        """The other relay publishes from now on."""
        self.session = session
        self.ended.set()  # whoever reads an earlier session begins anew
        self.ended = asyncio.Event()
        self.arrived.set()

    def went(self, session: str) -> None:
        """It does so no more; unless another session took its place."""
        if session == self.session:
            self.session = ""
            self.arrived.clear()
            self.ended.set()


@contextlib.asynccontextmanager
async def land_leg(stream: Stream, landing: Landing, end: Callable[[str], Awaitable[object]]) -> AsyncIterator[Passing]:
    """Wait for the other relay, take what it publishes, end its session when leaving. Raises SourceError."""
    try:
        async with asyncio.timeout(LAND_S):
            await landing.arrived.wait()
    except TimeoutError:
        raise SourceError("source.timeout", "the other relay does not publish here") from None
    session = landing.session
    try:
        yield Passing(stream, landing.relayed, landing.ended)
    finally:
        if session and landing.session == session:
            await end(session)
