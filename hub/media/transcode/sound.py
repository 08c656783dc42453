"""AAC made Opus: 48 kHz, 20 ms a packet, as RFC 7587 carries it."""

from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

RATE: Final = 48_000
FRAME: Final = 960  # samples: 20 ms
BITRATE: Final = {"mono": 32_000, "stereo": 64_000}
GAP: Final = RATE * 60 // 1_000  # a source's time that jumps further is followed
MAX_BAD: Final = 200
Made = tuple[int, bool, bytes]
"""pts in 48 kHz, always true, one Opus packet."""


class SoundJob:
    """State of one track."""

    def __init__(self) -> None:
        decoder = av.CodecContext.create("aac", "r")
        assert isinstance(decoder, AudioCodecContext)
        self._decoder = decoder
        self._begin("mono")
        self._bad = 0

    def _begin(self, layout: str) -> None:
        """A new time line."""
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = RATE, layout, "s16"
        encoder.bit_rate = BITRATE[layout]
        encoder.options = {"frame_duration": "20", "application": "audio"}
        self._encoder = encoder
        self._layout = layout
        self._resampler = AudioResampler("s16", layout, RATE, FRAME)
        self._first: int | None = None  # pts of the first sample that went in, 48 kHz
        self._taken = 0  # samples that went in since, of the source's rate
        self._given = 0  # packets that came out

    def unit(self, data: bytes, pts: int) -> list[Made]:
        """Take one frame with its ADTS header; ``pts`` counts 90 kHz."""
        try:
            frames = self._decoder.decode(av.Packet(data))
        except (av.FFmpegError, ValueError):
            self._bad += 1
            return []
        made = []
        for frame in frames:
            made += self._samples(frame, pts * RATE // 90_000)
        return made

    def _samples(self, frame: AudioFrame, at: int) -> list[Made]:
        layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
        rate = frame.sample_rate or RATE
        if layout != self._layout or (
            self._first is not None and abs(self._first + self._taken * RATE // rate - at) > GAP
        ):
            self._begin(layout)
        if self._first is None:
            self._first = at
        self._taken += frame.samples
        frame.pts = None
        made = []
        for piece in self._resampler.resample(frame):
            piece.pts = None
            for packet in self._encoder.encode(piece):
                made.append((self._first + FRAME * self._given, True, bytes(packet)))
                self._given += 1
        return made
