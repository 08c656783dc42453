"""Which layer a viewer gets, and what it sees of a change: numbers, times and picture ids without a break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import vp8
from hub.media.rtp.layers import (
    ALL,
    Choice,
    Lane,
    Layer,
    Load,
    Meter,
    Seen,
    Temporal,
    Tile,
    allot,
    choose,
    load,
    splice,
)
from hub.media.rtp.numbering import Numbering
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.track import Packet, Track

THREE = (
    Layer(0, 320, (60_000, 90_000, 150_000), True),
    Layer(1, 640, (200_000, 300_000, 500_000), True),
    Layer(2, 1_280, (700_000, 1_000_000, 1_700_000), True),
)
TOP = Choice(2, ALL)


@pytest.mark.parametrize(
    ("width", "budget", "expected"),
    [
        (None, None, TOP),
        (1_920, None, TOP),
        (640, None, Choice(1, ALL)),
        (300, None, Choice(0, ALL)),
        (720, None, Choice(1, ALL)),  # 640 fills it well enough
        (None, 1_200_000, Choice(2, 1)),  # temporal layers go first
        (None, 800_000, Choice(2, 0)),
        (None, 600_000, Choice(1, ALL)),
        (None, 50_000, Choice(0, 0)),  # whatever it costs
    ],
)
def test_the_tile_and_the_budget_choose(width: int | None, budget: int | None, expected: Choice) -> None:
    assert choose(THREE, TOP, width=width, budget=budget) == expected


def test_a_step_up_needs_headroom_and_staying_does_not() -> None:
    low = Choice(1, ALL)
    assert choose(THREE, TOP, width=None, budget=1_750_000) == TOP
    assert choose(THREE, low, width=None, budget=1_750_000) == Choice(2, 1)
    assert choose(THREE, low, width=None, budget=2_000_000) == TOP


def test_a_layer_that_is_switched_off_is_left() -> None:
    dead = (*THREE[:2], Layer(2, 1_280, (0,), False))
    assert choose(dead, TOP, width=None, budget=None) == Choice(1, ALL)
    assert choose([Layer(0, 0, (0,), False)], TOP, width=None, budget=None) == TOP


@given(
    rates=st.lists(st.lists(st.integers(1, 2_000_000), min_size=1, max_size=3), min_size=1, max_size=4),
    width=st.none() | st.integers(1, 4_000),
    budget=st.integers(1, 10_000_000),
)
def test_what_is_chosen_fits_or_is_the_least_there_is(rates: list[list[int]], width: int | None, budget: int) -> None:
    layers = [Layer(i, 320 << i, tuple(sorted(r)), True) for i, r in enumerate(rates)]
    layer, temporal = choose(layers, Choice(0, 0), width=width, budget=budget)
    rate = layers[layer].rates[min(temporal, len(layers[layer].rates) - 1)]
    assert rate <= budget or (layer, layers[layer].rates[0]) == (0, rate)


def test_rates_follow_the_octets_of_each_temporal_layer() -> None:
    meter = Meter()
    for second in range(20):
        meter.look([second * 10_000, second * 5_000, 0, 0], second * 1_000)
    assert meter.rates == (80_000, 120_000)


def packet(payload: bytes, n: int = 0, timestamp: int = 0) -> Packet:
    made = Packet(n, 0, timestamp, True, False, bytes(12) + payload)
    made.vp8 = vp8.describe(payload)
    return made


def frame(picture: int, base: int, layer: int, *, key: bool = False, sync: bool = False) -> bytes:
    """A VP8 payload: X, I, L and T set, a picture id of 15 bits."""
    flags = layer << 6 | (0x20 if sync else 0)
    head = bytes((0x90, 0xE0, 0x80 | picture >> 8 & 0x7F, picture & 0xFF, base & 0xFF, flags))
    return head + (b"\x10\0\0\x9d\x01\x2a\x40\x01\xf0\0" if key else b"\x11" + bytes(9))


def test_a_descriptor_is_read_and_a_key_frame_tells_its_size() -> None:
    found = vp8.describe(frame(0x1234, 200, 2, sync=True))
    assert (found.begins, found.key, found.layer, found.sync, found.picture, found.base) == (
        True, False, 2, True, 0x1234, 200,
    )  # fmt: skip
    assert (found.picture_at, found.base_at, found.at) == (2, 4, 6)
    assert vp8.size(frame(1, 1, 0, key=True)) == (320, 240)


def test_a_picture_id_of_seven_bits_is_read_and_goes_round_within_them() -> None:
    """RFC 7741 §4.2: M is 0, so the id is one byte."""
    head = bytes((0x90, 0xE0, 0x7D, 200, 2 << 6))
    found = vp8.describe(head + b"\x11" + bytes(9))
    assert (found.picture, found.picture_at, found.base, found.base_at, found.at) == (0x7D, 2, 200, 3, 5)
    assert found.narrow
    numbering = Numbering(1)
    segment = numbering.begin(0, picture=(0x7E - 3) & 0x7FFF)
    for picture, out in ((3, 0x7E), (4, 0x7F), (5, 0), (6, 1)):
        assert segment.picture_of(packet(bytes((0x90, 0x80, picture)) + b"\x11" + bytes(9))) == out


@given(st.binary(max_size=20))
def test_no_payload_breaks_the_reading(payload: bytes) -> None:
    vp8.describe(payload)
    vp8.size(payload)


@given(seen_at=st.integers(0, 2**32 - 1), ahead=st.integers(-90_000, 90_000), picture=st.integers(0, 0x7FFF))
def test_another_layer_goes_on_later_and_one_picture_further(seen_at: int, ahead: int, picture: int) -> None:
    key = packet(frame(77, 250, 0, key=True), timestamp=(seen_at + ahead) & 0xFFFFFFFF)
    shift, pictures, base = splice(Seen(seen_at, picture, 255), key, 90_000)
    later = (key.timestamp + shift - seen_at) & 0xFFFFFFFF
    assert later == (ahead if ahead > 0 else 900)
    assert (77 + pictures) & 0x7FFF == (picture + 1) & 0x7FFF
    assert (250 + base) & 0xFF == 0


@given(
    start=st.sampled_from([0, 0x7FF0, 100]),
    wishes=st.dictionaries(st.integers(0, 199), st.sampled_from([0, 1, ALL]), max_size=6),
    sizes=st.lists(st.integers(1, 4), min_size=200, max_size=200),
    first=st.sampled_from([1, 65_500]),
)
def test_temporal_layers_leave_no_gap_in_numbers_or_picture_ids(
    start: int, wishes: dict[int, int], sizes: list[int], first: int
) -> None:
    track, numbering, temporal = Track("vp8"), Numbering(first), Temporal()
    pattern = (0, 2, 1, 2)
    seq, seen, pictures = 65_000, [], []
    numbering.begin(0)
    for i, size in enumerate(sizes):
        if i in wishes:
            temporal.wanted = wishes[i]
        tid = pattern[i % 4]
        for part in range(size):
            payload = frame(start + i & 0x7FFF, i // 4, tid, key=i == 0, sync=i % 8 in (1, 2))
            payload = payload if part == 0 else bytes((0x80,)) + payload[1:]
            rtp = RtpPacket(part == size - 1, 96, seq & 0xFFFF, i * 3_000, 1, payload)
            seq += 1
            (own,) = track.append_rtp([rtp], i * 33)
            if not temporal.passes(own):
                numbering.skip(own.n, own.n + 1, temporal.pictures([own]))
                continue
            seen.append(numbering.take(own.n))
            if part == 0:
                pictures.append(numbering.segment.picture_of(own))
            assert numbering.find(seen[-1] & 0xFFFF) == (own.n, numbering.segment)
    assert seen == list(range(first, first + len(seen)))
    assert pictures == [start + i & 0x7FFF for i in range(len(pictures))]
    assert len(seen) == sum(sizes) or wishes


def test_after_a_step_down_frames_come_back_only_where_they_depend_on_what_was_sent() -> None:
    temporal = Temporal()
    temporal.wanted = 0
    assert not temporal.passes(packet(frame(1, 1, 1)))
    temporal.wanted = 2
    assert not temporal.passes(packet(frame(2, 1, 2, sync=True)))  # may lean on layer 1, which was left out
    assert not temporal.passes(packet(frame(3, 1, 1)))
    assert temporal.passes(packet(frame(4, 2, 1, sync=True)))
    assert not temporal.passes(packet(frame(5, 2, 2)))
    assert temporal.passes(packet(frame(6, 2, 2, sync=True)))


def test_a_late_packet_has_the_number_of_its_own_segment_or_none() -> None:
    numbering = Numbering(100)
    numbering.begin(0, layer=0)
    for n in range(5):
        numbering.take(n)
    numbering.begin(40, layer=1)
    numbering.take(40)
    numbering.begin(9, layer=0)
    assert numbering.take(9) == 106
    before = numbering.of(0, 3)
    assert before is not None
    assert 3 + before.delta == 103
    assert numbering.of(0, 5) is None  # its number went to the other layer
    assert numbering.of(0, 8) is None
    assert numbering.of(1, 41) is None
    numbering.skip(10, 13, 1)
    assert numbering.take(13) == 107
    assert numbering.of(0, 11) is None
    assert [numbering.find(number) for number in (104, 105, 106, 107)] == [
        (4, before), (40, numbering.of(1, 40)), (9, numbering.of(0, 9)), (13, numbering.segment),
    ]  # fmt: skip


def _tile(width: int | None, *rates: int, alive: bool = True) -> Tile:
    layers = [Layer(i, 320 << i, (rate,), alive) for i, rate in enumerate(rates)]
    return Tile(layers, Choice(0, ALL), width)


def test_a_path_is_shared_out_from_the_largest_tile_down_and_nobody_is_left_without() -> None:
    tiles = [_tile(320, 100, 500), _tile(640, 100, 500), _tile(None, 100, 500)]
    assert allot(tiles, None) == [None, None, None]
    shares = allot(tiles, 1_000)
    chosen = [choose(t.layers, t.current, width=t.width, budget=s).layer for t, s in zip(tiles, shares, strict=True)]
    assert chosen == [0, 0, 1]  # 500 for the largest; 300 are left beyond the smallest layers, too few for another
    plenty = allot(tiles, 5_000)
    chosen = [choose(t.layers, t.current, width=t.width, budget=s).layer for t, s in zip(tiles, plenty, strict=True)]
    assert chosen == [0, 1, 1]


def test_where_even_the_smallest_layers_do_not_fit_each_gets_its_smallest() -> None:
    tiles = [_tile(640, 300, 900), _tile(640, 300, 900)]
    shares = allot(tiles, 200)
    assert [choose(t.layers, t.current, width=t.width, budget=s).layer for t, s in zip(tiles, shares, strict=True)] == [
        0,
        0,
    ]


def test_a_stream_that_sends_nothing_takes_nothing_of_the_path() -> None:
    tiles = [_tile(1_280, 300, 900, alive=False), _tile(640, 100, 500)]
    assert allot(tiles, 700)[1] == 700


def lanes(*given: tuple[int, bool, bool]) -> list[Lane]:
    """Rate, wanted, sent; the first is the largest picture, as of a camera."""
    return [Lane(Layer(i, 1_280 >> i, (rate,), True), wanted, sent) for i, (rate, wanted, sent) in enumerate(given)]


MAIN_ALONE = lanes((2_000_000, True, True), (200_000, False, False))
BOTH_WANTED = lanes((2_000_000, True, True), (200_000, True, True))
SHED = lanes((2_000_000, True, False), (200_000, False, True))


@pytest.mark.parametrize(
    ("given", "budget", "full", "narrow", "expected"),
    [
        (MAIN_ALONE, None, True, False, Load((0,))),
        (MAIN_ALONE, 500_000, False, False, Load((0,))),  # an estimate that nothing has tested yet
        (MAIN_ALONE, 500_000, True, False, Load((1,), ALL, True, 2_415_000)),
        (MAIN_ALONE, 2_000_000, True, False, Load((0,))),
        (BOTH_WANTED, 2_100_000, True, False, Load((1,), ALL, True, 2_656_500)),
        (BOTH_WANTED, 2_200_000, True, False, Load((0, 1))),
        (SHED, 2_000_000, False, True, Load((1,), ALL, True, 2_415_000)),  # back with headroom only
        (SHED, 2_300_000, False, True, Load((0,))),
        (SHED, 100_000, True, True, Load((1,), ALL, True, 2_415_000)),  # the smallest, whatever it costs
    ],
)
def test_a_leg_carries_what_its_line_does_the_smallest_picture_first(
    given: list[Lane], budget: int | None, full: bool, narrow: bool, expected: Load
) -> None:
    assert load(given, budget, full=full, narrow=narrow) == expected


def test_a_camera_without_an_open_sub_stream_goes_on_over_a_narrow_leg() -> None:
    main, sub = MAIN_ALONE
    closed = sub._replace(layer=Layer(1, 0, (0,), False))
    assert load([main, closed], 500_000, full=True, narrow=False) == Load((0,), ALL, True, 2_415_000)


def test_over_a_leg_too_narrow_for_the_smallest_layer_its_temporal_layers_are_left_out() -> None:
    three = [Lane(layer, True, True) for layer in THREE]
    assert load(three, 100_000, full=True, narrow=True)[:2] == ((0,), 1)
    assert load(three, 10_000, full=True, narrow=True)[:2] == ((0,), 0)
    assert load(three, 700_000, full=True, narrow=True)[:2] == ((0, 1), ALL)
