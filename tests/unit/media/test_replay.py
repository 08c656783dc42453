"""Replays and catching up while the pacer holds packets, and what a standing camera's viewers are sent.

Each of these fails when the guard it is named after is taken out of ``Viewers``.
"""

import struct

import pytest

from hub.media.peer.sender import Phase
from hub.media.peer.viewers import STANDING_MS
from hub.media.rtp.packet import RtpPacket
from tests.unit.media.halves import BOTH
from tests.unit.media.test_no_plaintext_twice import House, Libsrtp


@pytest.fixture(autouse=True, params=BOTH)
def _each_half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(House, "half", request.param)


def numbers(keys: Libsrtp) -> list[int]:
    return [struct.unpack_from("!H", plain, 2)[0] for plain in keys.order]


def stamps(keys: Libsrtp) -> list[int]:
    return [struct.unpack_from("!I", plain, 4)[0] for plain in keys.order]


def playing(frames: int = 3, kind: str = "plain") -> tuple[House, Libsrtp]:
    """A camera with one live viewer, whose numbers begin at 10, and nothing on its way."""
    house = House()
    keys = Libsrtp()
    for i in range(frames):
        house.now += 40
        house.unit(i == 0, [1_000], i * 3_600)
        if i == 0:
            keys = house.join(10, kind=kind)
    house.drain()
    house.now += 40
    return house, keys


def test_a_picture_lost_while_a_key_frame_leaves_is_not_replayed_into_the_middle_of_that_frame() -> None:
    house, keys = playing()
    sender = house.senders[0][0]
    before = len(keys.order)
    house.unit(True, [200_000], 3 * 3_600)
    assert before < len(keys.order) < before + house.track.head  # a portion has left, the rest waits
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    assert house.counters.replays == 0
    assert len(set(stamps(keys)[before:])) == 1
    house.everything_again(sender)  # the recorder objects to a second plaintext
    assert house.counters.retransmitted > 160


def test_a_picture_lost_while_a_frame_leaves_is_replayed_as_soon_as_that_is_out() -> None:
    house, keys = playing()
    sender = house.senders[0][0]
    house.unit(True, [200_000], 3 * 3_600)
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    sent = len(keys.order)
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    assert house.counters.replays == 1
    assert len(keys.order) > sent + 160
    house.now += 40
    house.unit(False, [1_000], 4 * 3_600)
    assert numbers(keys) == list(range(10, 10 + len(keys.order)))
    house.everything_again(sender)


def test_a_frame_after_the_key_frame_in_the_pacer_is_not_replayed_by_halves_either() -> None:
    house, _ = playing()
    sender = house.senders[0][0]
    house.unit(False, [200_000], 3 * 3_600)
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    house.everything_again(sender)
    assert house.counters.replays == 0


def test_who_looks_again_while_a_frame_leaves_gets_no_number_with_two_plaintexts() -> None:
    house, _ = playing()
    sender = house.senders[0][0]
    house.viewers.pause(sender)
    house.unit(True, [200_000], 3 * 3_600)
    house.viewers.resume(sender, house.now)
    house.drain()
    house.now += 40
    house.unit(True, [1_000], 4 * 3_600)
    assert sender.phase is Phase.LIVE
    house.everything_again(sender)


@pytest.mark.parametrize("kind", ["plain", "mid", "time", "transport"])
def test_who_catches_up_faster_than_the_pacer_never_overtakes_it(kind: str) -> None:
    """``transport`` makes a second send of one number another plaintext; the others would waste it."""
    house, _ = playing()
    house.unit(False, [200_000], 3 * 3_600)
    (pacer,) = house.turns
    house.turns.clear()
    keys = house.join(10, kind=kind)
    for _ in range(20):  # the turns of the catching one, while the pacer's timer is late
        house.turn()
    sender = house.senders[1][0]
    assert sender.phase is Phase.LIVE
    newest = sender.numbering.highest
    house.turns.append(pacer)
    house.drain()
    assert sender.numbering.highest > newest  # it was the pacer that went on
    assert numbers(keys) == list(range(10, 10 + len(keys.order)))
    assert len(keys.order) == house.track.head + 1
    house.everything_again(sender)


def test_who_replays_behind_a_burst_of_another_layer_waits_for_its_own_packets() -> None:
    house, _ = playing()
    house.unit(True, [100_000], 3 * 3_600, layer=1)
    house.unit(False, [100_000], 3 * 3_600)  # waits behind the other layer, and is in the history already
    keys = house.join(10, kind="transport")
    house.viewers.picture_lost(house.senders[0][0], house.now)
    house.drain()
    assert house.counters.replays == 0
    assert numbers(keys) == list(range(10, 10 + house.track.head + 1))
    for sender, _ in house.senders:
        house.everything_again(sender)


@pytest.mark.parametrize("batch", [(10, 12, 11, 13), (10, 3, 12), (10, 11, 3, 13, 12), (10, 12, 11)])
def test_packets_out_of_order_within_one_batch_leave_each_under_its_own_number(batch: tuple[int, ...]) -> None:
    """Whose both ends are as far apart as they are many, or whose newest is not the last."""
    house = House("vp8")

    def give(*seqs: int) -> None:
        payloads = [bytes([0x10, 0x00 if seq == 0 else 0x01]) + seq.to_bytes(2, "big") * 50 for seq in seqs]
        packets = [
            RtpPacket(False, 96, seq, 3_000 * seq, 1, payload) for seq, payload in zip(seqs, payloads, strict=True)
        ]
        house.give(house.track.append_rtp(packets, house.now))

    give(0)
    keys = house.join(0x100)
    give(*(n for n in range(1, 10) if n != 3))
    give(*batch)
    for plain in keys.order:
        (number,) = struct.unpack_from("!H", plain, 2)
        assert plain[14:] == (number - 0x100).to_bytes(2, "big") * 50
    assert house.viewers._floors[0].released == house.track.head
    house.everything_again(house.senders[0][0])
    give(14, 15)
    house.everything_again(house.senders[0][0])


def test_a_late_packet_ahead_of_who_catches_up_is_not_sent_to_it_twice() -> None:
    house = House("vp8")

    def give(*seqs: int) -> None:
        payloads = [bytes([0x10, 0x00 if seq == 0 else 0x01]) + seq.to_bytes(2, "big") * 50 for seq in seqs]
        packets = [
            RtpPacket(False, 96, seq, 3_000 * (seq // 10), 1, payload)
            for seq, payload in zip(seqs, payloads, strict=True)
        ]
        house.give(house.track.append_rtp(packets, house.now))

    for first in range(0, 100, 20):
        give(*(seq for seq in range(first, first + 20) if seq not in (5, 70)))
    keys = house.join(10, kind="transport")
    sender = house.senders[0][0]
    assert sender.phase is Phase.CATCHING
    give(70)  # where it comes to by itself
    give(5)  # where it has been
    house.drain()
    assert sorted(numbers(keys)) == list(range(10, 110))


@pytest.mark.parametrize("silent_ms", [STANDING_MS + 1, 4_000, 600_000])
def test_a_standing_camera_is_not_replayed_and_does_not_look_live(silent_ms: int) -> None:
    house, keys = playing()
    sender = house.senders[0][0]
    sent = len(keys.order)
    assert house.track.last_at is not None
    house.now = house.track.last_at + silent_ms
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    assert (house.counters.replays, house.counters.pli, len(keys.order)) == (0, 1, sent)
    house.unit(False, [1_000], 4 * 3_600)  # it lives again, and the refused one did not use up the second
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    assert house.counters.replays == 1
    assert len(keys.order) > sent + 1


def test_a_camera_that_brought_a_picture_within_the_second_is_replayed() -> None:
    house, keys = playing()
    sent = len(keys.order)
    assert house.track.last_at is not None
    house.now = house.track.last_at + STANDING_MS
    house.viewers.picture_lost(house.senders[0][0], house.now)
    house.drain()
    assert house.counters.replays == 1
    assert len(keys.order) > sent


def by_leg(house: House, seq: int, payload: bytes, *, frame: int, marker: bool, layer: int = 0) -> None:
    """A packet as it comes from another relay."""
    house.tracks[layer].asks = False
    packet = RtpPacket(marker, 96, seq, frame * 3_600, 1 + layer, payload)
    house.give(house.tracks[layer].append_rtp([packet], house.now))


def key_frame(house: House, seq: int, frame: int, *, layer: int = 0) -> None:
    by_leg(house, seq, b"\x67" + bytes(20), frame=frame, marker=False, layer=layer)
    by_leg(house, seq + 1, b"\x65" + bytes(300), frame=frame, marker=True, layer=layer)


def test_a_picture_of_a_leg_that_has_come_by_halves_is_not_replayed() -> None:
    """Its rest would leave under its own time, and upon a NACK under that of the replay."""
    house = House()
    key_frame(house, 10, 0)
    keys = house.join(10)
    sender = house.senders[0][0]
    for i in range(1, 10):
        house.now += 40
        by_leg(house, 11 + i, b"\x61" + bytes(200), frame=i, marker=True)
    house.now += 40
    by_leg(house, 21, b"\x61" + bytes(200), frame=10, marker=False)
    house.viewers.picture_lost(sender, house.now)
    assert house.counters.replays == 0
    by_leg(house, 22, b"\x61" + bytes(100), frame=10, marker=True)
    house.everything_again(sender)  # the recorder objects to a second plaintext
    house.viewers.picture_lost(sender, house.now)
    house.drain()
    assert house.counters.replays == 1
    house.everything_again(sender)
    assert numbers(keys)[:13] == list(range(10, 23))


def test_a_viewer_of_a_layer_that_rests_goes_to_the_cached_pictures_of_the_other_at_once() -> None:
    house = House()
    house.tracks[0].size, house.tracks[1].size = (1_280, 720), (320, 240)
    key_frame(house, 10, 0)
    key_frame(house, 500, 0, layer=1)
    keys = house.join(10)
    sender = house.senders[0][0]
    for i in range(1, 10):
        house.now += 40
        by_leg(house, 11 + i, b"\x61" + bytes(200), frame=i, marker=True)
        by_leg(house, 501 + i, b"\x61" + bytes(50), frame=i, marker=True, layer=1)
    house.viewers.steer(sender, None, None, house.now)
    assert (sender.layer, sender.aim) == (0, 0)
    house.tracks[0].resting = True
    sent = len(keys.order)
    house.viewers.steer(sender, None, None, house.now)
    house.drain()
    assert (sender.layer, sender.phase) == (1, Phase.LIVE)
    assert len(keys.order) == sent + 11  # the key frame and what came since
    house.now += 40
    by_leg(house, 511, b"\x61" + bytes(50), frame=10, marker=True, layer=1)
    times = stamps(keys)
    assert times == sorted(times)
    assert numbers(keys) == list(range(10, 10 + len(keys.order)))
    house.everything_again(sender)
    by_leg(house, 20, b"\x61" + bytes(200), frame=9, marker=True)  # late: it says nothing of now
    assert house.tracks[0].resting
    by_leg(house, 21, b"\x61" + bytes(200), frame=11, marker=True)
    assert not house.tracks[0].resting
