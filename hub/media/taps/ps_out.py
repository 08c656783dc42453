"""A stream as PS over RTP, for a platform above us (级联): H.264 or H.265 as it is, and G.711 beside it."""

from typing import Final

from hub.media.reader import Reader
from hub.media.rtp.unit import AccessUnit
from hub.media.taps.rtp_out import RtpOut
from signaling.gb28181.ps_mux import PsMuxer, RtpSender, SoundCodec

QUEUE: Final = 256
RESYNC: Final = 90_000 // 5  # sound further than this from its picture is put beside it anew


class PsOut:
    """State of one platform's picture. ``skipped`` counts units that a program stream has no place for."""

    def __init__(self, out: RtpOut, ssrc: int, payload_type: int) -> None:
        self.skipped = 0
        self._out = out
        self._sender = RtpSender(ssrc, payload_type)
        self._muxer: PsMuxer | None = None
        self._form: tuple[str, str | None] = ("", None)
        self._sound: SoundCodec | None = None
        self._picture: tuple[int, float] | None = None  # pts and capture time of the last picture
        self._shift: int | None = None  # from the sound's time line to the picture's
        self._wants_key = True

    async def run(self, reader: Reader) -> None:
        """Until the stream ends."""
        async for unit in reader:
            self.unit(unit)

    def unit(self, unit: AccessUnit) -> None:
        """Send one unit, or leave it out."""
        taken = unit.at_ms if unit.captured_ms is None else unit.captured_ms
        if unit.codec in ("pcma", "pcmu"):
            self._voice(unit, "pcma" if unit.codec == "pcma" else "pcmu", taken)
        elif unit.codec in ("h264", "h265"):
            self._show(unit, "h265" if unit.codec == "h265" else "h264", taken)
        else:
            self.skipped += 1

    def _show(self, unit: AccessUnit, codec: str, taken: float) -> None:
        if unit.keyframe and self._form != (codec, self._sound):
            self._form = (codec, self._sound)
            self._muxer = PsMuxer("h265" if codec == "h265" else "h264", sound=self._sound)
        if self._muxer is None or (self._wants_key and not unit.keyframe):
            self.skipped += 1
            return
        self._picture = (unit.pts, taken)
        data = self._muxer.picture(unit.data, unit.pts, key=unit.keyframe)
        self._wants_key = not self._out.send(self._sender.packets(data, unit.pts))

    def _voice(self, unit: AccessUnit, codec: SoundCodec, taken: float) -> None:
        self._sound = codec
        if self._muxer is None or self._picture is None or self._form[1] != codec:
            self.skipped += 1  # it is announced with the next key frame
            return
        pts, at = self._picture
        line = unit.pts * 45 // 4
        beside = pts + round((taken - at) * 90)
        if self._shift is None or abs(line + self._shift - beside) > RESYNC:
            self._shift = beside - line
        stamp = line + self._shift
        self._out.send(self._sender.packets(self._muxer.sound(unit.data, stamp), stamp))
