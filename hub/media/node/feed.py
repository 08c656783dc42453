"""The life of one camera's stream: opened for the first subscriber, tried again after failures, closed after the last.

``hub.domain.camera`` holds the table; here is what drives it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, NoReturn, TypeAlias

import structlog

from hub.bus.relay_wire import StreamConfig, StreamState
from hub.domain.camera import CameraEvent, CameraState, retry_after, step
from hub.domain.clock import Clock
from hub.domain.errors import Invalid
from hub.media.node.substream import SubStream, Verdicts
from hub.media.rendition import Converter
from hub.media.rtp.unit import AccessUnit, Codec
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.source import GbSource
from hub.media.sources.opening import OpenSource
from hub.media.sources.units import Figures
from hub.media.stream import Stream
from hub.media.taps.health import Health
from hub.media.taps.supervise import supervised

log: Final = structlog.get_logger(__name__)

FREEZE_S: Final = 5.0
HURRY_S: Final = 1.0  # after a failure even somebody who waits is made to wait so long
STABLE_S: Final = 10.0  # a source that lived so long starts its back-off anew


Opener: TypeAlias = Callable[[str], AbstractAsyncContextManager[OpenSource]]
"""An address to a connection; entering it may raise SourceError."""
Tap: TypeAlias = Callable[[Stream], Awaitable[None]]
Convert: TypeAlias = Callable[[Stream, Callable[[], None]], Converter]
"""Makes a stream's converter; the callback is for its changes."""


class Feed:
    """One pulled camera. ``on_change`` is called after each change of its state, ``on_described`` when it became known
    what it carries, or that is another thing than before."""

    def __init__(
        self,
        id: str,
        config: StreamConfig,
        *,
        clock: Clock,
        opener: Opener,
        taps: Callable[[StreamConfig], Mapping[str, Tap]] = lambda config: {},
        convert: Convert | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_described: Callable[[], None] = lambda: None,
        linger_s: float = 10.0,
        freeze_s: float = FREEZE_S,
        retry: Callable[[int], float] = retry_after,
        hurry_s: float = HURRY_S,
        verdicts: Verdicts | None = None,
    ) -> None:
        """``verdicts`` are the relay's, of sub streams that devices do not have."""
        self.config = config
        expects: tuple[Codec, ...] = () if config.kind == "leg" else ("h264",)
        layers = 1 if config.sub_url is None else 2
        self.stream = Stream(
            id, clock=clock, expects=expects, guessed=bool(expects), layers=layers,
            on_change=self._subscribers_changed, on_described=on_described,
        )  # fmt: skip
        self.sub: SubStream | None = None
        self._sub_task: asyncio.Task[None] | None = None
        self._verdicts = verdicts or Verdicts()
        self.health = Health()
        self.opened = 0  # connections ever tried
        self._past = Figures()  # of connections that are over
        self._source: OpenSource | None = None
        self._clock = clock
        self._opener = opener
        self._taps_of = taps
        self._on_change = on_change
        self._converter = convert(self.stream, on_change) if convert is not None else None
        self._linger_s = linger_s
        self._freeze_s = freeze_s
        self._retry = retry
        self._hurry_s = hurry_s
        self._state = CameraState.IDLE
        self._since = clock()
        self._error: SourceError | None = None
        self._retry_at: int | None = None
        self._live_at: float | None = None  # of this connection, monotonic
        self._changed = asyncio.Event()
        self._seen = 0  # subscribers when last looked at
        self.flowing = asyncio.Event()  # the picture comes
        self.failing = asyncio.Event()  # the last try failed
        self._hurry = asyncio.Event()  # somebody came who waits for the picture
        self.given_away = False  # the stream goes on without us
        self._moved = False  # the address changed: connect anew
        self._group: asyncio.TaskGroup | None = None
        self._make_sub()
        self._taps: dict[str, asyncio.Task[int]] = {}

    def state(self, node: str) -> StreamState:
        """What the rest of the hub may know; no secrets."""
        flowing = self._state in (CameraState.LIVE, CameraState.FROZEN)
        width, height = self._size()
        call = self._source if isinstance(self._source, GbSource) else None
        return StreamState(
            stream=self.stream.id,
            node=node,
            state=self._state.value,
            reason=self._error.id if self._error is not None else None,
            detail=(self._error.detail or None) if self._error is not None else None,
            retry_at=self._retry_at,
            codec=self.stream.codec if flowing else None,
            transcoded=self._converter is not None and self._converter.active,
            width=width if flowing else None,
            height=height if flowing else None,
            viewers=self.stream.viewers,
            since=self._since,
            origin=self.config.url if self.config.kind == "leg" else None,
            call=call.call if call is not None else None,
            gateway=call.gateway if call is not None else None,
            facts=self._facts(call),
        )

    def _facts(self, call: GbSource | None) -> dict[str, str]:
        if call is None:
            return {}
        none = self.sub.why_none if self.sub is not None else ""
        return call.facts | ({"no_sub_stream": none} if none else {})

    def _size(self) -> tuple[int | None, int | None]:
        """Of its pictures: a leg's are not looked into but for its key frames."""
        if self.config.kind != "leg" or (self.stream.codec or "").startswith("h265"):
            return self.health.width, self.health.height
        video = self.stream.tracks.get("video")
        return video.size if video is not None and video.size is not None else (None, None)

    async def ready(self, seconds: float) -> None:
        """Wait until the picture comes or a try has failed, but no longer than this."""
        await self._either(self.flowing, seconds)

    async def known(self, seconds: float) -> None:
        """Wait until the source has said what it brings or a try has failed, but no longer than this."""
        await self._either(self.stream.described, seconds)

    async def described(self, seconds: float) -> None:
        """Wait until it is known what a leg carries. Raises SourceError when that is not to be had."""
        await self._either(self.stream.described, seconds)
        if not self.stream.described.is_set():
            raise self._error or SourceError("source.timeout", "the other relay does not say what it sends")

    async def _either(self, event: asyncio.Event, seconds: float) -> None:
        waiting = [asyncio.ensure_future(each.wait()) for each in (event, self.failing)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    @property
    def open(self) -> bool:
        """Whether it has, or tries to get, a connection."""
        return self._state is not CameraState.IDLE

    @property
    def figures(self) -> Figures:
        """Packets, losses and drops of all connections so far."""
        return self._past if self._source is None else self._past + self._source.figures

    def reconfigure(self, config: StreamConfig) -> None:
        """Take new wishes; the same ones change nothing, another address connects anew, viewers stay."""
        before, self.config = self.config, config
        if before == config:
            return
        if _way(before) != _way(config):
            self._moved = True
            self.stream.forget_description()
        if before.pictures_every_ms != config.pictures_every_ms:
            self._start_taps()
        if before.sub_url != config.sub_url:
            self._make_sub()
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled; the stream ends with it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start_taps()
                self._start_sub()
                while True:
                    await self._until_wanted()
                    self._moved = False
                    self._enter(CameraEvent.WANTED)
                    pump = group.create_task(self._pump(), name=f"{self.stream.id}/source")
                    await self._until_unwanted()
                    pump.cancel()
                    await asyncio.wait([pump])
                    self._error = self._retry_at = None
                    self._enter(CameraEvent.UNWANTED)
        finally:
            self._group = None
            if not self.given_away:
                self.stream.end()

    # who wants it -----------------------------------------------------------------------------------

    @property
    def _wanted(self) -> bool:
        return self.config.keep_open or self.stream.subscribers > 0

    def _subscribers_changed(self) -> None:
        before, self._seen = self._seen, self.stream.subscribers
        if self._seen > before:
            self._hurry.set()
        self._changed.set()
        if self.sub is not None:
            self.sub.wake()
        self._on_change()

    async def _until_wanted(self) -> None:
        while not self._wanted:
            self._changed.clear()
            await self._changed.wait()

    async def _until_unwanted(self) -> None:
        """Until nobody wanted it for the linger time, or the address changed."""
        while not self._moved:
            self._changed.clear()
            try:
                async with asyncio.timeout(None if self._wanted else self._linger_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _start_taps(self) -> None:
        """Stop the taps that run, start the ones that are configured."""
        for task in self._taps.values():
            task.cancel()
        self._taps.clear()
        if self._group is None:
            return
        for name, tap in self._taps_of(self.config).items():
            label = f"{self.stream.id}/{name}"
            self._taps[name] = self._group.create_task(supervised(label, partial(tap, self.stream)), name=label)

    def _make_sub(self) -> None:
        """The sub stream that is configured, in place of the one before. A layer that there was stays, and is dark."""
        url, gb = self.config.sub_url, self.config.kind == "gb28181"
        self.sub = None
        if url is not None:
            self.stream.grow(2)
            self.sub = SubStream(
                self.stream, url, self._opener, linger_s=self._linger_s, retry=self._retry,
                verdicts=self._verdicts if gb else None, main_size=self._main_size,
            )  # fmt: skip
        self._start_sub()

    def _start_sub(self) -> None:
        if self._sub_task is not None:
            self._sub_task.cancel()
            self._sub_task = None
        if self._group is not None and self.sub is not None:
            self._sub_task = self._group.create_task(self.sub.run(), name=f"{self.stream.id}/sub")

    def _main_size(self) -> tuple[int, int] | None:
        width, height = self.health.width, self.health.height
        return None if width is None or height is None else (width, height)

    # the source -------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Connect, receive, fail, wait, again. Only cancelling ends it."""
        failures = 0
        while True:
            self._live_at = None
            try:
                await self._receive()
            except SourceError as error:
                failure = error
            except Invalid as error:
                failure = SourceError("source.refused", error.message)
            except Exception as error:  # a fault of ours must not take the other cameras along
                log.exception("source.crashed", stream=self.stream.id)
                failure = SourceError("source.lost", type(error).__name__)
            stable = self._live_at is not None and time.monotonic() - self._live_at >= STABLE_S
            failures = 1 if stable else failures + 1
            if failures == 1:
                log.warning("source.failed", stream=self.stream.id, reason=failure.id, detail=failure.detail)
            if self.sub is not None and self._live_at is not None:
                self.sub.main_broke(failure.id)
            pause = self._retry(failures)
            self._error, self._retry_at = failure, self._clock() + int(pause * 1_000)
            self._enter(CameraEvent.BROKE)
            await self._rest(failure, pause)
            self._retry_at = None
            self._enter(CameraEvent.RETRIED)

    async def _rest(self, failure: SourceError, pause: float) -> None:
        """Wait out the back-off; somebody who comes meanwhile and waits cuts it short.

        Not where the password was wrong: cameras lock an account after a few tries.
        """
        self._hurry.clear()
        least = min(pause, self._hurry_s)
        await asyncio.sleep(least)
        if failure.id == "source.unauthorized":
            await asyncio.sleep(pause - least)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause - least):
                await self._hurry.wait()

    async def _receive(self) -> NoReturn:
        """One connection, until it raises SourceError."""
        self.opened += 1
        try:
            async with self._opener(self.config.url) as source:
                self._source = source
                if isinstance(source, GbSource):
                    self.stream.source_asks(partial(self._ask, source))
                    source.on_over = self.stream.played_out
                units = await source.read()
                while True:
                    self._publish(units)
                    units = await self._next(source)
        finally:
            if self._source is not None:
                self._past, self._source = self.figures, None
                self.stream.source_asks(None)
            self.stream.restart()  # nobody who comes now may be shown a picture of the past

    def _ask(self, main: GbSource, layer: int) -> None:
        """For a key frame of one layer."""
        if not layer:
            main.request_keyframe()
        elif self.sub is not None:
            self.sub.request_keyframe()

    async def _next(self, source: OpenSource) -> list[AccessUnit]:
        try:
            async with asyncio.timeout(self._freeze_s):
                return await source.read()
        except TimeoutError:
            self._enter(CameraEvent.SILENT)
        return await source.read()

    def _publish(self, units: list[AccessUnit]) -> None:
        resized = False
        for unit in units:
            resized = self.health.observe(unit) or resized
            self.stream.publish(unit)
        if self._state is not CameraState.LIVE:
            self._error = None
            self._live_at = self._live_at or time.monotonic()
            self._enter(CameraEvent.FLOWING)
        elif resized:
            self._on_change()

    def _enter(self, event: CameraEvent) -> None:
        before, self._state = self._state, step(self._state, event)
        for told, when in ((self.flowing, CameraState.LIVE), (self.failing, CameraState.FAILED)):
            if self._state is when:
                told.set()
            else:
                told.clear()
        if before is not self._state:
            self._since = self._clock()
            self._on_change()


def _way(config: StreamConfig) -> tuple[object, ...]:
    """What makes another connection necessary where it changes."""
    return (config.kind, config.url, config.gateway, config.media)
