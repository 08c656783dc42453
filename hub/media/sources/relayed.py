"""What a leg brings on its way into the stream: packets as they came, but for H.265, of which access units are made.

Pictures that not everybody decodes are then what they are of a camera: originals for who knows them, converted once for
all others, whole units for taps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.media.peer.publication import Asking
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.unit import AccessUnit, Codec, Kind
from hub.media.sources.depacketize import H265Depacketizer
from hub.media.sources.h265 import H265Framer
from hub.media.sources.reorder import Reorder
from hub.media.sources.units import Figures, UnitQueue
from hub.media.stream import Stream

WINDOW: Final = 1_024  # packets that wait for one that is asked for again
PATIENCE_MS: Final = 850  # just longer than it is asked for
RATE: Final = 90


@dataclass(slots=True)
class _Report:
    ssrc: int
    timestamp: int
    ms: float


class Pictures:
    """H.265 out of a publisher's packets, from one SSRC at a time. No I/O."""

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._report: _Report | None = None
        self._past = Figures()
        self._begin()

    def _begin(self) -> None:
        self._reorder = Reorder(WINDOW, PATIENCE_MS)
        self._depacketizer = H265Depacketizer()
        self._framer = H265Framer()
        self._last: int | None = None  # extended timestamp

    @property
    def figures(self) -> Figures:
        """What was lost and dropped on the way to units."""
        return self._past + Figures(
            late=self._reorder.late, malformed=self._depacketizer.malformed, dropped=self._depacketizer.dropped
        )

    def push(self, packets: Sequence[RtpPacket], now_ms: int) -> list[AccessUnit]:
        """The access units that are complete now."""
        units: list[AccessUnit] = []
        for packet in packets:
            if packet.ssrc != self._ssrc:
                self._past, self._ssrc, self._report = self.figures, packet.ssrc, None
                self._begin()
            for each in self._reorder.push(packet, now_ms):
                for found in self._depacketizer.push(each.packet, each.lost):
                    units += self._unit(found.nals, found.timestamp, now_ms)
        return units

    def sync(self, ssrc: int, timestamp: int, ms: float) -> None:
        """``timestamp`` was sampled at ``ms`` by our clock."""
        if ssrc == self._ssrc:
            self._report = _Report(ssrc, timestamp, ms)

    def _unit(self, nals: list[bytes], timestamp: int, now_ms: int) -> list[AccessUnit]:
        if (picture := self._framer.assembled(nals)) is None:
            return []
        before = timestamp if self._last is None else self._last
        self._last = pts = before + _signed(timestamp - before)
        captured = None
        if self._report is not None:
            captured = min(self._report.ms + _signed(timestamp - self._report.timestamp) / RATE, float(now_ms))
        return [AccessUnit("video", "h265", picture.data, pts, picture.keyframe, now_ms, captured, picture.passes)]


def _signed(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


class Relayed:
    """An ``Intake`` in front of a stream that comes by a leg. Units wait in ``units`` for whoever reads the source."""

    def __init__(self, stream: Stream) -> None:
        self.units = UnitQueue()
        self._stream = stream
        self._pictures: Pictures | None = None
        self._ask: Asking | None = None

    @property
    def converts(self) -> bool:
        """Whether the pictures come as units."""
        return self._pictures is not None

    @property
    def figures(self) -> Figures:
        """Of the way from packets to units."""
        return Figures() if self._pictures is None else self._pictures.figures

    @property
    def low_wanted(self) -> bool:
        return self._stream.low_wanted

    def publisher(
        self, codecs: Sequence[Codec], request_keyframe: Asking, layers: int = 1, *, asks: bool = True
    ) -> bool:
        """See Intake. H.265 is what its viewers' tracks are made from, not what they hold."""
        units = "h265" in codecs
        tracks: dict[Codec, None] = {"h264" if codec == "h265" else codec: None for codec in codecs}
        changed = self._stream.publisher(list(tracks), request_keyframe, layers, asks=asks)
        self._ask = request_keyframe
        self._pictures = Pictures() if units else None
        self.units.clear()
        if units:  # key frames are the encoder's here, and the camera's there
            self._stream.source_asks(None)
        self._stream.foresee("h265" if units else None)
        return changed

    def unpublish(self, request_keyframe: Asking) -> None:
        if self._pictures is None:
            self._stream.unpublish(request_keyframe)
        elif self._ask == request_keyframe:
            self._stream.restart()

    def publish_rtp(self, kind: Kind, packets: Sequence[RtpPacket], at_ms: int, layer: int = 0) -> None:
        if self._pictures is None or kind != "video" or layer:
            self._stream.publish_rtp(kind, packets, at_ms, layer)
            return
        for unit in self._pictures.push(packets, at_ms):
            self.units.put(unit)

    def sync(self, kind: Kind, layer: int, ssrc: int, timestamp: int, ms: float) -> None:
        if self._pictures is None or kind != "video" or layer:
            self._stream.sync(kind, layer, ssrc, timestamp, ms)
        else:
            self._pictures.sync(ssrc, timestamp, ms)

    def rest(self, layer: int) -> None:
        self._stream.rest(layer)
