"""Layers, pauses and late packets of a track's viewers, with the real fan-out and numbering."""

import itertools
import struct

import pytest

from hub.media.peer.sender import Phase
from hub.media.rtp import rtcp
from hub.media.rtp.packet import RtpPacket
from tests.unit.media.halves import BOTH
from tests.unit.media.test_no_plaintext_twice import House, Libsrtp


class Vp8:
    """Two layers of a publisher; each frame is one packet, its temporal layer by the pattern 0 2 1 2."""

    def __init__(self) -> None:
        self.house = House("vp8")
        self.count = [0, 0]

    def frame(self, layer: int, *, key: bool = False, held: bool = False) -> RtpPacket:
        i = self.count[layer]
        self.count[layer] += 1
        self.house.now += 16
        tid = 0 if key else (0, 2, 1, 2)[i % 4]
        size = (0x40, 0x01) if layer == 0 else (0x80, 0x02)
        head = bytes((0x90, 0xE0, 0x80 | layer, i & 0xFF, i & 0xFF, tid << 6, 0x10 if key else 0x11, 0, 0))
        payload = head + b"\x9d\x01\x2a" + bytes((*size, 0xF0, 0)) + bytes(200 + 600 * layer)
        packet = RtpPacket(True, 96, i, i * 3_000 + layer * 777_777, layer + 1, payload)
        if not held:
            self.give(layer, packet)
        return packet

    def give(self, layer: int, packet: RtpPacket) -> None:
        self.house.give(self.house.tracks[layer].append_rtp([packet], self.house.now))


@pytest.fixture(autouse=True, params=BOTH)
def _each_half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(House, "half", request.param)


def numbers(keys: Libsrtp) -> list[int]:
    return [struct.unpack_from("!H", plain, 2)[0] for plain in keys.order]


def pictures(keys: Libsrtp) -> list[int]:
    return [struct.unpack_from("!H", plain, 14)[0] & 0x7FFF for plain in keys.order]


def stamps(keys: Libsrtp) -> list[int]:
    return [struct.unpack_from("!I", plain, 4)[0] for plain in keys.order]


def test_a_viewer_changes_its_layer_at_a_key_frame_without_a_seam() -> None:
    publisher = Vp8()
    house = publisher.house
    publisher.frame(0, key=True)
    publisher.frame(1, key=True)
    keys = house.join(65_530)
    sender = house.senders[0][0]
    for _ in range(10):
        publisher.frame(0)
        publisher.frame(1)
    house.viewers.steer(sender, 640, None, house.now)
    assert (sender.aim, house.asked) == (1, 1)
    publisher.frame(1)
    assert sender.layer == 0
    publisher.frame(1, key=True)
    assert (sender.layer, sender.phase) == (1, Phase.LIVE)
    for _ in range(5):
        publisher.frame(0)
        publisher.frame(1)
    assert len(keys.order) == 17
    assert numbers(keys) == [(65_530 + i) & 0xFFFF for i in range(17)]
    assert pictures(keys) == list(range(17))
    seen = stamps(keys)
    assert all(0 < (b - a) & 0xFFFFFFFF < 90_000 for a, b in itertools.pairwise(seen))
    house.viewers.nack(sender, [65_530, (65_530 + 14) & 0xFFFF], house.now)
    assert keys.order[-2:] == [keys.order[0], keys.order[14]]


def test_temporal_layers_are_left_out_first_and_late_packets_cost_no_number() -> None:
    publisher = Vp8()
    house = publisher.house
    publisher.frame(0, key=True)
    keys = house.join(10)
    sender = house.senders[0][0]
    sender.temporal.wanted = 1
    house.viewers.resettle(sender)
    held = []
    for i in range(1, 41):
        late = publisher.frame(0, held=i in (9, 10, 12))
        if i in (9, 10, 12):
            held.append(late)
        if i == 14:
            for packet in held:
                publisher.give(0, packet)
    assert sorted(numbers(keys)) == sorted(set(numbers(keys)))
    assert max(numbers(keys)) - min(numbers(keys)) < 10 + 40
    kept = [plain[12 + 5] >> 6 for plain in keys.order]
    assert kept.count(2) <= 1  # one that came late already had its number
    house.viewers.nack(sender, numbers(keys), house.now)
    assert house.counters.retransmit_missed == 0


def test_a_tile_that_nobody_sees_costs_nothing_and_begins_with_a_key_frame() -> None:
    publisher = Vp8()
    house = publisher.house
    publisher.frame(0, key=True)
    keys = house.join(10)
    sender = house.senders[0][0]
    house.viewers.pause(sender)
    for _ in range(5):
        publisher.frame(0)
    assert len(keys.order) == 1
    house.viewers.resume(sender, house.now)
    publisher.frame(0)
    assert (len(keys.order), house.asked) == (1, 1)
    publisher.frame(0, key=True)
    publisher.frame(0)
    assert numbers(keys) == [10, 11, 12]


def test_a_paused_camera_comes_back_at_once_and_its_time_does_not_go_back() -> None:
    house = House()
    for i in range(10):
        house.now += 40
        house.unit(i == 0, [2_000], i * 3_600)
    keys = house.join(10)
    while house.turns:
        house.turn()
    sender = house.senders[0][0]
    before = len(keys.order)
    house.viewers.pause(sender)
    house.now += 40
    house.unit(False, [2_000], 36_000)
    assert len(keys.order) == before
    house.viewers.resume(sender, house.now)
    while house.turns:
        house.turn()
    assert len(keys.order) > before
    house.now += 40
    house.unit(False, [2_000], 39_600)
    seen = stamps(keys)
    assert all((b - a) & 0xFFFFFFFF < 0x80000000 for a, b in itertools.pairwise(seen))
    assert sender.phase is Phase.LIVE


def test_a_narrow_path_gets_the_smaller_picture_and_the_larger_one_again() -> None:
    publisher = Vp8()
    house = publisher.house
    publisher.frame(0, key=True)
    publisher.frame(1, key=True)
    house.join(10)
    sender = house.senders[0][0]
    for _ in range(200):
        publisher.frame(0)
        publisher.frame(1)
        house.viewers.layers(house.now)
    rates = [layer.rates[-1] for layer in house.viewers.layers(house.now)]
    house.viewers.steer(sender, None, 10_000_000, house.now)
    assert sender.aim == 1
    house.viewers.steer(sender, None, min(rates) // 8, house.now)
    assert (sender.aim, sender.temporal.wanted) == (0, 0)
    house.viewers.steer(sender, None, 10_000_000, house.now)
    assert (sender.aim, sender.temporal.wanted) == (1, 3)


def test_the_sender_report_tells_the_time_of_the_layer_that_is_sent() -> None:
    """RFC 3550 §6.4.1: what the report calls now is what a packet of now is stamped with, also after a change."""
    publisher = Vp8()
    house = publisher.house
    publisher.frame(0, key=True)
    publisher.frame(1, key=True)
    keys = house.join(10)
    sender = house.senders[0][0]
    for aim in (1, 0, 1):
        for _ in range(20):
            house.now += 17  # two layers at 16 ms and this: 33 ms and a little a frame
            publisher.frame(0)
            house.now -= 16
            publisher.frame(1)
        report = house.viewers.report(sender, "cname", house.now)
        assert report is not None
        (info, *_) = rtcp.parse_rtcp(report)
        assert isinstance(info, rtcp.SenderInfo)
        late = (info.timestamp - stamps(keys)[-1] + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        assert abs(late) < 90 * 60
        assert rtcp.ms_of(info.ntp) in (house.now, house.now - 1)
        sender.aim = aim
        publisher.frame(aim, key=True)
        assert sender.layer == aim


def test_a_late_packet_fills_the_hole_that_it_left_and_moves_no_number() -> None:
    publisher = Vp8()
    house = publisher.house
    publisher.frame(0, key=True)
    keys = house.join(10)
    sender = house.senders[0][0]
    sender.temporal.wanted = 1
    house.viewers.resettle(sender)
    for _ in range(8):
        publisher.frame(0)
    late = publisher.frame(0, held=True)  # of the layer that is left out, which nobody knows yet
    publisher.frame(0)
    publisher.give(0, late)
    for _ in range(10):
        publisher.frame(0)
    assert sorted(numbers(keys)) == list(range(10, 10 + len(keys.order)))


def test_who_joins_while_a_key_frame_leaves_gets_each_packet_once() -> None:
    house = House()
    house.unit(True, [1_000], 0)
    house.join(10)
    house.now += 40
    house.unit(True, [200_000], 3_600)
    late = house.join(10)
    while house.turns:
        house.turn()
    assert numbers(late) == list(range(10, 10 + len(late.order)))
    start = house.track.gop_start()
    assert start is not None
    assert len(late.order) == house.track.head - start + 1


def test_a_publisher_with_picture_ids_of_seven_bits_changes_layers_without_a_gap_in_them() -> None:
    house = House("vp8")
    count = [120, 40]  # the first is about to go round

    def frame(layer: int, *, key: bool = False) -> None:
        i = count[layer]
        count[layer] += 1
        house.now += 16
        head = bytes((0x90, 0x80, i & 0x7F, 0x10 if key else 0x11))
        packet = RtpPacket(True, 96, i, i * 3_000, layer + 1, head + bytes(300))
        house.give(house.tracks[layer].append_rtp([packet], house.now))

    frame(0, key=True)
    frame(1, key=True)
    keys = house.join(10)
    sender = house.senders[0][0]
    for i in range(20):
        frame(0)
        frame(1, key=i == 15)
        if i == 12:
            sender.aim = 1
    assert (sender.layer, sender.phase) == (1, Phase.LIVE)
    seen = [plain[14] for plain in keys.order]
    assert seen == [(120 + i) & 0x7F for i in range(len(seen))]  # one byte, no bit of the next touched
    assert {plain[15] for plain in keys.order} == {0x10, 0x11}
    assert numbers(keys) == list(range(10, 10 + len(seen)))


def test_an_h264_publisher_of_layers_is_switched_at_key_frames_with_its_own_times_and_no_gap() -> None:
    """Simulcast of H.264 (rid): each layer has its parameter sets, numbers and time line; a viewer sees one of each."""
    house = House()
    count, seqs = [0, 0], [65_530, 7]

    def frame(layer: int, *, key: bool = False, parts: int = 2) -> None:
        i = count[layer]
        count[layer] += 1
        house.now += 20
        payloads = [bytes((0x78, 0, 5, 0x67, 0x42, 0xE0, 0x1F, layer, 0, 2, 0x68, 0xCE))] if key else []  # STAP-A
        kind = 5 if key else 1
        for part in range(parts):  # FU-A
            ends = 0x80 if part == 0 else 0x40 if part == parts - 1 else 0
            payloads.append(bytes((0x7C, ends | kind, layer, i & 0xFF)) + bytes(400 + 400 * layer))
        packets = []
        for part, payload in enumerate(payloads):
            marker = part == len(payloads) - 1
            stamp = i * 3_000 + layer * 123_456
            packets.append(RtpPacket(marker, 96, seqs[layer] & 0xFFFF, stamp, layer + 1, payload))
            seqs[layer] += 1
        house.give(house.tracks[layer].append_rtp(packets, house.now))

    frame(0, key=True)
    frame(1, key=True)
    keys = house.join(65_500, kind="transport")
    sender = house.senders[0][0]
    switches = {20: 1, 45: 0, 70: 1}
    for i in range(90):
        if i in switches:
            sender.aim = switches[i]
        frame(0, key=i % 15 == 14, parts=2 + i % 3)
        frame(1, key=i % 15 == 7, parts=3)
    assert (sender.layer, sender.phase) == (1, Phase.LIVE)
    assert numbers(keys) == [(65_500 + i) & 0xFFFF for i in range(len(keys.order))]
    head = 12 + len(sender.layout.block)
    before, layer = None, 0
    for plain in keys.order:
        kind, key = plain[head] & 0x1F, plain[head] & 0x1F == 24
        said = plain[head + 7] if key else plain[head + 2]
        assert said == layer or (key and kind == 24)  # another layer begins with its parameter sets
        layer = said
        stamp = struct.unpack_from("!I", plain, 4)[0]
        assert before is None or (stamp - before & 0xFFFFFFFF) < 90_000
        before = stamp
    changes = [a != b for a, b in itertools.pairwise(p[head + 2] for p in keys.order if p[head] & 0x1F == 28)]
    assert sum(changes) == 3
    house.everything_again(sender)


def test_who_looks_again_at_a_layer_that_was_put_later_sees_no_time_go_back() -> None:
    publisher = Vp8()
    house = publisher.house
    for layer in (0, 1):
        publisher.frame(layer, key=True)
    keys = house.join(1)
    sender = house.senders[0][0]
    sender.aim = 1
    publisher.frame(0)
    publisher.frame(1, key=True)  # this layer's time lies behind the other's, so it was put later
    assert (sender.layer, sender.numbering.plain) == (1, False)
    house.viewers.pause(sender)
    house.viewers.resume(sender, house.now)
    publisher.frame(1, key=True)
    assert sender.phase is Phase.LIVE
    seen = stamps(keys)
    assert len(seen) == 4
    assert all(0 < (b - a) & 0xFFFFFFFF < 90_000 for a, b in itertools.pairwise(seen))
    assert pictures(keys) == list(range(pictures(keys)[0], pictures(keys)[0] + 4))
