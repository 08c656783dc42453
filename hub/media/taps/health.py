"""What a stream is right now: size, frame rate, when the last unit came. Fed by the source, no subscriber itself."""

from collections import deque
from typing import Final

from hub.media.rtp.h264 import split
from hub.media.rtp.sps import parse_sps, parse_sps_h265
from hub.media.rtp.unit import AccessUnit

WINDOW: Final = 128  # units that the frame rate is taken over


class Health:
    """Facts of one stream. ``observe`` costs nothing but at a new parameter set."""

    def __init__(self) -> None:
        self.width: int | None = None
        self.height: int | None = None
        self.units = 0
        self.bytes = 0
        self._arrivals: deque[int] = deque(maxlen=WINDOW)
        self._sps = b""

    def observe(self, unit: AccessUnit) -> bool:
        """Note one unit; True when the size changed."""
        self.units += 1
        self.bytes += len(unit.data)
        if unit.kind != "video":
            return False
        self._arrivals.append(unit.at_ms)
        return unit.keyframe and self._measure(unit.data, unit.codec == "h265")

    @property
    def last_unit_at(self) -> int | None:
        """Ms by the hub's clock."""
        return self._arrivals[-1] if self._arrivals else None

    @property
    def frame_rate(self) -> float:
        """Pictures a second over the last 128; 0 when unknown."""
        if len(self._arrivals) < 2 or (span := self._arrivals[-1] - self._arrivals[0]) <= 0:
            return 0.0
        return (len(self._arrivals) - 1) * 1_000 / span

    def _measure(self, data: bytes, h265: bool) -> bool:
        nals = split(data[:4_096])
        sps = next((nal for nal in nals if (nal[0] >> 1 & 0x3F == 33 if h265 else nal[0] & 0x1F == 7)), b"")
        if not sps or sps == self._sps:
            return False
        self._sps = sps
        before = (self.width, self.height)
        try:
            found = parse_sps_h265(sps) if h265 else parse_sps(sps)
        except ValueError:
            return False  # a decoder may still make sense of it
        self.width, self.height = found.width, found.height
        return before != (self.width, self.height)
