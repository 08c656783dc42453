"""Access units of H.265 made fit for viewers: Annex B, parameter sets before every key frame."""

from typing import Final

from hub.media.rtp import h265, sps
from hub.media.rtp.h264 import split
from hub.media.sources.h264 import Picture

START: Final = b"\0\0\0\1"


class H265Framer:
    """Keeps the parameter sets and puts them where they are missing. One per connection."""

    def __init__(self, extradata: bytes = b"") -> None:
        self._sets = h265.ParameterSets()
        self._sequence: bytes | None = None
        self._passes = False
        self._sets.complete(split(extradata))

    def picture(self, data: bytes) -> Picture | None:
        """One access unit made complete; None when nobody could decode it."""
        return self.assembled(split(data))

    def assembled(self, nals: list[bytes]) -> Picture | None:
        """The same of NAL units without start codes."""
        kept = self._sets.complete(nals)
        keyframe = h265.is_irap(kept)
        kinds = {h265.kind(nal) for nal in kept}
        if not any(h265.is_slice(nal) for nal in kept) or (keyframe and not kinds >= {h265.VPS, h265.SPS, h265.PPS}):
            return None
        if self._sets.sequence != self._sequence:
            self._sequence = self._sets.sequence
            self._passes = self._sequence is not None and passes(self._sequence)
        return Picture(b"".join(START + nal for nal in kept), keyframe, self._passes)


def passes(sequence: bytes) -> bool:
    """Whether a browser that knows H.265 decodes it over RTP: profile Main, pictures shown as they come."""
    try:
        found = sps.parse_sps_h265(sequence)
    except ValueError:
        return False
    return (found.profile, found.reorder, found.depth) == (h265.MAIN, 0, 8)
