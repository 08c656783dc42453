"""TCP framing: every split, keep-alives, bounds (RFC 3261 §18.3)."""

import pytest

from signaling.sip.message import MAX_HEAD, MAX_MESSAGE, Refused, parse
from signaling.sip.stream import Framer
from tests.unit.sip.captures import CAPTURES

MESSAGE = dict(CAPTURES)["srs_capture_02-0"]
STREAM = b"\r\n\r\n" + MESSAGE + dict(CAPTURES)["srs_capture_01-0"] + b"\r\n\r\n" + MESSAGE


@pytest.mark.parametrize("cut", range(1, len(MESSAGE)))
def test_message_is_framed_alike_wherever_tcp_splits_it(cut: int) -> None:
    """RFC 3261 §18.3."""
    framer = Framer()
    assert framer.feed(MESSAGE[:cut]) == []
    assert framer.unfinished
    assert framer.feed(MESSAGE[cut:]) == [MESSAGE]
    assert not framer.unfinished


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, len(STREAM)])
def test_messages_and_keepalives_come_apart_in_pieces_of_any_size(step: int) -> None:
    framer, found = Framer(), []
    for at in range(0, len(STREAM), step):
        found += framer.feed(STREAM[at : at + step])
    assert [parse(data).headers.get("CSeq") for data in found] == ["20 MESSAGE", "1 REGISTER", "20 MESSAGE"]
    assert framer.pings == 2


@pytest.mark.parametrize("name", [name for name, _ in CAPTURES])
def test_line_feeds_alone_are_understood(name: str) -> None:
    head, _, body = dict(CAPTURES)[name].partition(b"\r\n\r\n")
    data = head.replace(b"\r\n", b"\n") + b"\n\n" + body
    assert Framer().feed(data) == [data]
    assert parse(data) == parse(dict(CAPTURES)[name])


@pytest.mark.parametrize("spelled", [b"l:4", b"L : 4", b"CONTENT-LENGTH:    4", b"Content-Length:\r\n 4"])
def test_a_length_is_found_however_it_is_spelled(spelled: bytes) -> None:
    data = b"INFO sip:a@b SIP/2.0\r\n" + spelled + b"\r\nX: y\r\n\r\nbody"
    assert Framer().feed(data + b"INFO") == [data]


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"150\x1c", b"99999999999", b"4\r\nContent-Length: 5"])
def test_a_length_without_sense_ends_the_stream_and_is_refused_with_400(length: bytes) -> None:
    good = dict(CAPTURES)["srs_capture_01-0"]
    framer = Framer()
    found = framer.feed(good.replace(b"Content-Length: 0", b"Content-Length: " + length) + MESSAGE)
    assert framer.broken is not None
    assert len(found) == 1
    with pytest.raises(Refused) as refused:
        parse(found[0])
    assert refused.value.status == 400
    assert framer.feed(MESSAGE) == []


def test_headers_without_end_are_bounded() -> None:
    framer = Framer()
    line = b"X: " + b"y" * 997 + b"\r\n"
    count = 0
    framer.feed(b"INFO sip:a@b SIP/2.0\r\n")
    while framer.broken is None:
        framer.feed(line)
        count += 1
        assert count < 100
    assert framer.broken.status == 513
    assert count * len(line) < MAX_HEAD + 2 * len(line)
    assert not framer.unfinished


def test_a_body_that_is_too_long_is_not_waited_for() -> None:
    framer = Framer()
    assert framer.feed(b"INFO sip:a@b SIP/2.0\r\nContent-Length: %d\r\n\r\n" % MAX_MESSAGE) == []
    assert framer.broken is not None
    assert framer.broken.status == 513


def test_a_megabyte_of_line_breaks_is_counted_and_not_kept() -> None:
    framer = Framer()
    for _ in range(16):
        assert framer.feed(b"\r\n" * 32_768) == []
    assert framer.pings == 16 * 16_384
    assert not framer.unfinished


@pytest.mark.parametrize("cut", range(9))
def test_keepalives_are_counted_alike_wherever_they_are_cut(cut: int) -> None:
    framer = Framer()
    data = b"\r\n\r\n\r\n\r\n"
    framer.feed(data[:cut])
    framer.feed(data[cut:])
    assert framer.pings == 2
