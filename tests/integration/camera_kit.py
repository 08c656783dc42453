"""What the tests of sources share: films of a real encoder, and waiting for a state."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from hub.media.node.feed import Feed
from tests.integration.media_kit import encoded

PATIENCE = 60.0


def h264_film(folder: Path) -> Path:
    """Two seconds, a key frame a second, Annex B."""
    path = folder / "film.h264"
    path.write_bytes(b"".join(data for data, _ in encoded()))
    return path


def other_film(path: Path, codec: str, frames: int = 25, b: int = 0, **options: str) -> Path:
    """A film by any encoder; the container follows from the name."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 25, b
        stream.options = {name.replace("_", "-"): value for name, value in options.items()}
        for number in range(frames):
            picture = np.full((240, 320, 3), number * 5 % 255, np.uint8)
            picture[:, number * 6 % 300 : number * 6 % 300 + 20] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        container.mux(stream.encode(None))
    return path


def with_sound(film: Path, codec: str, rate: int, *, hertz: int = 0, seconds: int = 1, to: Path | None = None) -> Path:
    """The film again, with silence or a tone beside the picture."""
    path = to or film.with_name(f"sound-{film.name}")
    with av.open(str(film)) as source, av.open(str(path), "w") as container:
        picture = container.add_stream_from_template(source.streams.video[0])
        sound: Any = container.add_stream(codec, rate=rate)
        sound.layout = "mono"
        packets: list[Any] = []
        for number in range(50 * seconds):
            at = np.arange(rate // 50) + number * (rate // 50)
            samples = (8_000 * np.sin(2 * np.pi * hertz * at / rate)).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, number * (rate // 50)
            packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                packets.append(packet)
        for packet in sorted(packets, key=lambda each: each.dts * each.time_base):
            container.mux(packet)
    return path


class Watched:
    """A place to wait for what ``on_change`` announces, and the history of states."""

    def __init__(self) -> None:
        self.feed: Feed | None = None
        self.states: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self) -> None:
        if self.feed is not None:
            state = self.feed.state("n").state
            if self.states[-1:] != [state]:
                self.states.append(state)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is looked at after each change."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_state(self, state: str) -> None:
        feed = self.feed
        assert feed is not None
        await self.until(lambda: feed.state("n").state == state)
