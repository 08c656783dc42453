"""What one stream needs converted: begun with the first who needs it, once for all, ended a while after the last."""

import asyncio
from collections.abc import Callable
from typing import Final

from hub.domain.errors import Unavailable
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.transcode.pool import Job, Pool

AGAIN_S: Final = 2.0  # after a process ended by itself
FULL: Final = "transcode.full"


class Conversion:
    """``hub.media.rendition.Converter`` of one stream. ``on_change`` is called when ``active`` changes."""

    def __init__(
        self, stream: Stream, pool: Pool, *, linger_s: float, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._stream = stream
        self._pool = pool
        self._linger_s = linger_s
        self._on_change = on_change
        self._picture: Job | None = None
        self._sound: Job | None = None
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._sound_not_before = 0.0
        stream.converter = self

    @property
    def active(self) -> bool:
        """Whether pictures are being transcoded."""
        return self._picture is not None

    def need_room(self) -> None:
        """Raises Unavailable ``transcode.full``."""
        if self._picture is None:
            self._pool.need_room()

    def look(self) -> None:
        """Begin, go on, or let the time run after which it ends."""
        if self._stream.needs_conversion and self._picture is None:
            self._begin()
        if not self._idle():
            self._keep()
        elif self._ending is None:
            self._ending = self._loop.call_later(self._linger_s, self._lingered)

    def unit(self, unit: AccessUnit) -> None:
        """One unit that viewers cannot play as it is."""
        if unit.kind == "audio":
            self._take_sound(unit)
        elif self._picture is not None:
            self._picture.put(unit)
        elif self._stream.needs_conversion:
            self._begin()

    def want_key(self) -> None:
        """A viewer needs a key frame."""
        if self._picture is not None:
            self._picture.want_key(self._loop.time())

    def restart(self) -> None:
        """The source begins anew, or ended."""
        self._keep()
        self._end_picture()
        self._end_sound()

    # inside -----------------------------------------------------------------------------------------

    def _idle(self) -> bool:
        return (self._picture is not None and not self._stream.needs_conversion) or (
            self._sound is not None and not self._stream.needs_sound
        )

    def _keep(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _lingered(self) -> None:
        self._ending = None
        if not self._stream.needs_conversion:
            self._end_picture()
        if not self._stream.needs_sound:
            self._end_sound()

    def _begin(self) -> None:
        """Start on the pictures since the last key frame; without a place everybody who needs them is told."""
        backlog = self._stream.backlog
        if not backlog or self._loop.time() < self._not_before:
            return
        try:
            job = self._pool.open(backlog[0].codec, self._stream.publish_converted, self._failed)
        except Unavailable:
            self._not_before = self._loop.time() + AGAIN_S  # whoever is turned away is gone by then
            self._stream.turn_away(FULL)
            return
        self._picture = job
        job.begin(backlog)
        self._on_change()

    def _take_sound(self, unit: AccessUnit) -> None:
        if self._sound is None:
            if not self._stream.needs_sound or self._loop.time() < self._sound_not_before:
                return
            try:
                self._sound = self._pool.open("aac", self._stream.publish_converted, self._sound_failed)
            except Unavailable:
                self._sound_failed()  # a picture without sound is better than none
                return
        self._sound.put(unit)

    def _failed(self) -> None:
        self._not_before = self._loop.time() + AGAIN_S
        self._end_picture()

    def _sound_failed(self) -> None:
        self._sound, self._sound_not_before = None, self._loop.time() + AGAIN_S

    def _end_picture(self) -> None:
        job, self._picture = self._picture, None
        if job is not None:
            job.close()
            self._stream.conversion_over()
            self._on_change()

    def _end_sound(self) -> None:
        job, self._sound = self._sound, None
        if job is not None:
            job.close()
