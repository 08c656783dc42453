"""One access unit: what a source hands to a stream and what a tap takes from it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["video", "audio"]
UnitCodec: TypeAlias = Literal["h264", "opus", "pcma", "pcmu"]
Codec: TypeAlias = Literal["h264", "vp8", "opus", "pcma", "pcmu"]

CLOCK_RATE: Final[dict[Codec, int]] = {"h264": 90_000, "vp8": 90_000, "opus": 48_000, "pcma": 8_000, "pcmu": 8_000}
KIND_OF: Final[dict[Codec, Kind]] = {
    "h264": "video", "vp8": "video", "opus": "audio", "pcma": "audio", "pcmu": "audio",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture or one audio frame.

    ``data`` of H.264 is Annex B and holds exactly one access unit; ``pts`` counts the codec's clock (90 kHz for
    video, 48 kHz Opus, 8 kHz G.711) and may start anywhere and jump when the source restarts; ``at_ms`` is when
    the hub received it, by the hub's clock.
    """

    kind: Kind
    codec: UnitCodec
    data: bytes
    pts: int
    keyframe: bool
    at_ms: int
    captured_ms: float | None = None
