"""RTCP both ways, checked against aiortc's own reading and writing."""

import contextlib
from typing import Any

import pytest
from aiortc import rtp as theirs
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import rtcp
from hub.media.rtp.packet import WireError

seqs = st.lists(st.integers(0, 70_000), min_size=1, max_size=60, unique=True).map(sorted)


@given(seqs)
def test_a_nack_of_ours_is_what_they_read(numbers: list[int]) -> None:
    lost = [number & 0xFFFF for number in numbers]
    packet: Any = theirs.RtcpPacket.parse(rtcp.nack(1, 2, lost))[0]
    assert {seq & 0xFFFF for seq in packet.lost} == set(lost)  # theirs does not wrap
    assert (packet.ssrc, packet.media_ssrc) == (1, 2)


@given(seqs)
def test_a_nack_of_theirs_is_what_we_read(numbers: list[int]) -> None:
    lost = sorted({number & 0xFFFF for number in numbers})
    data = bytes(theirs.RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=lost))
    (nack,) = rtcp.parse_rtcp(data)
    assert isinstance(nack, rtcp.Nack)
    assert (nack.media, sorted(nack.lost)) == (2, lost)


def test_a_compound_of_ours_is_what_they_read() -> None:
    block = rtcp.Block(7, 25, -3, 70_000, 12, 13, 14)
    parts = [
        rtcp.sender_report(1, rtcp.ntp_of(1_700_000_000_500), 99, 10, 1_000),
        rtcp.receiver_report(1, (block,)), rtcp.cname(1, "cam-1"), rtcp.pli(1, 2),
        rtcp.remb(1, 2_500_000, (7,)), rtcp.bye((1,)),
    ]  # fmt: skip
    sr, rr, sdes, pli, remb, bye = list(theirs.RtcpPacket.parse(b"".join(parts)))
    assert sr.sender_info.rtp_timestamp == 99  # type: ignore[union-attr]
    report = rr.reports[0]  # type: ignore[union-attr]
    assert (report.ssrc, report.fraction_lost, report.packets_lost, report.highest_sequence) == (7, 25, -3, 70_000)
    assert sdes.chunks[0].items == [(1, b"cam-1")]  # type: ignore[union-attr]
    assert (pli.fmt, pli.media_ssrc) == (1, 2)  # type: ignore[union-attr]
    rate, sources = theirs.unpack_remb_fci(remb.fci)  # type: ignore[union-attr]
    assert sources == [7]
    assert 2_490_000 < rate <= 2_500_000
    assert bye.sources == [1]  # type: ignore[union-attr]


def test_reports_of_theirs_are_what_we_read() -> None:
    info = theirs.RtcpReceiverInfo(
        ssrc=5, fraction_lost=3, packets_lost=-2, highest_sequence=9, jitter=1, lsr=2, dlsr=3
    )
    (report,) = rtcp.parse_rtcp(bytes(theirs.RtcpRrPacket(ssrc=1, reports=[info])))
    assert report == rtcp.Report(1, (rtcp.Block(5, 3, -2, 9, 1, 2, 3),))


def test_a_full_intra_request_names_its_targets() -> None:
    """RFC 5104 §4.3.1: the media SSRC is zero."""
    fir = b"\x84\xce\x00\x04" + bytes(8) + (77).to_bytes(4, "big") + b"\x01\0\0\0"
    assert rtcp.parse_rtcp(fir) == [rtcp.KeyframeRequest(77)]


@given(st.integers(0, 4_000_000_000_000))
def test_ntp_keeps_the_millisecond(ms: int) -> None:
    assert abs(rtcp.ms_of(rtcp.ntp_of(ms)) - ms) <= 1


@given(st.binary(max_size=200))
def test_garbage_is_nothing_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        rtcp.parse_rtcp(data)


@given(st.integers(0, 3), st.sampled_from([200, 201, 202, 203, 204, 205, 206]), st.binary(max_size=120))
def test_bodies_of_any_kind_are_read_or_refused(count: int, kind: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    data = bytes([0x80 | count, kind]) + (len(body) // 4).to_bytes(2, "big") + body
    try:
        rtcp.parse_rtcp(data)
    except WireError:
        assert len(body) < 24 + 24 * count


def test_a_bomb_of_small_packets_is_refused() -> None:
    with pytest.raises(WireError):
        rtcp.parse_rtcp(rtcp.bye(()) * 400)


def test_a_nack_asks_for_a_bounded_number() -> None:
    body = bytes(8) + b"\0\0\xff\xff" * 300
    data = b"\x81\xcd" + (len(body) // 4).to_bytes(2, "big") + body
    (nack,) = rtcp.parse_rtcp(data)
    assert isinstance(nack, rtcp.Nack)
    assert len(nack.lost) == rtcp.MAX_LOST


def test_many_nacks_of_one_compound_ask_for_no_more_than_one_may() -> None:
    one = rtcp.nack(1, 7, list(range(0, 1_700, 1)))
    items = rtcp.parse_rtcp(one * 8)
    asked = [item for item in items if isinstance(item, rtcp.Nack)]
    assert len(asked) == 1
    assert len(asked[0].lost) == rtcp.MAX_LOST
    assert rtcp.parse_rtcp(one * 8 + rtcp.pli(1, 7))[-1] == rtcp.KeyframeRequest(7)  # the rest still counts


@pytest.mark.parametrize("flow", list(rtcp.Flow))
def test_a_stream_is_paused_and_resumed_by_its_ssrc(flow: rtcp.Flow) -> None:
    """RFC 7728 §8: PT RTPFB, FMT 9, the media SSRC zero, entries with a length of their own."""
    data = rtcp.flowing(1, 7, flow, 70_000, 1 << 33)
    (packet,) = theirs.RtcpPacket.parse(data)
    assert (packet.fmt, packet.ssrc, packet.media_ssrc) == (9, 1, 0)  # type: ignore[union-attr]
    assert rtcp.parse_rtcp(data) == [rtcp.Flowing(7, flow)]
    assert len(data) == (24 if flow is rtcp.Flow.PAUSED else 20)


def test_entries_of_a_pause_that_are_too_many_unknown_or_cut_short_cost_nothing() -> None:
    head = bytes((0x89, 205))
    refused = b"\0\0\0\x01\x30\x00\0\0"
    many = b"\0\0\0\x02\x00\x00\0\0" * 100
    beyond = b"\0\0\0\x03\x20\xff\0\0"  # longer than the packet
    for entries, count in ((refused, 0), (many, rtcp.MAX_FLOWS), (beyond + b"\0" * 8, 1), (b"\0\0\0\x04", 0)):
        body = b"\0\0\0\x09" + b"\0" * 4 + entries
        assert len(rtcp.parse_rtcp(head + (len(body) // 4).to_bytes(2, "big") + body)) == count
