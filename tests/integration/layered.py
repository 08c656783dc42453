"""A publisher of two sizes of one picture, as a stream sees it: H.264 in RTP, a key frame of a layer when asked."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from hub.domain.clock import system_clock
from hub.media.rtp.h264 import packetize, split
from hub.media.rtp.packet import RtpPacket
from hub.media.stream import Stream
from tests.integration.media_kit import FPS, encoded

SIZES: Final = ((320, 240, 150_000), (1_280, 720, 1_200_000))
ROUND_TRIP_S: Final = 0.08  # from asking to the first packet of the key frame


class Layered:
    """Publishes both layers in real time. ``asked`` counts key frames that were asked for, by layer."""

    def __init__(self, stream: Stream) -> None:
        self.asked = [0, 0]
        self._stream = stream
        self._due: list[float | None] = [0.0, 0.0]
        self._films = [encoded(8, 4 * FPS, *size) for size in SIZES]
        self._at = [0, 0]
        self._seq = [1_000, 30_000]
        stream.publisher(["h264"], self._ask, 2)

    def _ask(self, layer: int) -> None:
        self.asked[layer] += 1
        if self._due[layer] is None:
            self._due[layer] = time.monotonic() + ROUND_TRIP_S

    def frame(self, n: int) -> None:
        """The next picture of both layers."""
        for layer, film in enumerate(self._films):
            due = self._due[layer]
            if due is not None and time.monotonic() >= due:
                self._due[layer] = None
                self._at[layer] = 0
            if self._at[layer] % (4 * FPS) == 0 and self._at[layer]:  # no key frame but when asked, as browsers do
                self._at[layer] = 1
            data, _ = film[self._at[layer]]
            self._at[layer] += 1
            parts = packetize(split(data))
            packets = []
            for i, payload in enumerate(parts):
                last = i == len(parts) - 1
                packets.append(RtpPacket(last, 96, self._seq[layer], n * 90_000 // FPS, layer + 1, payload))
                self._seq[layer] = self._seq[layer] + 1 & 0xFFFF
            self._stream.publish_rtp("video", packets, system_clock(), layer)

    @contextlib.asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Until left."""

        async def play() -> None:
            n, began = 0, time.monotonic()
            while True:
                self.frame(n)
                n += 1
                await asyncio.sleep(max(0.0, began + n / FPS - time.monotonic()))

        task = asyncio.create_task(play())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
