"""RFC 6184: what is cut apart comes together again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import h264

START = b"\0\0\0\1"
SPS, PPS, IDR, P = b"\x67\x42\xe0\x1f", b"\x68\xce\x3c", b"\x65\x88", b"\x41\x9a"


def depacketize(payloads: list[bytes]) -> list[bytes]:
    """The receiver's half, written from the RFC and not from the code under test."""
    nals: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == 24:
            at = 1
            while at < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                nals.append(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == 28:
            if payload[1] & 0x80:
                nals.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]))
            nals[-1] += payload[2:]
        else:
            nals.append(payload)
    return nals


def nal(kind: int, size: int) -> bytes:
    return bytes([0x60 | kind]) + bytes([kind + 1]) * size


nals = st.lists(st.builds(nal, st.sampled_from([1, 5, 6, 7, 8]), st.integers(0, 9_000)), min_size=1, max_size=8)


@given(nals, st.integers(100, 1_400))
def test_packets_put_together_are_the_nal_units(units: list[bytes], limit: int) -> None:
    payloads = h264.packetize(units, limit)
    assert max(map(len, payloads)) <= limit
    assert depacketize(payloads) == units


@given(st.integers(2_000, 100_000))
def test_pieces_of_a_slice_are_equal_but_for_a_smaller_last(size: int) -> None:
    sizes = [len(payload) for payload in h264.packetize([nal(5, size)])]
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0]


@given(nals, st.lists(st.sampled_from([b"\0\0\1", b"\0\0\0\1"]), min_size=8, max_size=8))
def test_annex_b_is_split_at_either_start_code(units: list[bytes], codes: list[bytes]) -> None:
    stream = b"".join(code + unit for code, unit in zip(codes, units, strict=False))
    assert h264.split(stream) == units


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\1", b"garbage", b"\0\0\1\0\0\1"])
def test_what_is_no_annex_b_has_no_nal_units(data: bytes) -> None:
    assert h264.split(data) == []


def test_an_idr_without_parameter_sets_gets_the_newest_ones() -> None:
    sets = h264.ParameterSets()
    sets.complete([SPS, PPS, IDR])
    newer = PPS + b"\x01"
    sets.complete([newer, P])
    assert sets.complete([IDR]) == [SPS, newer, IDR]
    assert sets.complete([P]) == [P]


def test_delimiters_and_fillers_are_left_out() -> None:
    assert h264.ParameterSets().complete([b"\x09\xf0", P, b"\x0c\xff"]) == [P]


@given(st.binary(max_size=64))
def test_no_payload_breaks_the_key_frame_test(payload: bytes) -> None:
    assert h264.begins_keyframe(payload) in (True, False)


def test_key_frames_are_recognised_in_every_packet_type() -> None:
    stap, *pieces = h264.packetize([SPS, PPS, IDR + bytes(3_000)])
    assert h264.begins_keyframe(stap)
    assert [h264.begins_keyframe(piece) for piece in pieces] == [True, False, False]
    assert h264.begins_keyframe(IDR)
    assert not h264.begins_keyframe(P)
    assert not any(h264.begins_keyframe(p) for p in h264.packetize([P + bytes(3_000)]))
