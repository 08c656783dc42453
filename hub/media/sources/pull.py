"""A source that is pulled: PyAV demuxes in a thread of its own, without decoding; the loop takes access units.

The thread cannot be stopped in the middle of a read, so it is a daemon: it looks at the stop mark after every
packet, and a read ends by itself after ``read_s``. ``close`` does not wait for it.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from hub.domain.clock import Clock
from hub.domain.source_url import ParsedSource
from hub.media.rtp.unit import CLOCK_RATE, AccessUnit, Description, UnitCodec
from hub.media.sources.aac import AacFormat, parse_config
from hub.media.sources.errors import SourceError, translate
from hub.media.sources.h264 import Framer
from hub.media.sources.h265 import H265Framer
from hub.media.sources.policy import Resolver, Target, admit, system_resolver
from hub.media.sources.units import Described, Figures, UnitQueue

OPEN_S: Final = 8.0
READ_S: Final = 8.0  # after 5 s the tile says frozen; after 8 s the connection is given up
KEYFRAME_S: Final = 15.0
MAX_UNIT: Final = 8 * 2**20
AHEAD_S: Final = 0.5  # a file over HTTP comes faster than time; it is held to this much lead
AUDIO: Final[dict[str, UnitCodec]] = {"pcm_alaw": "pcma", "pcm_mulaw": "pcmu", "opus": "opus", "aac": "aac"}
VIDEO: Final[dict[str, UnitCodec]] = {"h264": "h264", "hevc": "h265"}

av.logging.set_level(None)  # what FFmpeg prints holds addresses with passwords


_Item: TypeAlias = AccessUnit | Description | SourceError


class PullSource:
    """One connection to a camera: ``async with PullSource(parsed, clock=clock) as source: await source.read()``."""

    def __init__(
        self,
        source: ParsedSource,
        *,
        clock: Clock,
        resolve: Resolver = system_resolver,
        files: Path | None = None,
        open_s: float = OPEN_S,
        read_s: float = READ_S,
        keyframe_s: float = KEYFRAME_S,
        described: Described = lambda found: None,
    ) -> None:
        self._described = described
        self._source = source
        self._clock = clock
        self._resolve = resolve
        self._files = files
        self._limits = (open_s, read_s, keyframe_s)
        self._queue = UnitQueue()
        self._worker: _Worker | None = None

    async def __aenter__(self) -> Self:
        """Check the address and start connecting. Raises SourceError for a refused address."""
        target = await admit(self._source, resolve=self._resolve, files=self._files)
        loop = asyncio.get_running_loop()

        def hand_over(item: _Item) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(self._take, item)

        self._worker = _Worker(self._source, target, self._clock, self._limits, hand_over)
        threading.Thread(target=self._worker.run, name=f"pull/{target.name}", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop; the connection closes after the packet that is being read. May be called twice."""
        if self._worker is not None:
            self._worker.stop.set()
        self._queue.clear()

    @property
    def figures(self) -> Figures:
        """What is known of this connection: a demuxer tells nothing of packets."""
        return Figures(dropped=self._queue.dropped)

    async def read(self) -> list[AccessUnit]:
        """Everything that came since the last call, at least one unit. Raises SourceError. Safe to cancel."""
        return await self._queue.read()

    def _take(self, item: _Item) -> None:
        if isinstance(item, SourceError):
            self._queue.fail(item)
        elif isinstance(item, Description):
            if self._worker is not None and not self._worker.stop.is_set():
                self._described(item)
        else:
            self._queue.put(item)


class _Worker:
    """The thread's half."""

    def __init__(
        self,
        source: ParsedSource,
        target: Target,
        clock: Clock,
        limits: tuple[float, float, float],
        hand_over: Callable[[_Item], None],
    ) -> None:
        self.stop = threading.Event()
        self._source = source
        self._target = target
        self._clock = clock
        self._open_s, self._read_s, self._keyframe_s = limits
        self._hand_over = hand_over
        self._opened = False
        self._waiting_since = 0.0

    def run(self) -> None:
        """Open, demux, hand over; the last thing handed over is the error, unless it was stopped."""
        self._waiting_since = time.monotonic()
        try:
            with av.open(
                self._target.url, options=dict(self._target.options), timeout=(self._open_s, self._read_s)
            ) as container:
                self._opened = True
                self._waiting_since = time.monotonic()
                for unit in self._units(container):
                    if self.stop.is_set():
                        return
                    self._hand_over(unit)
            raise SourceError("source.lost", "the stream ended")
        except Exception as error:  # whatever a library raises belongs to this source alone
            limit = self._read_s if self._opened else self._open_s
            late = time.monotonic() - self._waiting_since >= limit
            failure = translate(error, self._source, opened=self._opened, timed_out=late)
        if not self.stop.is_set():
            self._hand_over(failure)

    def _units(self, container: InputContainer) -> Iterator[AccessUnit | Description]:
        videos = container.streams.video
        if not videos:
            raise SourceError("source.not_video", "there is no video in it")
        video = videos[0]
        name = video.codec_context.name if video.codec_context is not None else "unknown"
        if (codec := VIDEO.get(name)) is None:
            raise SourceError("source.unsupported_codec", _NAMES.get(name, name))
        audio = next((s for s in container.streams.audio if s.codec_context.name in AUDIO and _plain(s.rate, s)), None)
        sets = _annex_b(video.codec_context.extradata)
        framer = H265Framer(sets) if codec == "h265" else Framer(sets)
        to_annex_b = BitStreamFilterContext(f"{name}_mp4toannexb", video)
        clocks = {video.index: _Clock(90_000, Fraction(1, 25))}
        if audio is not None:
            sound = _Sound(audio)
            clocks[audio.index] = _Clock(CLOCK_RATE[sound.codec], Fraction(1, 50))
        pace = _Pace() if self._source.scheme in {"http", "https", "file"} else None
        gate = _KeyframeGate(self._keyframe_s)
        codecs: tuple[UnitCodec, ...] = (codec,) if audio is None else (codec, sound.codec)
        described = False
        for packet in container.demux([video, *([audio] if audio is not None else [])]):
            if self.stop.is_set():
                return
            self._waiting_since = time.monotonic()
            if packet.size == 0:
                continue
            if packet.size > MAX_UNIT:
                raise SourceError("source.not_video", "one frame is over 8 MiB")
            pts = clocks[packet.stream_index].ticks(packet)
            if packet.stream_index == video.index:
                if pace is not None:
                    pace.wait(pts / 90_000, self.stop)
                for part in to_annex_b.filter(packet):
                    picture = framer.picture(bytes(part))
                    if picture is not None and gate.passes(picture.keyframe):
                        if not described:
                            described = True
                            yield Description(codecs, picture.passes)
                        made = AccessUnit("video", codec, picture.data, pts, picture.keyframe, self._clock())
                        yield made if picture.passes else replace(made, passes=False)
            elif audio is not None and gate.open and (data := sound.frame(bytes(packet))):
                yield AccessUnit("audio", sound.codec, data, pts, True, self._clock())


class _Sound:
    """One sound track of a container; frames of AAC get the ADTS header that MP4 and FLV leave out."""

    def __init__(self, stream: av.AudioStream) -> None:
        self.codec = AUDIO[stream.codec_context.name]
        self._format: AacFormat | None = None
        if self.codec == "aac" and (extradata := bytes(stream.codec_context.extradata or b"")):
            with contextlib.suppress(ValueError):
                self._format = parse_config(extradata)

    def frame(self, data: bytes) -> bytes:
        """Empty where nothing is known of its coding."""
        if self.codec != "aac" or (data[:1] == b"\xff" and data[1:2] and data[1] & 0xF6 == 0xF0):
            return data
        try:
            return b"" if self._format is None else self._format.adts(data)
        except ValueError:
            return b""


_NAMES: Final = {"mjpeg": "MJPEG", "mpeg4": "MPEG-4 part 2", "vp9": "VP9", "av1": "AV1"}


def _plain(rate: int, stream: av.AudioStream) -> bool:
    """RTP's G.711 is 8 kHz mono; Opus says 48 kHz whatever it holds, and AAC becomes Opus."""
    return stream.codec_context.name in ("opus", "aac") or (rate == 8_000 and stream.codec_context.channels == 1)


def _annex_b(extradata: bytes | None) -> bytes:
    """Out-of-band parameter sets as Annex B; avcC ones are left to the bitstream filter (ISO/IEC 14496-15 5.3.3)."""
    data = bytes(extradata or b"")
    return data if data.startswith((b"\0\0\1", b"\0\0\0\1")) else b""


class _KeyframeGate:
    """Nothing passes before the first key frame, which must come in time."""

    def __init__(self, limit_s: float) -> None:
        self.open = False
        self._limit_s = limit_s
        self._began = time.monotonic()

    def passes(self, keyframe: bool) -> bool:
        self.open = self.open or keyframe
        if not self.open and time.monotonic() - self._began > self._limit_s:
            raise SourceError("source.no_keyframe", f"none in {self._limit_s:g} s")
        return self.open


class _Clock:
    """Timestamps in the codec's clock; packets without one follow their forerunner."""

    def __init__(self, rate: int, usual: Fraction) -> None:
        self._rate = rate
        self._step = int(rate * usual)
        self._last: int | None = None

    def ticks(self, packet: "Packet[Stream]") -> int:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.time_base is None:
            self._last = 0 if self._last is None else self._last + self._step
        else:
            self._last = int(stamp * packet.time_base * self._rate)
        return self._last


class _Pace:
    """Holds what is no live stream to the speed of time."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None

    def wait(self, at_s: float, stop: threading.Event) -> None:
        now = time.monotonic()
        if self._began is None or abs(at_s - self._began[1] - (now - self._began[0])) > 10:
            self._began = (now, at_s)  # the first, or the stream's clock jumped
        ahead = at_s - self._began[1] - (now - self._began[0]) - AHEAD_S
        if ahead > 0:
            stop.wait(ahead)
