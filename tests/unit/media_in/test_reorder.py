"""Packets in their order again, and what is missing counted."""

from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp.packet import RtpPacket
from hub.media.sources.reorder import MAX_JUMP, Ordered, Reorder


def packet(seq: int) -> RtpPacket:
    return RtpPacket(False, 96, seq & 0xFFFF, 0, 1, b"x")


def pushed(reorder: Reorder, numbers: list[int], now: int = 0) -> list[tuple[int, int]]:
    found: list[Ordered] = []
    for number in numbers:
        found += reorder.push(packet(number), now)
    return [(each.packet.seq, each.lost) for each in found]


def test_what_comes_in_order_goes_on_at_once() -> None:
    assert pushed(Reorder(), [65_534, 65_535, 0, 1]) == [(65_534, 0), (65_535, 0), (0, 0), (1, 0)]


def test_neighbours_that_changed_places_are_put_right() -> None:
    reorder = Reorder()
    assert pushed(reorder, [10, 12, 11, 13]) == [(10, 0), (11, 0), (12, 0), (13, 0)]
    assert (reorder.lost, reorder.late) == (0, 0)


def test_a_gap_is_waited_for_and_then_given_up() -> None:
    reorder = Reorder(patience_ms=150)
    assert pushed(reorder, [10, 12], now=1_000) == [(10, 0)]
    assert reorder.flush(1_149) == []
    assert [(each.packet.seq, each.lost) for each in reorder.flush(1_150)] == [(12, 1)]
    assert pushed(reorder, [11], now=1_151) == []
    assert (reorder.lost, reorder.late) == (1, 1)


def test_a_full_window_waits_no_longer() -> None:
    reorder = Reorder(window=4)
    assert pushed(reorder, [0, 2, 3, 4, 5]) == [(0, 0)]
    assert pushed(reorder, [6]) == [(2, 1), (3, 0), (4, 0), (5, 0), (6, 0)]


def test_over_tcp_a_gap_is_a_loss_at_once() -> None:
    assert pushed(Reorder(0, 0), [1, 2, 5, 6]) == [(1, 0), (2, 0), (5, 2), (6, 0)]


def test_duplicates_are_counted_and_go_nowhere() -> None:
    reorder = Reorder()
    assert pushed(reorder, [1, 1, 3, 3, 2]) == [(1, 0), (2, 0), (3, 0)]
    assert reorder.late == 2


def test_one_packet_from_far_away_changes_nothing_and_two_begin_a_new_sequence() -> None:
    reorder = Reorder()
    assert pushed(reorder, [100, 30_000, 101]) == [(100, 0), (101, 0)]
    assert pushed(reorder, [30_000, 30_001, 30_002]) == [(30_001, 1), (30_002, 0)]


@given(st.lists(st.integers(0, 65_535), max_size=300), st.integers(0, 8))
def test_any_numbers_are_bounded_and_accounted_for(numbers: list[int], window: int) -> None:
    reorder = Reorder(window, 50)
    out = 0
    for now, number in enumerate(numbers):
        out += len(reorder.push(packet(number), now))
    out += len(reorder.flush(10**6))
    assert out + reorder.late == len(numbers)


@given(st.integers(0, 65_535), st.lists(st.integers(1, 12), min_size=1, max_size=200), st.randoms())
def test_disorder_within_the_window_leaves_no_trace(start: int, sizes: list[int], random: object) -> None:
    numbers = list(range(start, start + min(sum(sizes), MAX_JUMP)))
    mixed: list[int] = [numbers[0]]
    rest = numbers[1:]
    for size in sizes:
        part, rest = rest[:size], rest[size:]
        random.shuffle(part)  # type: ignore[attr-defined]  # hypothesis' own random.Random
        mixed += part
    seen = pushed(Reorder(window=64), mixed)
    assert seen == [(number & 0xFFFF, 0) for number in numbers[: len(mixed)]]
