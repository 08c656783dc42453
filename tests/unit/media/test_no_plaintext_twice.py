"""The rule that everything else rests on: no two plaintexts under one (SSRC, rollover counter, sequence number).

With AES-GCM a second plaintext under one number gives the authentication key away (RFC 7714 §8.1). The real track,
viewers, numbering and fan-out run here; only libsrtp is replaced, by a recorder that keeps its rollover counter.
"""

import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.media.peer import udp
from hub.media.peer.counters import Counters
from hub.media.peer.fanout import Repair
from hub.media.peer.sender import Phase, Sender
from hub.media.peer.viewers import Viewers
from hub.media.rtp.extension import PLAIN, layout
from hub.media.rtp.numbering import Numbering
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.sendlog import SendLog
from hub.media.rtp.track import Packet, Track
from hub.media.rtp.unit import AccessUnit
from tests.unit.media.halves import NATIVE, both_halves, fanout_of

SPS, PPS = b"\x67\x42\xe0\x1f\x01", b"\x68\xce\x01"
LAYOUTS = {
    "plain": PLAIN,
    "mid": layout((1, "0")),
    "time": layout((1, "0"), time=2),
    "transport": layout((1, "video"), transport=3),
}
KINDS = st.sampled_from(sorted(LAYOUTS))
NOWHERE = b"\x02\x00" + bytes(14)  # the descriptor is -1: every send fails, and that is counted


class Libsrtp:
    """What libsrtp knows of one sender: its packet index (srtp_index_guess), and here every plaintext as well."""

    def __init__(self, tag: int = 16) -> None:
        self.tag = tag
        self.handle = udp.ffi.new_handle(self)
        self.index: dict[int, int] = {}
        self.repairs: list[bytes] = []
        self.seen: dict[tuple[int, int, int], bytes] = {}
        self.order: list[bytes] = []

    def protect(self, plain: bytes) -> None:
        seq, _, ssrc = struct.unpack_from("!HII", plain, 2)
        guess = self._guess(seq, index := self.index.get(ssrc, 0))
        assert guess >= 0
        assert index - guess < 1_024, "libsrtp would refuse this as too old"
        self.index[ssrc] = max(index, guess)
        number = (ssrc, guess >> 16, seq)
        assert self.seen.setdefault(number, plain) == plain, f"two plaintexts under {number}"
        if plain[1] & 0x7F != 97:
            self.order.append(plain)
        else:
            self.repairs.append(plain)

    def _guess(self, seq: int, index: int) -> int:
        if index <= 0x8000:
            return seq
        rollover, last = index >> 16, index & 0xFFFF
        if last < 0x8000 and seq - last > 0x8000:
            rollover -= 1
        elif last >= 0x8000 and last - 0x8000 > seq:
            rollover += 1
        return rollover << 16 | seq


def _protect(session: Any, slot: Any, length: Any) -> int:
    keys = udp.ffi.from_handle(session)
    keys.protect(bytes(udp.ffi.buffer(slot, length[0])))
    length[0] += keys.tag
    return 0


class House:
    """A track with its viewers, and a clock to turn by hand."""

    half = "python"  # unless told otherwise

    def __init__(self, codec: Any = "h264", half: str = "") -> None:
        self.track = Track(codec)
        self.tracks = [self.track, Track(codec, self.track, 1)]
        self.now = 1_000_000
        self.ticks = 0
        self.turns: list[Callable[[], None]] = []
        self.senders: list[tuple[Sender, Libsrtp]] = []
        self.counters = Counters()
        self.asked = 0
        fanout = fanout_of(half or self.half, -1, self.counters, protect=_protect, clock_us=self._clock)
        self.viewers = Viewers(
            self.tracks, fanout, self.counters, later=lambda _, call: self.turns.append(call), ask=self._ask
        )

    def _clock(self) -> int:
        self.ticks += 250  # no two sends at one time
        return self.ticks

    def _ask(self, layer: int) -> None:
        self.asked += 1

    def join(self, first: int, tag: int = 16, payload_type: int = 96, kind: str = "plain") -> Libsrtp:
        keys = Libsrtp(tag)
        layout, varies = LAYOUTS[kind], LAYOUTS[kind].varies
        repair = Repair(97, self.track.rtx_ssrc, first) if varies else None
        sender = Sender(
            keys.handle, tag, payload_type, NOWHERE, Numbering(first),
            layout=layout, log=SendLog() if layout.transport_at else None, repair=repair,
        )  # fmt: skip
        self.senders.append((sender, keys))
        self.viewers.add(sender, self.now)
        return keys

    def give(self, packets: list[Packet]) -> None:
        if packets:
            self.viewers.packets(packets)

    def unit(self, key: bool, sizes: list[int], pts: int, layer: int = 0) -> None:
        kind = b"\x65" if key else b"\x61"
        nals = [SPS, PPS] if key else []
        nals += [kind + bytes([n % 251 + 1]) * size for n, size in enumerate(sizes)]
        data = b"".join(b"\0\0\0\1" + nal for nal in nals)
        self.give(self.tracks[layer].append_unit(AccessUnit("video", "h264", data, pts, key, self.now)))

    def turn(self) -> None:
        calls, self.turns = self.turns, []
        for call in calls:
            call()

    def drain(self) -> None:
        while self.turns:
            self.turn()

    def everything_again(self, sender: Sender) -> None:
        """The viewer claims to have lost all that it could still get, whatever it may ask for."""
        for back in range(0, 1_000, 250):
            sender.allowance = 500.0
            sender.allowance_at = self.now
            numbers = [(sender.numbering.highest - back - i) & 0xFFFF for i in range(250)]
            self.viewers.nack(sender, numbers, self.now)


class Camera(RuleBasedStateMachine):
    """A pull source: frames, restarts, jumps of its time, viewers that come, go, lose packets and pictures."""

    half = "python"

    def __init__(self) -> None:
        super().__init__()
        self.house = House(half=self.half)
        self.pts = 0

    @rule(key=st.booleans(), sizes=st.lists(st.integers(1, 6_000), min_size=1, max_size=3), step=st.integers(1, 9_000))
    def frame(self, key: bool, sizes: list[int], step: int) -> None:
        self.pts += step
        self.house.now += 40
        self.house.unit(key, sizes, self.pts)

    @rule(key=st.booleans(), size=st.integers(50_000, 300_000))
    def large_frame(self, key: bool, size: int) -> None:
        self.frame(key, [size], 3_600)

    @rule(count=st.integers(1, 40))
    def many_frames(self, count: int) -> None:
        for i in range(count):
            self.frame(i % 25 == 0, [3_000], 3_600)

    @rule(
        first=st.sampled_from([1, 9_000, 65_400, 65_530]), tag=st.sampled_from([16, 10]),
        pt=st.sampled_from([96, 98, 99]), kind=KINDS,
    )  # fmt: skip
    @precondition(lambda self: len(self.house.senders) < 4)
    def viewer(self, first: int, tag: int, pt: int, kind: str) -> None:
        self.house.join(first, tag, pt, kind)

    @rule(which=st.integers(0, 3), paused=st.booleans())
    def look(self, which: int, paused: bool) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            if paused:
                self.house.viewers.pause(sender)
            else:
                self.house.viewers.resume(sender, self.house.now)

    @rule(key=st.booleans(), size=st.integers(1, 100_000))
    def frame_of_the_sub_stream(self, key: bool, size: int) -> None:
        self.house.unit(key, [size], self.pts, layer=1)

    @rule(which=st.integers(0, 3), width=st.sampled_from([1, 320, 4_000, None]))
    def tile(self, which: int, width: int | None) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            sender.aim = 0 if width is None else 1 if width < 1_000 else sender.aim

    @rule(layer=st.integers(0, 1), rests=st.booleans())
    def rest(self, layer: int, rests: bool) -> None:
        track = self.house.tracks[layer]
        track.resting, track.size = rests, (1_280 >> 2 * layer, 720)
        for sender, _ in self.house.senders:
            self.house.viewers.steer(sender, None, None, self.house.now)

    @rule()
    def turn(self) -> None:
        self.house.turn()

    @rule(which=st.integers(0, 1))
    @precondition(lambda self: len(self.house.turns) > 1)
    def turn_of_one_timer_before_the_other(self, which: int) -> None:
        self.house.turns.pop(which)()

    @rule(key=st.booleans(), size=st.integers(50_000, 300_000))
    def pictures_and_then_everything_lost_while_a_frame_leaves(self, key: bool, size: int) -> None:
        self.house.now += 1_000
        self.frame(key, [size], 3_600)
        for which in range(len(self.house.senders)):
            self.lost_picture(which, 0)
        self.house.drain()
        self.everything_lost()

    @rule()
    def everything_lost(self) -> None:
        for sender, _ in self.house.senders:
            self.house.everything_again(sender)

    @rule(back=st.integers(0, 1_200), count=st.integers(1, 40), which=st.integers(0, 3))
    def lost_packets(self, back: int, count: int, which: int) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            seqs = [(sender.numbering.highest - back + i) & 0xFFFF for i in range(count)]
            self.house.viewers.nack(sender, seqs, self.house.now)

    @rule(octets=st.integers(1, 60_000), which=st.integers(0, 3))
    def probe(self, octets: int, which: int) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            self.house.viewers.pad(sender, octets)

    @rule(which=st.integers(0, 3), later=st.integers(0, 1_500))
    def lost_picture(self, which: int, later: int) -> None:
        self.house.now += later
        for sender, _ in self.house.senders[which : which + 1]:
            self.house.viewers.picture_lost(sender, self.house.now)

    @rule(jump=st.integers(-(2**33), 2**33))
    def restart(self, jump: int) -> None:
        for track in self.house.tracks:
            track.restart()
        self.pts += jump

    @rule(which=st.integers(0, 3))
    def leave(self, which: int) -> None:
        if which < len(self.house.senders):
            self.house.viewers.remove(self.house.senders.pop(which)[0])

    @invariant()
    def nothing_is_lost_in_counting(self) -> None:
        assert len(self.house.viewers) == len(self.house.senders)


TestCamera = Camera.TestCase
TestCamera.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


class NativeCamera(Camera):
    """The same with the native half."""

    half = "native"


TestNativeCamera = NATIVE(NativeCamera.TestCase)
TestNativeCamera.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


@both_halves
@given(
    losses=st.sets(st.integers(0, 400)),
    late=st.sets(st.integers(0, 400)),
    twice=st.sets(st.integers(0, 400)),
    changes=st.sets(st.integers(1, 400), max_size=4),
    joins=st.dictionaries(st.integers(0, 400), st.sampled_from([1, 65_450, 65_530]), min_size=1, max_size=4),
    start=st.integers(0, 0xFFFF),
    batch=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_publisher_with_loss_disorder_and_successors_never_repeats_a_number(
    losses: set[int],
    late: set[int],
    twice: set[int],
    changes: set[int],
    joins: dict[int, int],
    start: int,
    batch: int,
    half: str,
) -> None:
    house = House("vp8", half)
    ssrc, waiting, packets = 1, [], []
    for i in range(400):
        if i in changes:
            ssrc, start = ssrc + 1, start + 7_919
            house.track.restart()
        key = i % 40 == 0 or i in changes
        payload = bytes([0x10, 0x00 if key else 0x01]) + i.to_bytes(2, "big") * 50
        packet = RtpPacket(True, 96, (start + i) & 0xFFFF, (i * 3_000 + ssrc * 12_345) & 0xFFFFFFFF, ssrc, payload)
        if i in joins:
            house.join(joins[i])
        if i in losses:
            continue
        if i in late:
            waiting.append(packet)
            continue
        packets.append(packet)
        if i in twice:  # and a publisher who means harm sends something else under the same number
            packets.append(replace(packet, payload=payload + b"!"))
        if len(packets) >= batch:
            house.now += 33
            house.give(house.track.append_rtp(packets, house.now))
            packets = []
        if i % 5 == 4:
            house.give(house.track.append_rtp(waiting, house.now))
            waiting = []
            for sender, _ in house.senders:
                house.viewers.nack(sender, [(sender.numbering.highest - n) & 0xFFFF for n in range(20)], house.now)
                house.viewers.picture_lost(sender, house.now)
        house.turn()


def _stamps(keys: Libsrtp) -> list[tuple[int, int]]:
    return [struct.unpack_from("!HI", plain, 2) for plain in keys.order]


@both_halves
@given(
    gops=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    join_at=st.integers(0, 100),
    losses=st.sets(st.integers(0, 250), max_size=3),
    restart_at=st.integers(0, 200),
)
@settings(max_examples=60, deadline=None)
def test_a_viewers_numbers_have_no_holes_and_its_time_never_goes_back(
    gops: list[int], join_at: int, losses: set[int], restart_at: int, half: str
) -> None:
    house, keys, at = House(half=half), None, 0
    for gop in gops:
        for i in range(gop):
            if at == restart_at:
                house.track.restart()
            if at == join_at:
                keys = house.join(65_400)
            house.now += 2_000 if at in losses else 40
            house.unit(i == 0, [2_500], at * 3_600 + (500_000 if at >= restart_at else 0))
            if at in losses and house.senders:
                house.viewers.picture_lost(house.senders[0][0], house.now)
            if at % 3:
                house.turn()
            at += 1
    while house.turns:
        house.turn()
    if keys is None or not keys.order:
        return
    seen = _stamps(keys)
    assert [seq for seq, _ in seen] == [(65_400 + i) & 0xFFFF for i in range(len(seen))]
    steps = [(after - before) & 0xFFFFFFFF for (_, before), (_, after) in pairwise(seen)]
    assert all(step < 0x80000000 for step in steps)
    assert house.senders[0][0].phase in (Phase.LIVE, Phase.WAITING)


@both_halves
def test_a_lost_packet_is_sent_again_as_the_identical_plaintext(half: str) -> None:
    house = House(half=half)
    for i in range(30):
        house.now += 40
        house.unit(i % 25 == 0, [4_000], i * 3_600)
    keys = house.join(500)
    while house.turns:
        house.turn()
    sent = {plain[2:4]: plain for plain in keys.order}
    house.viewers.nack(house.senders[0][0], [502, 503, 9], house.now)
    again = keys.order[len(sent) :]
    assert again == [sent[struct.pack("!H", 502)], sent[struct.pack("!H", 503)]]
    assert (house.counters.retransmitted, house.counters.retransmit_missed) == (2, 1)


@both_halves
def test_a_viewer_that_acknowledges_nothing_and_asks_for_everything_is_bounded(half: str) -> None:
    house = House(half=half)
    for i in range(200):
        house.now += 40
        house.unit(i == 0, [4_000], i * 3_600)
    keys = house.join(1)
    while house.turns:
        house.turn()
    before = len(keys.order)
    everything = [(house.senders[0][0].numbering.highest - i) & 0xFFFF for i in range(500)]
    for _ in range(100):
        house.viewers.nack(house.senders[0][0], everything, house.now)
    assert len(keys.order) - before <= 500


@both_halves
def test_pictures_lost_in_a_row_are_answered_once_a_second(half: str) -> None:
    house = House(half=half)
    house.unit(True, [4_000], 0)
    keys = house.join(1)
    before = len(keys.order)
    for _ in range(50):
        house.viewers.picture_lost(house.senders[0][0], house.now)
    assert house.counters.replays == 1
    assert len(keys.order) == 2 * before


@both_halves
def test_a_lost_packet_of_a_viewer_with_new_numbers_in_each_datagram_goes_by_retransmission_only(half: str) -> None:
    house = House(half=half)
    for i in range(30):
        house.now += 40
        house.unit(i % 25 == 0, [4_000], i * 3_600)
    keys = house.join(500, kind="transport")
    while house.turns:
        house.turn()
    sent = {plain[2:4]: plain for plain in keys.order}
    for _ in range(2):
        house.viewers.nack(house.senders[0][0], [502, 503, 9], house.now)
    assert len(keys.order) == len(sent)
    lost = sent[struct.pack("!H", 502)]
    block = len(LAYOUTS["transport"].block)
    for again, seq in ((keys.repairs[0], 500), (keys.repairs[2], 502)):
        assert struct.unpack_from("!HII", again, 2) == (
            seq,
            *struct.unpack_from("!II", lost, 4)[:1],
            house.track.rtx_ssrc,
        )
        assert again[12 + block :] == struct.pack("!H", 502) + lost[12 + block :]


@both_halves
def test_a_viewer_whose_packets_vary_and_who_took_no_retransmissions_is_sent_nothing_again(half: str) -> None:
    house = House(half=half)
    for i in range(30):
        house.now += 40
        house.unit(i % 25 == 0, [4_000], i * 3_600)
    keys = house.join(500, kind="transport")
    house.senders[0][0].repair = None
    while house.turns:
        house.turn()
    before = len(keys.order)
    house.viewers.nack(house.senders[0][0], [502], house.now)
    assert (len(keys.order), house.counters.retransmit_missed) == (before, 1)


@both_halves
def test_a_large_key_frame_leaves_in_portions_and_whole(half: str) -> None:
    house = House(half=half)
    house.unit(True, [1_000], 0)
    keys = house.join(1)
    house.now += 40
    house.unit(True, [300_000], 3_600)
    assert len(keys.order) < 40
    late = house.join(1)  # comes while it leaves
    turns = 0
    while house.turns:
        house.turn()
        turns += 1
    assert turns <= 20
    assert b"".join(p[14:] for p in keys.order[2:]) == b"".join(p[14:] for p in late.order[-len(keys.order) + 2 :])
    assert house.counters.paced > 200


class Simulcast(RuleBasedStateMachine):
    """A VP8 publisher with two layers of three temporal layers each, and viewers whose tiles and paths change."""

    half = "python"

    def __init__(self) -> None:
        super().__init__()
        self.house = House("vp8", self.half)
        self.frames = [0, 0]
        self.seqs = [65_000, 30_000]
        self.held: list[tuple[int, RtpPacket]] = []
        self.last: dict[int, int] = {}

    @rule(
        layer=st.integers(0, 1), parts=st.sampled_from([1, 2, 3, 70]), key=st.booleans(), fate=st.sampled_from("sslhs")
    )
    def frame(self, layer: int, parts: int, key: bool, fate: str) -> None:
        """``fate``: sent, lost, or held back for later."""
        i = self.frames[layer]
        self.frames[layer] += 1
        self.house.now += 17
        tid = 0 if key else (0, 2, 1, 2)[i % 4]
        packets = []
        for part in range(parts):
            head = bytes((0x90 if part == 0 else 0x80, 0xE0, 0x80 | i + 0x7FF0 >> 8 & 0x7F, i + 0x7FF0 & 0xFF, i & 255))
            payload = head + bytes((tid << 6 | 0x20, 0x10 if key else 0x11)) + bytes((layer, i & 255)) * 300
            packet = RtpPacket(
                part == parts - 1, 96, self.seqs[layer] & 0xFFFF, i * 3_000 + layer * 777, layer + 1, payload
            )
            self.seqs[layer] += 1
            if part == parts - 1 and fate in "lh":
                if fate == "h":
                    self.held.append((layer, packet))
            else:
                packets.append(packet)
        self.house.give(self.house.tracks[layer].append_rtp(packets, self.house.now))

    @rule(count=st.integers(1, 60))
    def many(self, count: int) -> None:
        for i in range(count):
            self.frame(i % 2, 2, i % 30 < 2, "s")

    @rule()
    def late(self) -> None:
        held, self.held = self.held, []
        for layer, packet in held:
            self.house.give(self.house.tracks[layer].append_rtp([packet], self.house.now))

    @rule(first=st.sampled_from([1, 65_400, 65_530]), kind=KINDS, aim=st.integers(0, 1))
    @precondition(lambda self: len(self.house.senders) < 4)
    def viewer(self, first: int, kind: str, aim: int) -> None:
        self.house.join(first, kind=kind)
        self.house.senders[-1][0].aim = aim

    @rule()
    def turn(self) -> None:
        self.house.turn()

    @rule(which=st.integers(0, 3), aim=st.integers(0, 1), temporal=st.sampled_from([0, 1, 3]))
    def steer(self, which: int, aim: int, temporal: int) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            sender.aim, sender.temporal.wanted = aim, temporal
            self.house.viewers.resettle(sender)

    @rule(which=st.integers(0, 3), width=st.sampled_from([None, 100]), budget=st.sampled_from([None, 1, 10**7]))
    def choose(self, which: int, width: int | None, budget: int | None) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            self.house.viewers.steer(sender, width, budget, self.house.now)

    @rule(which=st.integers(0, 3), paused=st.booleans())
    def look(self, which: int, paused: bool) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            if paused:
                self.house.viewers.pause(sender)
            else:
                self.house.viewers.resume(sender, self.house.now)

    @rule(back=st.integers(0, 1_100), count=st.integers(1, 40), which=st.integers(0, 3))
    def lost_packets(self, back: int, count: int, which: int) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            seqs = [(sender.numbering.highest - back + i) & 0xFFFF for i in range(count)]
            self.house.viewers.nack(sender, seqs, self.house.now)

    @rule(octets=st.integers(1, 60_000), which=st.integers(0, 3))
    def probe(self, octets: int, which: int) -> None:
        for sender, _ in self.house.senders[which : which + 1]:
            self.house.viewers.pad(sender, octets)

    @rule(which=st.integers(0, 1))
    def another_publisher(self, which: int) -> None:
        self.house.tracks[which].restart()
        self.seqs[which] += 7_919

    @invariant()
    def nobody_is_lost_in_counting(self) -> None:
        assert len(self.house.viewers) == len(self.house.senders)

    @invariant()
    def a_viewer_on_a_layer_sees_time_go_on(self) -> None:
        for _sender, keys in self.house.senders:
            newest: tuple[int, int] | None = None
            for plain in keys.order[-40:]:
                seq, stamp = struct.unpack_from("!HI", plain, 2)
                if newest is not None and 0 < (seq - newest[0] & 0xFFFF) < 0x8000:
                    assert (stamp - newest[1] & 0xFFFFFFFF) < 0x80000000
                    newest = (seq, stamp)
                newest = newest or (seq, stamp)


TestSimulcast = Simulcast.TestCase
TestSimulcast.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


class NativeSimulcast(Simulcast):
    """The same with the native half."""

    half = "native"


TestNativeSimulcast = NATIVE(NativeSimulcast.TestCase)
TestNativeSimulcast.settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
