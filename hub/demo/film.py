"""A looped film of a simulated camera: read once with PyAV, cut into RTP payloads once, shared by all viewers."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
from av.bitstream import BitStreamFilterContext

CLOCK: Final = 90_000  # RTP ticks a second (RFC 6184 §8.2.1)
MAX_PAYLOAD: Final = 1_400  # bytes, what cameras on Ethernet send, and we behave like one
MAX_FILE: Final = 256 * 2**20
PARAMETER_SETS: Final = {"h264": frozenset({7, 8}), "h265": frozenset({32, 33, 34})}


@dataclass(frozen=True)
class Frame:
    """One access unit: RTP ticks since the film's start when it is sent, and payloads ready to be numbered.

    ``shown`` is when its picture is shown, later or earlier than ``at`` where pictures are reordered.
    """

    at: int
    key: bool
    payloads: tuple[bytes, ...]
    shown: int = 0


@dataclass(frozen=True)
class Film:
    """One loop. ``duration`` is in RTP ticks; ``parameter_sets`` are NAL units without start codes."""

    codec: Literal["h264", "h265"]
    frames: tuple[Frame, ...]
    duration: int
    parameter_sets: tuple[bytes, ...]

    def index_at(self, ticks: int) -> int:
        """Index of the key frame from which a decoder reaches position ``ticks`` of the loop."""
        at = ticks % self.duration
        before = [n for n, frame in enumerate(self.frames) if frame.key and frame.at <= at]
        return before[-1] if before else next(n for n, frame in enumerate(self.frames) if frame.key)


def read_film(path: Path) -> Film:
    """Read an Annex B or MP4 file. Raises OSError, or ValueError: no H.264 or H.265 in it, no key frame."""
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path.name} is over {MAX_FILE} bytes")
    try:
        return _read(path)
    except av.FFmpegError as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from None


def _read(path: Path) -> Film:
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError(f"{path.name} holds no video")
        video = container.streams.video[0]
        codec: Literal["h264", "h265"] = "h265" if video.codec.name == "hevc" else "h264"
        if video.codec.name not in {"h264", "hevc"}:
            raise ValueError(f"{path.name} is neither H.264 nor H.265")
        rate = video.average_rate or Fraction(25)
        to_annex_b = BitStreamFilterContext("hevc_mp4toannexb" if codec == "h265" else "h264_mp4toannexb", video)
        units: list[tuple[bytes, bool]] = []
        times: list[Fraction | None] = []
        for packet in container.demux(video):
            time = None if packet.pts is None else packet.pts * Fraction(packet.time_base or 0)
            for unit in to_annex_b.filter(packet) if packet.size else ():  # which takes the packet's content away
                units.append((bytes(unit), unit.is_keyframe))
                times.append(time)
    step = CLOCK / rate
    sets: dict[bytes, None] = {}
    frames = []
    shown = _shown(times, step)
    for number, (data, key) in enumerate(units):
        nals = list(split_nals(data))
        sets.update({nal: None for nal in nals if nal_type(nal, codec) in PARAMETER_SETS[codec]})
        frames.append(
            Frame(int(number * step), key, tuple(p for nal in nals for p in payloads(nal, codec)), shown[number])
        )
    if not any(frame.key for frame in frames) or not sets:
        raise ValueError(f"{path.name} holds no key frame or no parameter sets")
    return Film(codec, tuple(frames), int(len(frames) * step), tuple(sets))


def _shown(times: list[Fraction | None], step: Fraction) -> list[int]:
    """When each picture is shown, in RTP ticks: as it comes, unless the container says another order."""
    known = [time for time in times if time is not None]
    if len(known) < len(times) or known == sorted(known):
        return [int(number * step) for number in range(len(times))]
    first = min(known)
    return [int((time - first) * CLOCK) for time in known]


def split_nals(data: bytes) -> Iterator[bytes]:
    """NAL units of an Annex B byte stream (ITU-T H.264 B.1), without start codes and trailing zeros."""
    start = data.find(b"\0\0\1")
    while start >= 0:
        end = data.find(b"\0\0\1", start + 3)
        nal = (data[start + 3 :] if end < 0 else data[start + 3 : end]).rstrip(b"\0")
        if nal:
            yield nal
        start = end


def nal_type(nal: bytes, codec: str) -> int:
    """H.264 7.3.1 and H.265 7.3.1.2."""
    return (nal[0] >> 1) & 0x3F if codec == "h265" else nal[0] & 0x1F


def payloads(nal: bytes, codec: str) -> Iterator[bytes]:
    """One NAL unit as RTP payloads: whole, or as FU-A (RFC 6184 §5.8) or FU (RFC 7798 §4.4.3)."""
    if len(nal) <= MAX_PAYLOAD:
        yield nal
        return
    if codec == "h265":
        head, kind, body = bytes(((nal[0] & 0x81) | 49 << 1, nal[1])), (nal[0] >> 1) & 0x3F, nal[2:]
    else:
        head, kind, body = bytes(((nal[0] & 0xE0) | 28,)), nal[0] & 0x1F, nal[1:]
    size = MAX_PAYLOAD - len(head) - 1
    for at in range(0, len(body), size):
        flags = (0x80 if at == 0 else 0) | (0x40 if at + size >= len(body) else 0)
        yield head + bytes((flags | kind,)) + body[at : at + size]


def describe(film: Film, host: str) -> bytes:
    """The SDP of DESCRIBE (RFC 4566; RFC 6184 §8.2.1, RFC 7798 §7.2.1)."""
    coded = [base64.b64encode(nal).decode() for nal in film.parameter_sets]
    if film.codec == "h264":
        sps = next(nal for nal in film.parameter_sets if nal_type(nal, "h264") == 7)
        name, fmtp = (
            "H264",
            f"packetization-mode=1;profile-level-id={sps[1:4].hex()};sprop-parameter-sets={','.join(coded)}",
        )
    else:
        kinds = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        pairs = zip(film.parameter_sets, coded, strict=True)
        name, fmtp = "H265", ";".join(f"{kinds[nal_type(nal, 'h265')]}={text}" for nal, text in pairs)
    family = "IP6" if ":" in host else "IP4"
    lines = [
        "v=0",
        f"o=- 0 0 IN {family} {host}",
        "s=camera",
        f"c=IN {family} {host}",
        "t=0 0",
        "a=control:*",
        "m=video 0 RTP/AVP 96",
        f"a=rtpmap:96 {name}/{CLOCK}",
        f"a=fmtp:96 {fmtp}",
        "a=control:trackID=0",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
