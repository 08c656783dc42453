"""RFC 3550 §6.4.1 and RFC 4585 §6.2.1 at the receiver of a publisher."""

from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp.reception import ASK_EVERY_MS, MAX_ASKS, MAX_MISSING, Reception


def test_a_gap_is_asked_for_until_it_is_filled() -> None:
    source = Reception(1, 90_000)
    for seq in (65_534, 65_535, 2):
        source.packet(seq, 0, 1_000)
    assert source.ask(1_000) == [0, 1]
    assert source.ask(1_000 + ASK_EVERY_MS - 1) == []
    source.packet(0, 0, 1_010)
    assert source.ask(1_000 + ASK_EVERY_MS) == [1]
    source.packet(1, 0, 1_100)
    assert source.ask(2_000) == []
    assert not source.gave_up


def test_what_never_comes_is_given_up_once() -> None:
    source = Reception(1, 90_000)
    source.packet(1, 0, 1_000)
    source.packet(3, 0, 1_000)
    asks = sum(bool(source.ask(1_000 + n * ASK_EVERY_MS)) for n in range(50))
    assert asks == MAX_ASKS
    assert source.gave_up


def test_a_jump_is_not_asked_for_but_a_key_frame_is() -> None:
    source = Reception(1, 90_000)
    source.packet(1, 0, 1_000)
    source.packet(2 + MAX_MISSING + 1, 0, 1_000)
    assert source.ask(1_000) == []
    assert source.gave_up


def test_the_block_tells_loss_since_the_last_one() -> None:
    source = Reception(9, 90_000)
    for seq in range(100):
        if seq % 4:
            source.packet(seq, 0, 1_000)
    block = source.block(1_000)
    assert (block.ssrc, block.lost, block.highest) == (9, 24, 99)
    assert block.fraction_lost == 24 * 256 // 99
    assert source.block(1_000).fraction_lost == 0


def test_jitter_of_an_even_stream_is_nothing_and_of_an_uneven_one_is_seen() -> None:
    even, uneven = Reception(1, 90_000), Reception(1, 90_000)
    for n in range(50):
        even.packet(n, n * 3_600, n * 40)
        uneven.packet(n, n * 3_600, n * 40 + (n % 2) * 20)
    assert even.block(0).jitter == 0
    assert 1_000 < uneven.block(0).jitter < 1_900


@given(st.lists(st.integers(0, 0xFFFF), max_size=200))
def test_no_order_of_numbers_makes_it_grow_or_break(seqs: list[int]) -> None:
    source = Reception(1, 90_000)
    for n, seq in enumerate(seqs):
        source.packet(seq, seq * 7, n)
    assert len(source.ask(10_000_000)) <= MAX_MISSING
    assert 0 <= source.block(10_000_000).fraction_lost <= 255
