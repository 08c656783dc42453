"""Every way in which the simulated device sends odd media, against the receiver of the relay."""

import pytest

from hub.demo.gb_device.film import sound_at, tone
from hub.demo.gb_device.options import DeviceOptions, Quirk
from hub.demo.gb_device.packing import Packer
from hub.demo.gb_device.player import Player
from hub.demo.gb_device.views import small_film
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.gb28181.receiver import GbReceiver

CUES = 150
WHOLE = [
    Quirk.OTHER_SSRC, Quirk.ZERO_SSRC, Quirk.PAYLOAD_98, Quirk.PAYLOAD_33, Quirk.BARE_H264, Quirk.SIDE_SOUND,
    Quirk.TRANSPORT_STREAM, Quirk.BAD_MAP, Quirk.LATE_MAP, Quirk.NO_MAP, Quirk.PRIVATE_PACKETS, Quirk.LONE_PACKS,
    Quirk.OPEN_PES, Quirk.SYSTEM_HEADERS, Quirk.REORDER,
]  # fmt: skip


def received(*quirks: Quirk) -> tuple[GbReceiver, list[AccessUnit]]:
    units: list[AccessUnit] = []
    clock = [0]
    receiver = GbReceiver(udp=True, clock=lambda: clock[0], emit=units.append, announced=frozenset({7}))
    packer, sound = Packer(DeviceOptions(quirks=frozenset(quirks)), 7, seed=2), tone()
    player = Player(small_film(2, (160, 96)), 0.0)
    for place in range(CUES):
        cue = player.take()
        clock[0] = place * 40
        for packet in packer.packets(cue, sound_at(cue.index, sound)):
            receiver.packet(packet)
        receiver.beat()
    return receiver, units


@pytest.mark.parametrize("quirk", WHOLE)
def test_nearly_every_picture_arrives(quirk: Quirk) -> None:
    receiver, units = received(quirk)
    pictures = [unit for unit in units if unit.kind == "video"]
    assert len(pictures) >= CUES - 30, receiver.figures  # a map that never comes is waited for; an SSRC proves itself
    assert pictures[0].keyframe


def test_loss_is_survived_from_key_frame_to_key_frame() -> None:
    receiver, units = received(Quirk.LOSS)
    assert receiver.figures.lost
    assert receiver.wants_key or any(unit.keyframe for unit in units[10:])
    assert units


@pytest.mark.parametrize(
    ("quirk", "undecodable"), [(Quirk.SVAC, "SVAC"), (Quirk.GARBAGE, None), (Quirk.NO_KEY_FRAME, None)]
)
def test_what_cannot_be_shown_is_not(quirk: Quirk, undecodable: str | None) -> None:
    receiver, units = received(quirk)
    assert not [unit for unit in units if unit.kind == "video"]
    assert receiver.intake.undecodable == undecodable
    assert (receiver.intake.form is None) == (quirk is Quirk.GARBAGE)
