"""Publish and subscribe of one stream. Publishing never waits; whoever is slow loses units, and they are counted."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from hub.domain.clock import Clock
from hub.media.rtp.unit import AccessUnit, Codec


class Reader:
    """A tap's bounded queue: an asynchronous iterator that ends when the stream ends.

    ``async with stream.units("recorder", 256) as reader: async for unit in reader: ...``. When the queue is full
    units are dropped until the next key frame, so that what is read always decodes; ``dropped`` counts them.
    """

    name: str
    dropped: int

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AccessUnit:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; the stream has one subscriber less. May be called twice."""
        raise NotImplementedError


class Stream:
    """One camera or one conference member: RTP made once, a GOP cache, a history for NACK, any number of readers.

    ``expects`` are the codecs a pull source will bring ("h264" for a camera), so that a viewer can be answered
    before the source is open. ``on_change`` is called after each change of ``subscribers``.
    """

    id: str
    subscribers: int  # viewers and taps
    viewers: int  # WHEP sessions only
    ended: bool
    last_unit_at: int | None  # ms by the hub's clock
    last_keyframe: AccessUnit | None  # newest H.264 key frame with its parameter sets in front

    def __init__(
        self,
        id: str,
        *,
        clock: Clock,
        expects: Sequence[Codec] = (),
        on_change: Callable[[], None] | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def codec(self) -> str | None:
        """What it carries, like "h264" or "vp8+opus"; ``None`` before the first unit."""
        raise NotImplementedError

    def publish(self, unit: AccessUnit) -> None:
        """Hand one unit to every subscriber. Never waits, never raises for what a subscriber does."""
        raise NotImplementedError

    def restart(self) -> None:
        """The source begins anew (reconnected): empty the GOP cache and wait for a key frame.

        Sequence numbers and timestamps towards viewers continue without a break.
        """
        raise NotImplementedError

    def units(self, name: str, maxlen: int = 64) -> Reader:
        """Subscribe a tap now; it starts at the next key frame."""
        raise NotImplementedError

    def end(self) -> None:
        """End for good: readers finish, viewers' sessions end. May be called twice."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None) -> None:
        self.end()
