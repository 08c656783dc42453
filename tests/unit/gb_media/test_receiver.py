"""Whom a receiver believes, and sound that comes beside the program stream (QUIRKS of media, 12 and 13)."""

import pytest

from hub.media.rtp.unit import AccessUnit
from hub.media.sources.gb28181.receiver import PROBATION, GbReceiver
from signaling.gb28181.ps_mux import RtpSender
from tests.unit.gb_media.kit import SOUND, expected, film, muxed


def receiver(units: list[AccessUnit], **given: object) -> GbReceiver:
    options: dict[str, object] = {"udp": True, "clock": lambda: 1_000, "emit": units.append} | given
    return GbReceiver(**options)  # type: ignore[arg-type]  # options of one signature


@pytest.mark.parametrize("numbers", ["own", "own, near", "shared", "own, other ssrc"])
def test_sound_beside_the_pictures_costs_no_picture(numbers: str) -> None:
    units: list[AccessUnit] = []
    taker = receiver(units)
    video = RtpSender(7, 96, seq=0)
    voice = RtpSender(8 if "other" in numbers else 7, 8, seq=0 if "near" in numbers else 40_000)
    for place, (shot, pack) in enumerate(zip(film(), muxed(sound=False), strict=True)):
        for packet in video.packets(pack, shot.pts, limit=500):
            taker.packet(packet)
        if numbers == "shared":
            voice.seq = video.seq
        taker.packet(voice.packet(SOUND, place * 320))
        if numbers == "shared":
            video.seq = voice.seq
    pictures = [unit.data for unit in units if unit.kind == "video"]
    assert pictures == [data for data, _, _ in expected(film())][: len(pictures)]
    assert len(pictures) == 30
    sounds = [unit for unit in units if unit.codec == "pcma"]
    assert len(sounds) >= 29
    assert all(unit.data == SOUND for unit in sounds)
    assert taker.figures.lost == 0


def test_a_stranger_has_to_go_on_for_long_to_take_the_place_of_the_announced_source() -> None:
    units: list[AccessUnit] = []
    taker = receiver(units, announced=frozenset({7}))
    ours, other = RtpSender(7), RtpSender(666)
    packs = muxed(sound=False)
    for shot, pack in zip(film(), packs, strict=True):
        for packet in ours.packets(pack, shot.pts):
            taker.packet(packet)
        taker.packet(other.packet(b"\0\0\1\xba" + bytes(100), 0))
    assert len([unit for unit in units if unit.kind == "video"]) == 30
    assert "other_ssrc" not in taker.facts.get("quirks", "")


def test_another_ssrc_is_believed_when_it_is_the_only_one() -> None:
    units: list[AccessUnit] = []
    taker = receiver(units, announced=frozenset({7}))
    other = RtpSender(666)
    count = 0
    for shot, pack in zip(film(), muxed(sound=False), strict=True):
        for packet in other.packets(pack, shot.pts):
            taker.packet(packet)
            count += 1
    assert taker.packets == count - PROBATION + 1
    assert "other_ssrc" in taker.facts["quirks"]
    assert units
