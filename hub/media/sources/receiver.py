"""One RTP track of a camera on its way in: RTP and RTCP packets in, access units and receiver reports out. No I/O."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hub.media.rtp import rtcp
from hub.media.rtp.packet import RtpPacket, WireError, parse_rtp
from hub.media.rtp.reception import Reception
from hub.media.rtp.unit import CLOCK_RATE, KIND_OF, AccessUnit, UnitCodec
from hub.media.sources.aac import AacDepacketizer, AacFormat
from hub.media.sources.depacketize import Depacketizer, H264Depacketizer, H265Depacketizer
from hub.media.sources.h264 import Framer
from hub.media.sources.h265 import H265Framer
from hub.media.sources.reorder import WINDOW, Reorder
from hub.media.sources.units import Figures

REPORT_MS: Final = 5_000  # RFC 3550 §6.2
FIRST_REPORT_MS: Final = 500
PROBATION: Final = 3  # packets in a row of another SSRC before it is believed
MAX_SOUND: Final = 960  # bytes of one audio unit; G.711 in longer pieces is cut
PIECE: Final = 320
SYNC_MS: Final = 10_000  # a mapping that is further off our clock than this is none

Emit = Callable[[AccessUnit], None]


@dataclass(slots=True)
class Wallclock:
    """When pictures were taken, by the camera's own clock (RFC 3550 §6.4.1), and how that clock stands to ours.

    One for all tracks of a camera: that sound and picture share it is what keeps them in step.
    """

    offset_ms: float | None = None  # ours minus the camera's, by the packet that was least delayed

    def observe(self, camera_ms: float, now_ms: int) -> float:
        """The time by our clock at which something was taken that came just now; never later than now."""
        seen = now_ms - camera_ms
        if self.offset_ms is None or abs(seen - self.offset_ms) > SYNC_MS:
            self.offset_ms = seen
        # Less delayed ones count in full, more delayed ones a little: clocks drift apart in both directions.
        self.offset_ms += (seen - self.offset_ms) if seen < self.offset_ms else (seen - self.offset_ms) / 1_024
        return min(camera_ms + self.offset_ms, float(now_ms))


class TrackReceiver:
    """State of one track. ``said_bye`` is set when the camera ends it."""

    def __init__(
        self,
        codec: UnitCodec,
        payload_type: int,
        *,
        udp: bool,
        clock: Callable[[], int],
        emit: Emit,
        wallclock: Wallclock,
        parameter_sets: bytes = b"",
        ssrc: int | None = None,
        aac: AacFormat | None = None,
        rate: int | None = None,
    ) -> None:
        """``aac`` and ``rate`` (of the RTP timestamps) are those of an AAC track."""
        self.codec: UnitCodec = codec
        self.said_bye = False
        self._payload_type = payload_type
        self._rate = rate or CLOCK_RATE[codec]
        self._udp = udp
        self._clock = clock
        self._emit = emit
        self._wallclock = wallclock
        self._framer = H265Framer(parameter_sets) if codec == "h265" else Framer(parameter_sets)
        self._aac_format = aac
        self._aac = AacDepacketizer(aac, rate) if aac is not None else None
        self._depacketizer = self._pictures()
        self._reorder = self._order()
        self._before = Figures()
        self._packets = 0
        self._malformed = 0
        self._ssrc = ssrc
        self._announced = ssrc is not None
        self._reception: Reception | None = None
        self._candidate: tuple[int, int, int] | None = None  # SSRC, next sequence number, how many so far
        self._last: int | None = None  # extended timestamp
        self._report: tuple[float, int] | None = None  # camera's clock in ms, RTP timestamp
        self._own = secrets.randbits(32)
        self._report_at: int | None = None

    @property
    def figures(self) -> Figures:
        """Totals of this track."""
        return self._before + Figures(
            self._packets,
            self._reorder.lost,
            self._reorder.late,
            self._malformed + self._depacketizer.malformed + (self._aac.malformed if self._aac is not None else 0),
            self._depacketizer.dropped,
        )

    def packet(self, data: bytes) -> None:
        """One RTP packet as it came."""
        try:
            packet = parse_rtp(data)
        except WireError:
            self._malformed += 1
            return
        if packet.payload_type != self._payload_type:
            self._malformed += 1
            return
        if packet.ssrc != self._ssrc and not self._changes_to(packet):
            return
        now = self._clock()
        self._packets += 1
        if self._reception is None:
            self._reception = Reception(packet.ssrc, self._rate)
            self._report_at = now + FIRST_REPORT_MS
        self._reception.packet(packet.seq, packet.timestamp, now)
        for each in self._reorder.push(packet, now):
            self._ordered(each.packet, each.lost, now)

    def rtcp(self, data: bytes) -> None:
        """One compound RTCP packet."""
        try:
            found = rtcp.parse_rtcp(data)
        except WireError:
            self._malformed += 1
            return
        for each in found:
            if isinstance(each, rtcp.SenderInfo) and each.sender == self._ssrc:
                if self._reception is not None:
                    self._reception.sender_report(each.ntp, self._clock())
                if each.ntp >> 32:  # zero: a camera that does not know the time
                    self._report = (each.ntp * 1000 / 2**32 - rtcp.NTP_EPOCH_MS, each.timestamp)
            elif isinstance(each, rtcp.Bye) and self._ssrc in each.sources:
                self.said_bye = True

    def beat(self) -> bytes | None:
        """Now and then: let go what waited long enough; the report that is due, if one is."""
        now = self._clock()
        for each in self._reorder.flush(now):
            self._ordered(each.packet, each.lost, now)
        if self._reception is None or self._report_at is None or now < self._report_at:
            return None
        self._report_at = now + REPORT_MS // 2 + secrets.randbelow(REPORT_MS)  # RFC 3550 §6.3.1: not in step
        return rtcp.receiver_report(self._own, (self._reception.block(now),)) + rtcp.cname(self._own, "sharpeyes")

    def captured_ms(self, timestamp: int) -> float | None:
        """When, by the camera's own clock, in ms since 1970; None before its first sender report."""
        if self._report is None:
            return None
        ms, at = self._report
        return ms + ((timestamp - at + 0x80000000 & 0xFFFFFFFF) - 0x80000000) * 1_000 / self._rate

    # inside -----------------------------------------------------------------------------------------

    def _order(self) -> Reorder:
        return Reorder(WINDOW if self._udp else 0, patience_ms=150 if self._udp else 0)

    def _pictures(self) -> Depacketizer:
        return H265Depacketizer() if self.codec == "h265" else H264Depacketizer()

    def _changes_to(self, packet: RtpPacket) -> bool:
        """Whether the source is another one now; over UDP anybody can claim that, so it has to go on for a while."""
        if self._ssrc is None:
            self._ssrc = packet.ssrc
            return True
        count = 0
        if self._candidate is not None and self._candidate[:2] == (packet.ssrc, packet.seq):
            count = self._candidate[2]
        self._candidate = (packet.ssrc, (packet.seq + 1) & 0xFFFF, count + 1)
        if count + 1 < (PROBATION if self._udp else 1) and not (self._announced and self._packets == 0):
            return False
        self._before = self.figures
        self._packets = self._malformed = 0
        self._ssrc, self._candidate, self._reception, self._report = packet.ssrc, None, None, None
        self._reorder, self._last = self._order(), None
        self._depacketizer = self._pictures()
        if self._aac_format is not None:
            self._aac = AacDepacketizer(self._aac_format, self._rate)
        return True

    def _ordered(self, packet: RtpPacket, lost: int, now: int) -> None:
        if KIND_OF[self.codec] == "video":
            for unit in self._depacketizer.push(packet, lost):
                picture = self._framer.assembled(unit.nals)
                if picture is not None:
                    self._send(picture.data, unit.timestamp, picture.keyframe, now, picture.passes)
            return
        if self._aac is not None:
            for timestamp, frame in self._aac.push(packet, lost):
                self._send(frame, timestamp, True, now)
            return
        data = packet.payload
        if self.codec == "opus":
            if data:
                self._send(data, packet.timestamp, True, now)
            return
        size = len(data) if len(data) <= MAX_SOUND else PIECE  # G.711: one byte is one tick
        for at in range(0, len(data), max(size, 1)):
            self._send(data[at : at + size], packet.timestamp + at, True, now)

    def _send(self, data: bytes, timestamp: int, keyframe: bool, now: int, passes: bool = True) -> None:
        if self._last is None:
            self._last = timestamp & 0xFFFFFFFF
        pts = self._last + ((timestamp - self._last + 0x80000000 & 0xFFFFFFFF) - 0x80000000)
        self._last = pts
        camera_ms = self.captured_ms(timestamp)
        captured = None if camera_ms is None else self._wallclock.observe(camera_ms, now)
        if self._aac is not None:
            pts = pts * CLOCK_RATE["aac"] // self._rate
        self._emit(AccessUnit(KIND_OF[self.codec], self.codec, data, pts, keyframe, now, captured, passes))
