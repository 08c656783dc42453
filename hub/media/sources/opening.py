"""Which source belongs to an address: our own client for RTSP, PyAV for everything else."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from hub.domain.clock import Clock
from hub.domain.source_url import ParsedSource
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.policy import Resolver, system_resolver
from hub.media.sources.pull import PullSource
from hub.media.sources.rtsp import RtspSource
from hub.media.sources.units import Described, Figures


class OpenSource(Protocol):
    """A connection. ``read`` raises SourceError and may be cancelled."""

    @property
    def figures(self) -> Figures: ...

    async def read(self) -> list[AccessUnit]: ...


def open_source(
    source: ParsedSource,
    *,
    clock: Clock,
    resolve: Resolver = system_resolver,
    files: Path | None = None,
    open_s: float = 8.0,
    read_s: float = 8.0,
    keyframe_s: float = 15.0,
    described: Described = lambda found: None,
) -> AbstractAsyncContextManager[OpenSource]:
    """A connection to this address, not open yet; entering it may raise SourceError.

    ``files`` is the one folder that ``file:`` may point into.
    """
    if source.scheme in ("rtsp", "rtsps"):
        return RtspSource(
            source, clock=clock, resolve=resolve, open_s=open_s, read_s=read_s, keyframe_s=keyframe_s,
            described=described,
        )  # fmt: skip
    return PullSource(
        source, clock=clock, resolve=resolve, files=files, open_s=open_s, read_s=read_s, keyframe_s=keyframe_s,
        described=described,
    )  # fmt: skip
