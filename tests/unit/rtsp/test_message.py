"""RTSP framing: the same events wherever TCP splits, and nothing unbounded."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.rtsp.message import (
    MAX_BODY,
    MAX_HEAD,
    Decoder,
    Event,
    Headers,
    Interleaved,
    Request,
    Response,
    RtspError,
    encode_interleaved,
    encode_request,
    encode_response,
)

EVENTS: list[Event] = [
    Request("DESCRIBE", "rtsp://10.0.0.1/live", Headers({"CSeq": "2", "Accept": "application/sdp"})),
    Response(200, "OK", Headers([("CSeq", "2"), ("Content-Length", "4")]), b"v=0\n"),
    Interleaved(0, b"$\r\n\r\nRTSP/1.0"),
    Interleaved(1, b""),
    Request("TEARDOWN", "rtsp://10.0.0.1/live", Headers({"CSeq": "3", "Session": "ab"})),
]
WIRE = b"".join(
    encode_request(event)
    if isinstance(event, Request)
    else encode_response(event)
    if isinstance(event, Response)
    else encode_interleaved(event.channel, event.payload)
    for event in EVENTS
)


@pytest.mark.parametrize("cut", range(1, len(WIRE)))
def test_stream_is_cut_alike_wherever_tcp_splits_it(cut: int) -> None:
    """RFC 2326 §10.12: messages and frames share one connection."""
    decoder = Decoder()
    assert [*decoder.feed(WIRE[:cut]), *decoder.feed(WIRE[cut:])] == EVENTS


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    decoder = Decoder()
    assert [event for byte in WIRE for event in decoder.feed(bytes((byte,)))] == EVENTS


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=6), st.integers(1, 50))
def test_any_frames_survive_any_chunking(frames: list[tuple[int, bytes]], size: int) -> None:
    wire = b"".join(encode_interleaved(channel, payload) for channel, payload in frames)
    decoder = Decoder()
    seen = [event for at in range(0, len(wire), size) for event in decoder.feed(wire[at : at + size])]
    assert seen == [Interleaved(channel, payload) for channel, payload in frames]


@given(st.binary(max_size=600))
def test_noise_gives_events_or_the_named_error_and_nothing_else(noise: bytes) -> None:
    with contextlib.suppress(RtspError):
        for event in Decoder().feed(noise):
            assert isinstance(event, Request | Response | Interleaved)


@pytest.mark.parametrize(
    "wire",
    [
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"OPTIONS\r\n\r\n",
        b"OPTIONS rtsp://a b RTSP/1.0\r\n\r\n",
        b"RTSP/2.0 200 OK\r\n\r\n",
        b"RTSP/1.0 20 OK\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq : 1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\n" + b"a: b\r\n" * 65 + b"\r\n",
        b"OPTIONS \xff RTSP/1.0\r\n\r\n",
        b"A" * (MAX_HEAD + 5),
    ],
)
def test_what_is_not_rtsp_is_refused(wire: bytes) -> None:
    with pytest.raises(RtspError):
        list(Decoder().feed(wire))


def test_error_names_the_byte_of_the_connection() -> None:
    decoder = Decoder()
    list(decoder.feed(WIRE))
    with pytest.raises(RtspError) as caught:
        list(decoder.feed(b"nonsense\r\n\r\n"))
    assert caught.value.offset == len(WIRE)


def test_a_folded_header_is_one_header() -> None:
    """RFC 2616 §2.2."""
    (request,) = Decoder().feed(b"OPTIONS * RTSP/1.0\r\nTransport: RTP/AVP;\r\n unicast\r\n\r\n")
    assert isinstance(request, Request)
    assert request.headers.get("transport") == "RTP/AVP; unicast"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb"])
def test_a_line_break_cannot_be_smuggled_into_a_header(value: str) -> None:
    with pytest.raises(RtspError):
        encode_request(Request("OPTIONS", "*", Headers({"User-Agent": value})))


def test_headers_never_show_values_in_a_log() -> None:
    assert "secret" not in repr(Request("OPTIONS", "*", Headers({"Authorization": "secret"})))
