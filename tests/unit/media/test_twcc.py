"""Transport-wide feedback: what one side tells the other understands, across every wrap-around."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import rtcp
from hub.media.rtp.packet import WireError
from hub.media.rtp.sendlog import SendLog
from hub.media.rtp.twcc import MAX_PENDING, ArrivalLog, parse


@given(
    first=st.integers(0, 0xFFFF),
    gaps=st.lists(st.tuples(st.integers(1, 60), st.integers(-2_000, 300_000)), min_size=1, max_size=80),
    start=st.integers(1, 2**40),
)
def test_every_arrival_is_told_to_a_quarter_of_a_millisecond(
    first: int, gaps: list[tuple[int, int]], start: int
) -> None:
    log, told, number, now = ArrivalLog(), {}, first, start
    for step, later in gaps:
        number, now = number + step, max(now + later, 0)
        log.packet(number & 0xFFFF, now)
        told[number & 0xFFFF] = now
    read: dict[int, int] = {}
    while body := log.feedback():
        (found,) = rtcp.parse_rtcp(rtcp.transport(1, 2, body))
        assert found == parse(body)
        assert isinstance(found, type(parse(body)))
        wrap = (1 << 24) * 256
        for i, at in enumerate(found.times):
            if at is not None:
                read[(found.first + i) & 0xFFFF] = at % wrap
    late = {n: at // 250 % ((1 << 24) * 256) for n, at in told.items()}
    expected = {n: at for n, at in late.items() if number - first < MAX_PENDING}
    assert {n: at for n, at in read.items() if n in expected} == expected or number - first >= MAX_PENDING


def test_losses_stand_between_what_came() -> None:
    log = ArrivalLog()
    for number, at in ((65_534, 1_000_000), (65_535, 1_000_250), (2, 1_070_000)):
        log.packet(number, at)
    assert parse(log.feedback()).times == [4_000, 4_001, None, None, 4_280]
    assert log.feedback() == b""
    log.packet(1, 1_080_000)  # told as lost already
    log.packet(3, 1_090_000)
    assert (parse(log.feedback()).first, parse_count(log)) == (3, 0)


def parse_count(log: ArrivalLog) -> int:
    return len(log.feedback())


def test_a_burst_is_matched_with_what_is_said_of_it_even_in_two_halves() -> None:
    sent, far = SendLog(), ArrivalLog()
    sent.next = 65_530
    sent.sent(10, 10_000, 5_000)
    sent.sent(4, 4_000, 45_000)
    for i in range(6):
        far.packet((65_530 + i) & 0xFFFF, 1_000_000 + i * 250)
    (half,) = sent.match(parse(far.feedback()))
    assert (half.packets, half.lost, half.octets, half.sent_us, half.arrived_us) == (6, 0, 6_000, 5_000, 1_001_250)
    for i in (9, 10, 13):
        far.packet((65_530 + i) & 0xFFFF, 1_040_000)
    rest, second = sent.match(parse(far.feedback()))
    assert (rest.packets, rest.lost) == (4, 3)
    assert (second.packets, second.lost, second.sent_us) == (4, 2, 45_000)


@given(body=st.binary(max_size=200))
def test_garbage_is_refused_by_name_and_never_more(body: bytes) -> None:
    with contextlib.suppress(WireError):
        found = parse(body)
        assert len(found.times) <= 1_024
        log = SendLog()
        log.sent(100, 100_000, 1)
        log.match(found)


@pytest.mark.parametrize("cut", range(20))
def test_a_feedback_that_is_cut_off_is_refused(cut: int) -> None:
    log = ArrivalLog()
    for number, at in ((0, 0), (1, 90_000), (2, 90_100), (4, 90_200), (5, 99_000), (9, 99_100), (10, 99_200)):
        log.packet(number, at)
    body = log.feedback()
    assert len(body) == 20
    with pytest.raises(WireError):
        parse(body[:cut])


def test_a_bomb_of_feedback_is_cut_short() -> None:
    """A run of a thousand losses takes two bytes: of a compound full of them only the first few are looked at."""
    bomb = rtcp.transport(1, 2, (0).to_bytes(2, "big") + (1_024).to_bytes(2, "big") + bytes(4) + b"\x04\x00")
    assert len(rtcp.parse_rtcp(bomb * 30)) == rtcp.MAX_TRANSPORT
    with pytest.raises(WireError):
        parse((0).to_bytes(2, "big") + (1_025).to_bytes(2, "big") + bytes(4) + b"\x04\x01")
