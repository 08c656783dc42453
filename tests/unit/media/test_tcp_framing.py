"""RFC 4571 framing: the same packets however TCP cuts them, and nothing kept of what is no framing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.peer.tcp import MAX_FRAME, Deframer, frame
from hub.media.rtp.packet import WireError

PACKETS = [b"\x80\x60", b"\x16" * 1_200, bytes(MAX_FRAME), b"stun" * 5]
STREAM = b"".join(frame(packet) for packet in PACKETS)


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_packets_come_out_alike_wherever_tcp_splits_them(cuts: list[int]) -> None:
    deframer, found = Deframer(), []
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    for begin, end in itertools.pairwise(edges):
        found += deframer.feed(STREAM[begin:end])
    assert found == PACKETS


@pytest.mark.parametrize("size", [0, 1, MAX_FRAME + 1, 0xFFFF])
def test_a_length_that_no_packet_has_is_refused_before_its_bytes_are_awaited(size: int) -> None:
    deframer = Deframer()
    deframer.feed(frame(b"good one"))
    with pytest.raises(WireError):
        deframer.feed(size.to_bytes(2, "big"))
