"""What one GB/T 28181 device sends to one port: packets in, access units out. No I/O.

Devices send another SSRC than was agreed, or none, so the first source that goes on is believed (QUIRKS 12); what is
known of it decides how long it has to go on.
"""

import struct
from collections.abc import Callable
from typing import Final

from hub.media.rtp.packet import RtpPacket, WireError, parse_rtp
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.h264 import Framer
from hub.media.sources.h265 import H265Framer
from hub.media.sources.receiver import MAX_SOUND, PIECE, Wallclock
from hub.media.sources.reorder import WINDOW, Reorder
from hub.media.sources.units import Figures
from signaling.gb28181.es import AudioCodec, MediaUnit
from signaling.gb28181.intake import BESIDE, Intake

PROBATION: Final = 8  # packets in a row before an SSRC that nobody announced is believed over UDP
PATIENCE_MS: Final = 150
OWN_NUMBERS: Final = 3  # packets of sound in a row whose numbers follow each other and not those of the pictures
DRIFT: Final = 480  # ticks of 8 kHz: sound that is further off than this begins a new line
_FIXED: Final = struct.Struct("!BBHII")


class GbReceiver:
    """State of one call. ``announced`` are the SSRCs of INVITE and answer; ``wants_key`` is set by each loss."""

    def __init__(
        self,
        *,
        udp: bool,
        clock: Callable[[], int],
        emit: Callable[[AccessUnit], None],
        announced: frozenset[int] = frozenset(),
    ) -> None:
        self.intake = Intake()
        self.packets = 0
        self.keyframes = 0
        self.wants_key = False
        self.noticed: set[str] = set()
        self._clock = clock
        self._emit = emit
        self._udp = udp
        self._announced = announced
        self._ssrc: int | None = None
        self._candidate: tuple[int, int] | None = None  # SSRC and how many so far
        self._reorder = Reorder(WINDOW if udp else 0, patience_ms=PATIENCE_MS if udp else 0)
        self._past_lost = self._past_late = 0
        self._malformed = 0
        self._h264, self._h265 = Framer(), H265Framer()
        self._dropped = 0
        self._wallclock = Wallclock()
        self._sound_next: int | None = None
        self._side_seq: int | None = None
        self._side_runs = 0

    @property
    def figures(self) -> Figures:
        """Totals of this call."""
        return Figures(
            self.packets,
            self._past_lost + self._reorder.lost,
            self._past_late + self._reorder.late,
            self._malformed + self.intake.unknown,
            self._dropped + self.intake.dropped,
        )

    @property
    def facts(self) -> dict[str, str]:
        """What came about, for the administrator."""
        facts: dict[str, str] = {"form": self.intake.form} if self.intake.form is not None else {}
        demuxer = self.intake.demuxer
        quirks = self.noticed | (demuxer.noticed if demuxer is not None else set())
        if quirks:
            facts["quirks"] = ",".join(sorted(quirks))
        if demuxer is not None and demuxer.silent:
            facts["left_out"] = f"sound in {demuxer.silent}"
        return facts

    @property
    def sound(self) -> AudioCodec | None:
        """The coding of its sound, as far as that is known now."""
        sound = None if self.intake.demuxer is None else self.intake.demuxer.sound
        return None if sound is None else sound.codec

    def expects(self, ssrc: int) -> bool:
        """Whether this SSRC was announced."""
        return ssrc in self._announced

    def announce(self, announced: frozenset[int]) -> None:
        """The SSRCs are known now."""
        self._announced = announced

    def packet(self, data: bytes) -> None:
        """One RTP packet as it came."""
        if len(data) < 12:
            self._malformed += 1
            return
        first, second, seq, timestamp, ssrc = _FIXED.unpack_from(data)
        payload_type = second & 0x7F
        if first == 0x80:
            payload = data[12:]
        else:
            try:
                payload = parse_rtp(data).payload
            except WireError:
                self._malformed += 1
                return
        if 72 <= payload_type <= 76:  # RTCP on the same port (RFC 5761 §4)
            return
        if payload_type in BESIDE and self._beside(seq, ssrc):
            self._units(self.intake.packet(payload, payload_type, timestamp, second > 0x7F))
            return
        if ssrc != self._ssrc and not self._believes(ssrc):
            self._malformed += 1
            return
        self.packets += 1
        if self._reorder.in_turn(seq):
            if units := self.intake.packet(payload, payload_type, timestamp, second > 0x7F):
                self._units(units)
            return
        packet = RtpPacket(second > 0x7F, payload_type, seq, timestamp, ssrc, payload)
        for each in self._reorder.push(packet, self._clock()):
            self._ordered(each.packet, each.lost)

    def bare(self, data: bytes) -> None:
        """A piece of a program stream that comes over TCP without RTP."""
        self.packets += 1
        self.noticed.add("no_rtp")
        self._units(self.intake.stream(data))

    def beat(self) -> None:
        """Now and then: let go what waited long enough."""
        for each in self._reorder.flush(self._clock()):
            self._ordered(each.packet, each.lost)

    # inside -----------------------------------------------------------------------------------------

    def _beside(self, seq: int, ssrc: int) -> bool:
        """Whether sound beside the program stream has numbers of its own; some devices use one SSRC for both."""
        last, self._side_seq = self._side_seq, seq
        if self._side_runs >= OWN_NUMBERS or ssrc != self._ssrc:
            return True
        own = not self._reorder.awaits(seq) and (last is None or seq == (last + 1) & 0xFFFF)
        self._side_runs = self._side_runs + 1 if own and last is not None else 0
        return own

    def _believes(self, ssrc: int) -> bool:
        """Whether this is our source from now on."""
        known = ssrc in self._announced
        if self._ssrc is not None and self._ssrc in self._announced and not known and self._udp:
            need = 4 * PROBATION
        else:
            need = 1 if known or not self._udp or not self._announced else PROBATION
        count = self._candidate[1] + 1 if self._candidate is not None and self._candidate[0] == ssrc else 1
        self._candidate = (ssrc, count)
        if count < need:
            return False
        if self._ssrc is not None:
            self.begin_anew()
        if not known and self._announced:
            self.noticed.add("other_ssrc")
        self._ssrc, self._candidate = ssrc, None
        return True

    def begin_anew(self) -> None:
        """What follows comes from somebody else: its numbers and pictures have nothing to do with what was."""
        self._past_lost += self._reorder.lost
        self._past_late += self._reorder.late
        self._reorder = Reorder(WINDOW if self._udp else 0, patience_ms=PATIENCE_MS if self._udp else 0)
        self._ssrc = self._candidate = None
        self.intake.lost()

    def _ordered(self, packet: RtpPacket, lost: int) -> None:
        if lost:
            self.intake.lost()
            self.wants_key = True
        self._units(self.intake.packet(packet.payload, packet.payload_type, packet.timestamp, packet.marker))

    def _units(self, units: list[MediaUnit]) -> None:
        if not units:
            return
        now = self._clock()
        for unit in units:
            captured = None if unit.apart else self._wallclock.observe(unit.pts / 90, now)
            if unit.nals:
                self._picture(unit, now, captured)
            elif unit.codec == "aac":
                self._emit(AccessUnit("audio", "aac", unit.data, unit.pts, True, now, captured))
            else:
                self._voice(unit, now, captured)

    def _picture(self, unit: MediaUnit, now: int, captured: float | None) -> None:
        framer = self._h265 if unit.codec == "h265" else self._h264
        codec: Final = "h265" if unit.codec == "h265" else "h264"
        picture = framer.assembled(unit.nals)
        if picture is None:
            self._dropped += 1
            return
        if picture.keyframe:
            self.keyframes += 1
            self.wants_key = False
        self._emit(AccessUnit("video", codec, picture.data, unit.pts, picture.keyframe, now, captured, picture.passes))

    def _voice(self, unit: MediaUnit, now: int, captured: float | None) -> None:
        """G.711: one byte is one tick; a little jitter in a device's times is not passed on."""
        codec: Final = "pcmu" if unit.codec == "pcmu" else "pcma"
        at = unit.pts * 4 // 45
        if self._sound_next is not None and abs(at - self._sound_next) <= DRIFT:
            at = self._sound_next
        self._sound_next = at + len(unit.data)
        size = len(unit.data) if len(unit.data) <= MAX_SOUND else PIECE
        for begin in range(0, len(unit.data), max(size, 1)):
            piece = unit.data[begin : begin + size]
            self._emit(AccessUnit("audio", codec, piece, at + begin, True, now, captured))
