"""What the tests of program streams share: films of real encoders, and PyAV as the oracle."""

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

from signaling.gb28181.es import MediaUnit, VideoCodec
from signaling.gb28181.ps import PsDemuxer
from signaling.gb28181.ps_mux import Oddities, PsMuxer

STEP = 3_600
SOUND = b"\xd5\x55" * 160  # 40 ms of G.711A


@dataclass(frozen=True)
class Shot:
    """One access unit of a film."""

    data: bytes
    pts: int
    key: bool


@cache
def film(codec: str = "h264", count: int = 30, gop: int = 10, size: tuple[int, int] = (192, 108)) -> tuple[Shot, ...]:
    """Access units of noise that moves, without B-frames, beginning at 10 s."""
    made: Any = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    made.width, made.height, made.pix_fmt = size[0], size[1] // 2 * 2, "yuv420p"
    made.framerate, made.time_base = 25, Fraction(1, 90_000)
    x265 = f"log-level=none:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:pools=1"
    x264 = f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1:threads=1:sliced-threads=0:slices=2"
    made.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop)} | (
        {"x265-params": x265} if codec == "h265" else {"x264-params": x264, "profile": "baseline"}
    )
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 200, (made.height, made.width, 3), dtype=np.uint8)
    shots: list[Shot] = []
    for place in range(count + 1):
        frame = None
        if place < count:
            frame = av.VideoFrame.from_ndarray(np.roll(noise, place * 3, axis=1), format="rgb24")
            frame.pts = place * STEP
        for packet in made.encode(frame):
            shots.append(Shot(bytes(packet), 900_000 + len(shots) * STEP, packet.is_keyframe))
    assert len(shots) == count
    return tuple(shots)


def muxed(
    codec: VideoCodec = "h264", *, sound: bool = True, oddities: Oddities | None = None, shots: Any = None
) -> list[bytes]:
    """The film, one program stream pack and its sound a picture."""
    muxer = PsMuxer(codec, sound="pcma" if sound else None, oddities=oddities)
    return [
        muxer.picture(shot.data, shot.pts, key=shot.key) + (muxer.sound(SOUND, shot.pts) if sound else b"")
        for shot in (film(codec) if shots is None else shots)
    ]


def demuxed(data: bytes, size: int = 1_400) -> tuple[PsDemuxer, list[MediaUnit]]:
    """Everything that comes out where the bytes go in by pieces."""
    demuxer, units = PsDemuxer(), []
    for at in range(0, len(data), size):
        units += demuxer.feed(data[at : at + size])
    return demuxer, units + demuxer.end()


def pictures(units: list[MediaUnit]) -> list[tuple[bytes, int, bool]]:
    """What compares."""
    return [(unit.annex_b, unit.pts, unit.key) for unit in units if unit.nals]


def expected(shots: Any) -> list[tuple[bytes, int, bool]]:
    """The film in the same form: start codes of four bytes everywhere."""
    out = []
    for shot in shots:
        parts = [part.rstrip(b"\0") for part in shot.data.split(b"\0\0\1")]
        out.append((b"".join(b"\0\0\0\1" + part for part in parts if part), shot.pts, shot.key))
    return out


def oracle(data: bytes, format: str = "mpeg") -> list[tuple[str, bytes, int | None]]:
    """What PyAV makes of a program stream: kind, data, pts."""
    with av.open(io.BytesIO(data), mode="r", format=format) as container:
        return [(packet.stream.type, bytes(packet), packet.pts) for packet in container.demux() if packet.size]


def by_pyav(codec: str, format: str) -> bytes:
    """The film as PyAV muxes it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as container:
        stream: Any = container.add_stream({"h264": "libx264", "h265": "libx265"}[codec], rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 108, "yuv420p"
        for shot in film(codec):
            packet = av.Packet(shot.data)
            packet.pts = packet.dts = shot.pts
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 90_000), stream, shot.key
            container.mux(packet)
    return buffer.getvalue()
