"""Access units made fit for browsers: Annex B, parameter sets before every IDR, nothing that cannot be shown."""

from dataclasses import dataclass
from typing import Final

from hub.media.rtp.h264 import ParameterSets, is_idr, split
from hub.media.rtp.sps import slice_type

_ORDER: Final = {7: 0, 8: 1}
START: Final = b"\0\0\0\1"
SLICE, IDR, SPS, PPS = 1, 5, 7, 8  # ITU-T H.264 table 7-1
SHOWN_PROFILES: Final = frozenset({66, 77, 88, 100})  # Baseline, Main, Extended, High (annex A)
OTHER_PROFILES: Final = {44: "CAVLC 4:4:4", 110: "High 10", 122: "High 4:2:2", 244: "High 4:4:4"}


class NotShowable(ValueError):
    """The coding is one that WebRTC does not carry; the text says which."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit in Annex B; a key frame has its parameter sets in front."""

    data: bytes
    keyframe: bool


class Framer:
    """Keeps the parameter sets and puts them where they are missing. One per connection."""

    def __init__(self, extradata: bytes = b"") -> None:
        self._sets = ParameterSets()
        first = split(extradata)
        _check(first)
        self._sets.complete(first)

    def picture(self, data: bytes) -> Picture | None:
        """One access unit made complete; None when nobody could decode it. Raises NotShowable."""
        return self.assembled(split(data))

    def assembled(self, nals: list[bytes]) -> Picture | None:
        """The same of NAL units without start codes."""
        _check(nals)
        kept = self._sets.complete(nals)
        kinds = {nal[0] & 0x1F for nal in kept}
        if not kinds & {SLICE, IDR} or (IDR in kinds and not kinds >= {SPS, PPS}):
            return None
        keyframe = is_idr(kept)
        if keyframe:  # some muxers leave SEI in front of the sets; the order is that of ITU-T H.264 7.4.1.2.3
            kept.sort(key=lambda nal: _ORDER.get(nal[0] & 0x1F, 2))
        return Picture(b"".join(START + nal for nal in kept), keyframe)


def _check(nals: list[bytes]) -> None:
    for nal in nals:
        kind = nal[0] & 0x1F
        if kind == SLICE and slice_type(nal) == 1:
            raise NotShowable("H.264 with B-frames: switch them off in the camera (profile Baseline, or B = 0)")
        if kind == SPS and len(nal) > 3 and nal[1] not in SHOWN_PROFILES:
            raise NotShowable(f"H.264 {OTHER_PROFILES.get(nal[1], f'profile {nal[1]}')}")
