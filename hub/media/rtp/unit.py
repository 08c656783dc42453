"""One access unit: what a source hands to a stream and what a tap takes from it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["video", "audio"]
UnitCodec: TypeAlias = Literal["h264", "h265", "opus", "pcma", "pcmu", "aac"]
"""What sources bring."""
Codec: TypeAlias = Literal["h264", "h265", "vp8", "opus", "pcma", "pcmu"]
"""What viewers are sent."""

CLOCK_RATE: Final[dict[Codec | UnitCodec, int]] = {
    "h264": 90_000, "h265": 90_000, "vp8": 90_000, "opus": 48_000, "pcma": 8_000, "pcmu": 8_000, "aac": 90_000,
}  # fmt: skip
KIND_OF: Final[dict[Codec | UnitCodec, Kind]] = {
    "h264": "video", "h265": "video", "vp8": "video",
    "opus": "audio", "pcma": "audio", "pcmu": "audio", "aac": "audio",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Description:
    """What a source says that it brings, before it does. ``passes`` is that of the pictures, see AccessUnit.

    ``whole``: it names everything; else there may be more.
    """

    codecs: tuple[UnitCodec, ...]
    passes: bool = True
    whole: bool = True


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture or one audio frame.

    ``data`` of H.264 and H.265 is Annex B and holds exactly one access unit, of AAC exactly one frame with its ADTS
    header (ISO/IEC 14496-3 1.A.2.2); ``pts`` counts the codec's clock (90 kHz for video and AAC, 48 kHz Opus, 8 kHz
    G.711) and may start anywhere and jump when the source restarts; ``at_ms`` is when the hub received it, by the
    hub's clock. Units come in the order of decoding. ``passes`` is false for pictures that no browser decodes as they
    are: their order of showing is another one (B-frames), or their profile is none of WebRTC's.
    """

    kind: Kind
    codec: UnitCodec
    data: bytes
    pts: int
    keyframe: bool
    at_ms: int
    captured_ms: float | None = None
    passes: bool = True
