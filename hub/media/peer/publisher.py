"""The receiving half of a WHIP session: packets to the stream, reports and requests back to the publisher."""

from collections.abc import Callable, Mapping
from typing import Final

from hub.media.peer.counters import Counters
from hub.media.peer.publication import Publication
from hub.media.rtp import rtcp
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.reception import Reception
from hub.media.rtp.unit import CLOCK_RATE, KIND_OF, Codec, Kind

KEYFRAME_EVERY_MS: Final = 500
REPORT_EVERY_MS: Final = 1_000
SILENT_MS: Final = 1_000  # after this another SSRC may take a section over
START_RATE: Final = 1_500_000
MIN_RATE: Final = 150_000
MAX_RATE: Final = 4_000_000


def next_rate(rate: int, fraction_lost: int) -> int:
    """The rate to allow a publisher next (bit/s): down by half the loss above 10 %, up by 8 % below 2 %."""
    loss = fraction_lost / 256
    if loss > 0.10:
        return max(MIN_RATE, int(rate * (1 - loss / 2)))
    return min(MAX_RATE, int(rate * 1.08)) if loss < 0.02 else rate


class Publisher:
    """State of one publishing session. ``codecs`` maps the payload types of the answer."""

    def __init__(
        self,
        stream: Publication,
        codecs: Mapping[int, Codec],
        ssrc: int,
        counters: Counters,
        on_media: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._codecs = codecs
        self._ssrc = ssrc
        self._counters = counters
        self._on_media: Callable[[], None] | None = on_media
        self._sources: dict[Kind, Reception] = {}
        self._pending: dict[Kind, list[RtpPacket]] = {"video": [], "audio": []}
        self._wanted = True
        self._asked_at = -KEYFRAME_EVERY_MS
        self._reported_at = 0
        self._rate = START_RATE
        self.retired = False  # another publisher took over
        self._skew: int | None = None  # our clock minus the publisher's, ms

    def packet(self, packet: RtpPacket, now_ms: int) -> None:
        """Take one packet; it leaves with ``flush``."""
        codec = self._codecs.get(packet.payload_type)
        if self.retired:
            return
        if codec is None:
            self._counters.malformed += 1
            return
        kind = KIND_OF[codec]
        source = self._sources.get(kind)
        if source is None or (source.ssrc != packet.ssrc and now_ms - source.last_at > SILENT_MS):
            source = self._sources[kind] = Reception(packet.ssrc, CLOCK_RATE[codec])
            self._wanted = self._wanted or kind == "video"
        if source.ssrc != packet.ssrc:
            self._counters.malformed += 1
            return
        source.packet(packet.seq, packet.timestamp, now_ms)
        self._pending[kind].append(packet)
        if self._on_media is not None:
            on_media, self._on_media = self._on_media, None
            on_media()

    def flush(self, now_ms: int) -> None:
        """Hand what came since the last time to the stream, in one batch a track."""
        for kind, packets in self._pending.items():
            if packets:
                self._pending[kind] = []
            if packets and not self.retired:
                self._stream.publish_rtp(kind, packets, now_ms)

    def feedback(self, items: list[rtcp.Feedback], now_ms: int) -> None:
        """Take the publisher's RTCP: its sender reports."""
        for item in items:
            if not isinstance(item, rtcp.SenderInfo):
                continue
            for kind, source in self._sources.items():
                if source.ssrc == item.sender:
                    source.sender_report(item.ntp, now_ms)
                    self._synchronise(kind, item, now_ms)

    def _synchronise(self, kind: Kind, report: rtcp.SenderInfo, now_ms: int) -> None:
        theirs = rtcp.ms_of(report.ntp)
        if self._skew is None or abs(now_ms - theirs - self._skew) > 5_000:
            self._skew = now_ms - theirs  # one for both tracks, so that they stay in step
        if (track := self._stream.tracks.get(kind)) is not None:
            track.sync(report.sender, report.timestamp, theirs + self._skew)

    def request_keyframe(self) -> None:
        """A viewer needs a key frame; merged, and sent at most twice a second by ``due``."""
        self._wanted = True

    def due(self, now_ms: int) -> bytes:
        """RTCP to send now, plain and compound; empty when nothing is due. Call it every 50 ms or so."""
        video = self._sources.get("video")
        asked = [(source.ssrc, source.ask(now_ms)) for source in self._sources.values()]
        parts = [rtcp.nack(self._ssrc, ssrc, lost) for ssrc, lost in asked if lost]
        if video is not None and video.gave_up:
            video.gave_up, self._wanted = False, True
        if video is not None and self._wanted and now_ms - self._asked_at >= KEYFRAME_EVERY_MS:
            self._wanted, self._asked_at = False, now_ms
            self._counters.keyframe_requests += 1
            parts.append(rtcp.pli(self._ssrc, video.ssrc))
        reports = now_ms - self._reported_at >= REPORT_EVERY_MS and bool(self._sources)
        if not parts and not reports:
            return b""
        return self._head(now_ms, reports) + b"".join(parts)

    def _head(self, now_ms: int, reports: bool) -> bytes:
        """The report every compound begins with, and once a second the rate that we allow."""
        if not reports:
            return rtcp.receiver_report(self._ssrc, ())
        self._reported_at = now_ms
        blocks = tuple(source.block(now_ms) for source in self._sources.values())
        video = self._sources.get("video")
        for block in blocks:
            if video is not None and block.ssrc == video.ssrc:
                self._rate = next_rate(self._rate, block.fraction_lost)
        head = rtcp.receiver_report(self._ssrc, blocks) + rtcp.cname(self._ssrc, "sharpeyes")
        return head if video is None else head + rtcp.remb(self._ssrc, self._rate, (video.ssrc,))
