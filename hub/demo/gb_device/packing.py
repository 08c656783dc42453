"""Pictures and sound as RTP packets, in the way this device does it. Pure."""

import random
from collections.abc import Iterable
from typing import Final

from hub.demo.film import payloads, split_nals
from hub.demo.gb_device.film import AacLoop, aac_at
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.demo.gb_device.player import Cue
from hub.media.rtp.unit import AccessUnit
from hub.media.taps.mpegts import Muxer as TsMuxer
from signaling.gb28181.ps_mux import Oddities, PsMuxer, RtpSender, SoundCodec

TS_PAYLOAD: Final = 7 * 188
LOST: Final = 0.01
SWAPPED: Final = 0.02


def payload_type_of(options: DeviceOptions) -> int:
    """What this device puts in the RTP header for PS."""
    return 98 if options.has(Quirk.PAYLOAD_98) else 33 if options.has(Quirk.PAYLOAD_33) else 96


class Packer:
    """One stream's packets. ``ssrc`` is what the device really sends; ``aac`` its sound where that is AAC."""

    def __init__(self, options: DeviceOptions, ssrc: int, *, aac: AacLoop | None = None, seed: int = 0) -> None:
        has = options.has
        odd = Oddities(
            map_after=10 if has(Quirk.LATE_MAP) else 0, no_map=has(Quirk.NO_MAP), bad_map=has(Quirk.BAD_MAP),
            open_pes=has(Quirk.OPEN_PES), private=has(Quirk.PRIVATE_PACKETS), lone_packs=has(Quirk.LONE_PACKS),
            system_everywhere=has(Quirk.SYSTEM_HEADERS),
        )  # fmt: skip
        self._options = options
        beside = has(Quirk.SIDE_SOUND) or has(Quirk.BARE_H264) or has(Quirk.TRANSPORT_STREAM)
        self._sound_inside = options.sound != "none" and not beside
        self._aac = aac
        sound: SoundCodec | None = ("aac" if aac is not None else "pcma") if self._sound_inside else None
        self._muxer = PsMuxer("svac" if has(Quirk.SVAC) else "h264", sound=sound, oddities=odd)
        self._transport = TsMuxer() if has(Quirk.TRANSPORT_STREAM) else None
        self.ssrc = 0 if has(Quirk.ZERO_SSRC) else ssrc ^ 1 if has(Quirk.OTHER_SSRC) else ssrc
        self._rtp = RtpSender(self.ssrc, payload_type_of(options))
        self._side = RtpSender(self.ssrc, 8) if has(Quirk.SIDE_SOUND) else None
        self._dice = random.Random(seed)  # noqa: S311 - which packets are lost is no secret

    def packets(self, cue: Cue, sound: bytes) -> list[bytes]:
        """RTP packets of one picture and the sound that belongs to it: this piece of G.711A, or AAC."""
        options, pts = self._options, cue.pts
        if options.has(Quirk.NO_KEY_FRAME) and cue.shot.key:
            return []
        if options.has(Quirk.GARBAGE):
            return self._rtp.packets(self._dice.randbytes(900).replace(b"\0\0\1", b"\1\1\1"), pts)
        if options.has(Quirk.BARE_H264):
            parts = [part for nal in split_nals(cue.shot.data) for part in payloads(nal, "h264")]
            made = [self._rtp.packet(part, pts, marker=part is parts[-1]) for part in parts]
        elif self._transport is not None:
            unit = AccessUnit("video", "h264", cue.shot.data, pts, cue.shot.key, 0)
            made = self._rtp.packets(self._transport.write(unit), pts, limit=TS_PAYLOAD)
        else:
            made = self._rtp.packets(self._muxer.picture(cue.shot.data, pts, key=cue.shot.key), pts)
            at, inside = (pts, sound) if self._aac is None else aac_at(cue.index, self._aac)
            if self._sound_inside and inside:
                made += self._rtp.packets(self._muxer.sound(inside, at), pts, marker=False)
        if self._side is not None and sound:
            made.append(self._side.packet(sound, cue.index * len(sound)))
        return list(self._spoiled(made))

    def _spoiled(self, packets: list[bytes]) -> Iterable[bytes]:
        """What the way does to them."""
        if self._options.has(Quirk.LOSS):
            packets = [each for each in packets if self._dice.random() >= LOST]
        if self._options.has(Quirk.REORDER):
            for at in range(1, len(packets)):
                if self._dice.random() < SWAPPED:
                    packets[at - 1], packets[at] = packets[at], packets[at - 1]
        return packets
