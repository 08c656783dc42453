"""A commander's voice to a device (语音广播, 语音对讲): a stream's sound as G.711A, 20 ms a packet.

GB/T 28181-2016 9.12, annex C: RTP payload type 8. Packets of 100 ms play as noise in many devices (QUIRKS 18).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from hub.media.rtp.packet import HEADER
from hub.media.rtp.track import Packet
from hub.media.stream import Stream
from hub.media.taps.rtp_out import RtpOut
from signaling.gb28181.ps_mux import RtpSender

RATE: Final = 8_000
PIECE: Final = 160  # samples: 20 ms
MAX_WAITING: Final = 50  # packets that wait to be made G.711: a second
MAX_GAP: Final = 10 * RATE
DECODERS: Final = {"opus": "libopus", "pcma": "pcm_alaw", "pcmu": "pcm_mulaw"}
RATES: Final = {"opus": 48_000, "pcma": RATE, "pcmu": RATE}


class Transcoder:
    """Packets of one codec to G.711A samples; ``bad`` counts packets that did not decode. No I/O."""

    def __init__(self, codec: str) -> None:
        """Raises ValueError for a codec that is none of a browser's or a camera's."""
        if codec not in DECODERS:
            raise ValueError(f"{codec} is no sound that can be passed on")
        self.codec = codec
        self.bad = 0
        self._buffer = bytearray()
        self._resampler = AudioResampler("s16", "mono", RATE)
        decoder = av.CodecContext.create(DECODERS[codec], "r")
        encoder = av.CodecContext.create("pcm_alaw", "w")
        assert isinstance(decoder, AudioCodecContext)
        assert isinstance(encoder, AudioCodecContext)
        decoder.sample_rate = RATES[codec]
        decoder.layout = "stereo" if codec == "opus" else "mono"
        encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
        self._decoder, self._encoder = decoder, encoder

    def push(self, payload: bytes) -> list[bytes]:
        """Take one payload; whole pieces of 20 ms."""
        if self.codec == "pcma":
            self._buffer += payload
        else:
            try:
                for frame in self._decoder.decode(av.Packet(payload)):
                    self._samples(frame)
            except (av.FFmpegError, ValueError):
                self.bad += 1
        out = []
        while len(self._buffer) >= PIECE:
            out.append(bytes(self._buffer[:PIECE]))
            del self._buffer[:PIECE]
        return out

    def _samples(self, frame: AudioFrame) -> None:
        frame.pts = None
        for piece in self._resampler.resample(frame):
            piece.pts = None
            for packet in self._encoder.encode(piece):
                self._buffer += bytes(packet)


class Voice:
    """Takes a stream's sound and sends it. ``dropped`` counts packets that waited too long or found no room."""

    def __init__(self, stream: Stream, out: RtpOut, ssrc: int, payload_type: int) -> None:
        self.dropped = 0
        self._stream = stream
        self._out = out
        self._sender = RtpSender(ssrc, payload_type)
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._ready = asyncio.Event()
        self._transcoder: Transcoder | None = None
        self._timestamp = 0
        self._next: int | None = None  # timestamp of the source that follows without a gap
        self._fresh = True  # the next packet begins a talkspurt

    async def run(self) -> str:
        """Until the stream or the connection ends; says which, ``stream_ended`` or ``connection_lost``."""
        over = asyncio.Event()
        self._stream.listen("audio", self._heard)
        self._stream.on_end(over.set)
        ends = {asyncio.ensure_future(over.wait()), asyncio.ensure_future(self._out.ended.wait())}
        pump = asyncio.ensure_future(self._pump())
        try:
            if self._stream.ended:
                return "stream_ended"
            await asyncio.wait({*ends, pump}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                pump.result()
            return "stream_ended" if over.is_set() else "connection_lost"
        finally:
            self._stream.unlisten("audio", self._heard)
            self._stream.forget_end(over.set)
            for task in (*ends, pump):
                task.cancel()
            await asyncio.gather(*ends, pump, return_exceptions=True)

    def _heard(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((packet.data[HEADER:], packet.timestamp))
        self._ready.set()

    async def _pump(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._waiting:
                self._pass_on(*self._waiting.popleft())
                await asyncio.sleep(0)  # decoding is 0.1 ms; others may go between

    def _pass_on(self, payload: bytes, timestamp: int) -> None:
        track = self._stream.tracks.get("audio")
        if track is None or track.codec not in DECODERS:
            self.dropped += 1
            return
        if self._transcoder is None or self._transcoder.codec != track.codec:
            self._transcoder, self._next = Transcoder(track.codec), None
        rate = RATES[track.codec]
        if self._next is not None:  # silence that was not sent is time that passed
            gap = ((timestamp - self._next + 2**31) % 2**32 - 2**31) * RATE // rate
            if PIECE < gap <= MAX_GAP:
                self._timestamp += gap // PIECE * PIECE
                self._fresh = True
        pieces = self._transcoder.push(payload)
        self._next = timestamp + len(pieces) * PIECE * rate // RATE
        for piece in pieces:
            packet = self._sender.packet(piece, self._timestamp, marker=self._fresh)
            self._timestamp += PIECE
            self._fresh = False
            if not self._out.send([packet]):
                self.dropped += 1
