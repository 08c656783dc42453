"""RFC 3550 §5.1: the header, its extras, and bytes that are no RTP."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import vp8
from hub.media.rtp.packet import WireError, parse_rtp, template


def test_extension_sources_and_padding_are_taken_off() -> None:
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 0x80 | 96, 7, 8, 9)
    extras = bytes(8) + struct.pack("!HH", 0xBEDE, 1) + bytes(4)
    packet = parse_rtp(head + extras + b"payload" + b"\0\0\3")
    assert (packet.marker, packet.payload_type, packet.seq, packet.timestamp, packet.ssrc) == (True, 96, 7, 8, 9)
    assert packet.payload == b"payload"


def test_a_packet_of_padding_alone_has_an_empty_payload() -> None:
    assert parse_rtp(struct.pack("!BBHII", 0xA0, 96, 1, 2, 3) + b"\0\0\0\4").payload == b""


@given(st.booleans(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=50))
def test_what_we_write_we_read(marker: bool, timestamp: int, ssrc: int, payload: bytes) -> None:
    packet = parse_rtp(template(marker, timestamp, ssrc, payload))
    assert (packet.marker, packet.timestamp, packet.ssrc, packet.payload) == (marker, timestamp, ssrc, payload)


@pytest.mark.parametrize("cut", range(24))
def test_a_truncated_packet_is_refused_or_shorter_and_never_breaks(cut: int) -> None:
    whole = struct.pack("!BBHII", 0x91, 96, 7, 8, 9) + bytes(4) + struct.pack("!HH", 0xBEDE, 1) + bytes(4)
    with pytest.raises(WireError):
        parse_rtp(whole[:cut])


@given(st.binary(max_size=80))
def test_garbage_is_a_packet_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert len(parse_rtp(data).payload) < len(data)


@given(st.binary(max_size=12))
def test_no_payload_breaks_the_vp8_key_frame_test(payload: bytes) -> None:
    assert vp8.begins_keyframe(payload) in (True, False)


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (b"\x10\x00", True), (b"\x10\x01", False), (b"\x00\x00", False), (b"\x11\x00", False),
        (b"\x90\x80\x05\x00", True), (b"\x90\x80\x85\x05\x00", True), (b"\x90\x80\x85\x05\x01", False),
        (b"\x90\xe0\x05\x01\x20\x00", True), (b"\x90", False), (b"", False),
    ],
)  # fmt: skip
def test_vp8_key_frames_are_found_behind_the_descriptor(payload: bytes, key: bool) -> None:
    """RFC 7741 §4.2, §4.3."""
    assert vp8.begins_keyframe(payload) is key
