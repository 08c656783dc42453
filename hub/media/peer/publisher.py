"""The receiving half of a WHIP session: packets to the stream, reports and requests back to the publisher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hub.media.peer.counters import Counters
from hub.media.peer.publication import Intake
from hub.media.rtp import extension, rtcp
from hub.media.rtp.packet import RtpPacket, repaired
from hub.media.rtp.reception import Reception
from hub.media.rtp.twcc import ArrivalLog
from hub.media.rtp.unit import CLOCK_RATE, KIND_OF, Codec, Kind

KEYFRAME_EVERY_MS: Final = 500
REPORT_EVERY_MS: Final = 1_000
SILENT_MS: Final = 1_000  # after this another SSRC may take a section over
START_RATE: Final = 1_500_000
MIN_RATE: Final = 150_000
MAX_RATE: Final = 4_000_000
MAX_SSRCS: Final = 16  # that a publisher may name by rid

Place = tuple[Kind, int]
"""A kind and a layer of it."""


def next_rate(rate: int, fraction_lost: int) -> int:
    """The rate to allow a publisher next (bit/s): down by half the loss above 10 %, up by 8 % below 2 %."""
    loss = fraction_lost / 256
    if loss > 0.10:
        return max(MIN_RATE, int(rate * (1 - loss / 2)))
    return min(MAX_RATE, int(rate * 1.08)) if loss < 0.02 else rate


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with a publisher: payload types, and the ids of header extensions (0: not agreed)."""

    codecs: Mapping[int, Codec]
    repairs: Mapping[int, int] = field(default_factory=dict)  # payload type of a retransmission to the repaired one
    pairs: Mapping[int, int] = field(default_factory=dict)  # SSRC of a retransmission stream to the repaired one
    rids: Sequence[str] = ()  # of video, by layer
    rid: int = 0
    repaired_rid: int = 0
    transport: int = 0
    level: int = 0
    layers: Mapping[int, int] = field(default_factory=dict)  # SSRC of video, or of its retransmissions, to its layer


class Publisher:
    """State of one publishing session."""

    def __init__(
        self,
        stream: Intake,
        terms: Terms,
        ssrc: int,
        counters: Counters,
        on_media: Callable[[], None],
        asks: bool = True,
    ) -> None:
        self._stream = stream
        self._terms = terms
        self._ssrc = ssrc
        self._counters = counters
        self._on_media: Callable[[], None] | None = on_media
        self._sources: dict[Place, Reception] = {}
        self._layers: dict[int, int] = {}  # SSRC to layer, as rid or repaired-rid said
        self._pending: dict[Place, list[RtpPacket]] = {}
        self._asks = asks  # a relay between us and a camera begins with a key frame by itself
        self._wanted: set[int] = {0} if asks else set()  # layers that need a key frame
        self._asked_at: dict[int, int] = {}
        self._reported_at = 0
        self._rate = START_RATE
        self._arrivals = ArrivalLog() if terms.transport else None
        self.retired = False  # another publisher took over
        repairs = set(terms.pairs)
        self._further = {ssrc: layer for ssrc, layer in terms.layers.items() if layer and ssrc not in repairs}
        self._low: bool | None = None  # what was last said of the further layers of a leg
        self._pauses = self._flowed_at = 0
        self._skew: int | None = None  # our clock minus the publisher's, ms

    def packet(self, packet: RtpPacket, now_ms: int, now_us: int = 0) -> None:
        """Take one packet; it leaves with ``flush``. Raises WireError."""
        if self.retired:
            return
        found = extension.elements(packet.profile, packet.extension) if packet.extension else {}
        if self._arrivals is not None and (number := extension.number(found, self._terms.transport)) is not None:
            self._arrivals.packet(number, now_us)
        repairs = packet.payload_type in self._terms.repairs
        layer = self._layer_of(packet.ssrc, extension.text(found, self._rid_id(repairs)))
        if repairs:
            self._repair(packet, layer, now_ms)
            return
        codec = self._terms.codecs.get(packet.payload_type)
        if codec is None or (KIND_OF[codec] == "video" and layer is None):
            self._counters.malformed += 1
            return
        if self._terms.level and codec == "opus" and (told := found.get(self._terms.level)):
            packet = replace(packet, level=told[0])
        self._take(codec, layer or 0, packet, now_ms)

    def _rid_id(self, repairs: bool) -> int:
        return self._terms.repaired_rid if repairs else self._terms.rid

    def _layer_of(self, ssrc: int, rid: str) -> int | None:
        """The layer that an SSRC carries; rids stand on its first packets only. ``None`` while it is not known."""
        if self._terms.layers:
            return self._terms.layers.get(ssrc)
        if not self._terms.rids:
            return 0
        if rid in self._terms.rids and ssrc not in self._layers and len(self._layers) < MAX_SSRCS:
            self._layers[ssrc] = self._terms.rids.index(rid)
        return self._layers.get(ssrc)

    def _take(self, codec: Codec, layer: int, packet: RtpPacket, now_ms: int) -> None:
        kind = KIND_OF[codec]
        place = (kind, layer if kind == "video" else 0)
        source = self._sources.get(place)
        if source is None or (source.ssrc != packet.ssrc and now_ms - source.last_at > SILENT_MS):
            source = self._sources[place] = Reception(packet.ssrc, CLOCK_RATE[codec])
            if kind == "video" and self._asks:
                self._wanted.add(layer)
        if source.ssrc != packet.ssrc:
            self._counters.malformed += 1
            return
        source.packet(packet.seq, packet.timestamp, now_ms)
        self._pending.setdefault(place, []).append(packet)
        if self._on_media is not None:
            on_media, self._on_media = self._on_media, None
            on_media()

    def _repair(self, packet: RtpPacket, layer: int | None, now_ms: int) -> None:
        """A retransmission (RFC 4588): of the SSRC that the offer paired with it, else of the layer's source."""
        payload_type = self._terms.repairs[packet.payload_type]
        codec = self._terms.codecs.get(payload_type)
        source = self._sources.get(("video", layer)) if layer is not None else None
        if codec is None or source is None:
            self._counters.malformed += 1
            return
        if self._terms.pairs.get(packet.ssrc, source.ssrc) != source.ssrc:
            self._counters.malformed += 1
            return
        if (mended := repaired(packet, payload_type, source.ssrc)) is None:
            self._counters.padding_in += 1
            return
        self._take(codec, layer or 0, mended, now_ms)

    def flush(self, now_ms: int) -> None:
        """Hand what came since the last time to the stream, in one batch a track."""
        pending, self._pending = self._pending, {}
        for (kind, layer), packets in pending.items():
            if not self.retired:
                self._stream.publish_rtp(kind, packets, now_ms, layer)

    def leave(self) -> None:
        """The session is over."""
        self.retired = True
        self._stream.unpublish(self.request_keyframe)

    def totals(self) -> tuple[int, int]:
        """Packets that came, and that never did."""
        sources = self._sources.values()
        return sum(source.received for source in sources), sum(source.lost for source in sources)

    def feedback(self, items: list[rtcp.Feedback], now_ms: int) -> None:
        """Take the publisher's RTCP: its sender reports."""
        for item in items:
            if isinstance(item, rtcp.Flowing) and item.flow is rtcp.Flow.PAUSED:
                for (kind, layer), source in self._sources.items():
                    if kind == "video" and source.ssrc == item.target:
                        self._stream.rest(layer)
            if not isinstance(item, rtcp.SenderInfo):
                continue
            for place, source in self._sources.items():
                if source.ssrc == item.sender:
                    source.sender_report(item.ntp, now_ms)
                    self._synchronise(place, item, now_ms)

    def _synchronise(self, place: Place, report: rtcp.SenderInfo, now_ms: int) -> None:
        theirs = rtcp.ms_of(report.ntp)
        if self._skew is None or abs(now_ms - theirs - self._skew) > 5_000:
            self._skew = now_ms - theirs  # one for all tracks, so that they stay in step
        self._stream.sync(*place, report.sender, report.timestamp, theirs + self._skew)

    def request_keyframe(self, layer: int = 0) -> None:
        """A viewer needs a key frame of a layer; merged, and sent at most twice a second by ``due``."""
        self._wanted.add(layer)

    def due(self, now_ms: int) -> bytes:
        """RTCP to send now, plain and compound; empty when nothing is due. Call it every 50 ms or so."""
        asked = [(source.ssrc, source.ask(now_ms)) for source in self._sources.values()]
        parts = [rtcp.nack(self._ssrc, ssrc, lost) for ssrc, lost in asked if lost]
        parts += self._keyframes(now_ms)
        parts += self._flows(now_ms)
        if self._arrivals is not None and self._sources and (body := self._arrivals.feedback()):
            self._counters.feedback_out += 1
            parts.append(rtcp.transport(self._ssrc, next(iter(self._sources.values())).ssrc, body))
        reports = now_ms - self._reported_at >= REPORT_EVERY_MS and bool(self._sources)
        if not parts and not reports:
            return b""
        return self._head(now_ms, reports) + b"".join(parts)

    def _flows(self, now_ms: int) -> list[bytes]:
        """For a leg of a camera: whether anybody here has a use for its smaller layers, at once and with each report.

        RFC 7728 §6.1, §6.3. A publisher who can be asked sends them anyway.
        """
        if self._asks or not self._further:
            return []
        low = self._stream.low_wanted
        if low is self._low and now_ms - self._flowed_at < REPORT_EVERY_MS:
            return []
        self._flowed_at = now_ms
        self._pauses += low is not self._low
        self._low = low
        flow = rtcp.Flow.RESUME if low else rtcp.Flow.PAUSE
        return [rtcp.flowing(self._ssrc, ssrc, flow, self._pauses) for ssrc in self._further]

    def _keyframes(self, now_ms: int) -> list[bytes]:
        """PLIs that are due, one a layer and half second."""
        parts = []
        for (kind, layer), source in self._sources.items():
            if kind != "video":
                continue
            if source.gave_up:
                source.gave_up = False
                self._wanted.add(layer)
            if layer in self._wanted and now_ms - self._asked_at.get(layer, -KEYFRAME_EVERY_MS) >= KEYFRAME_EVERY_MS:
                self._wanted.discard(layer)
                self._asked_at[layer] = now_ms
                self._counters.keyframe_requests += 1
                parts.append(rtcp.pli(self._ssrc, source.ssrc))
        return parts

    def _head(self, now_ms: int, reports: bool) -> bytes:
        """The report every compound begins with; once a second and without transport-cc the rate that we allow."""
        if not reports:
            return rtcp.receiver_report(self._ssrc, ())
        self._reported_at = now_ms
        blocks = tuple(source.block(now_ms) for source in self._sources.values())
        head = rtcp.receiver_report(self._ssrc, blocks) + rtcp.cname(self._ssrc, "sharpeyes")
        video = tuple(source.ssrc for (kind, _), source in self._sources.items() if kind == "video")
        if not video or self._arrivals is not None:
            return head
        worst = max(block.fraction_lost for block in blocks if block.ssrc in video)
        self._rate = next_rate(self._rate, worst)
        return head + rtcp.remb(self._ssrc, self._rate, video)
