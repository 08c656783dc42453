"""Access units made fit for viewers: Annex B, parameter sets before every IDR; and whether WebRTC carries them."""

from dataclasses import dataclass
from typing import Final

from hub.media.rtp.h264 import ParameterSets, is_idr, split
from hub.media.rtp.sps import parse_sps, slice_type

_ORDER: Final = {7: 0, 8: 1}
START: Final = b"\0\0\0\1"
SLICE, IDR, SPS, PPS = 1, 5, 7, 8  # ITU-T H.264 table 7-1
SHOWN_PROFILES: Final = frozenset({66, 77, 88, 100})  # Baseline, Main, Extended, High (annex A)
BASELINE: Final = 66
B: Final = 1


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit in Annex B; a key frame has its parameter sets in front. ``passes``: see AccessUnit."""

    data: bytes
    keyframe: bool
    passes: bool = True


class Framer:
    """Keeps the parameter sets and puts them where they are missing. One per connection."""

    def __init__(self, extradata: bytes = b"") -> None:
        self._sets = ParameterSets()
        self._sequence = b""
        self._passes = True
        first = split(extradata)
        self._judge(first)
        self._sets.complete(first)

    def picture(self, data: bytes) -> Picture | None:
        """One access unit made complete; None when nobody could decode it."""
        return self.assembled(split(data))

    def assembled(self, nals: list[bytes]) -> Picture | None:
        """The same of NAL units without start codes."""
        self._judge(nals)
        kept = self._sets.complete(nals)
        kinds = {nal[0] & 0x1F for nal in kept}
        if not kinds & {SLICE, IDR} or (IDR in kinds and not kinds >= {SPS, PPS}):
            return None
        keyframe = is_idr(kept)
        if keyframe:  # some muxers leave SEI in front of the sets; the order is that of ITU-T H.264 7.4.1.2.3
            kept.sort(key=lambda nal: _ORDER.get(nal[0] & 0x1F, 2))
        return Picture(b"".join(START + nal for nal in kept), keyframe, self._passes)

    def _judge(self, nals: list[bytes]) -> None:
        """Follow what the parameter set says of the order; what it leaves open the first B slice tells."""
        for nal in nals:
            kind = nal[0] & 0x1F
            if kind == SPS and nal != self._sequence:
                self._sequence, self._passes = nal, passes(nal)
            elif kind == SLICE and self._passes and slice_type(nal) == B:
                self._passes = False


def passes(sequence: bytes) -> bool:
    """Whether a parameter set rules out pictures that are shown later than others behind them, and odd profiles."""
    if len(sequence) > 3 and sequence[1] not in SHOWN_PROFILES:
        return False
    try:
        found = parse_sps(sequence)
    except ValueError:
        return True  # a browser may still make sense of it
    return found.profile == BASELINE or not found.reorder
