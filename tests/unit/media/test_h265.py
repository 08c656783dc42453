"""H.265 in RTP: what is cut comes together again, key frames are known, parameter sets stand in front."""

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.media.rtp import h265
from hub.media.rtp.sps import parse_sps_h265

VPS, SPS, PPS, IDR, TRAIL, CRA, AUD = 32, 33, 34, 19, 1, 21, 35


def nal(kind: int, body: bytes = b"\x80body", temporal: int = 1, layer: int = 0) -> bytes:
    return bytes((kind << 1 | layer >> 5, (layer & 0x1F) << 3 | temporal)) + body


def joined(payloads: list[bytes]) -> list[bytes]:
    """The other direction, written apart from ours (RFC 7798 §4.4)."""
    out: list[bytes] = []
    piece = b""
    for payload in payloads:
        kind = payload[0] >> 1 & 0x3F
        if kind == 48:
            at = 2
            while at < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                out.append(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == 49:
            if payload[2] & 0x80:
                piece = bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))
            piece += payload[3:]
            if payload[2] & 0x40:
                out.append(piece)
        else:
            out.append(payload)
    return out


def encoded(**options: Any) -> list[bytes]:
    """Access units of a real encoder, Annex B."""
    codec: Any = av.CodecContext.create("libx265", "w")
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 336, 252, "yuv420p", 25
    codec.options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:" + options.get("params", "")}
    out: list[bytes] = []
    for i in range(12):
        frame = av.VideoFrame.from_ndarray(np.full((252, 336, 3), i * 20, np.uint8), format="rgb24")
        frame.pts = i
        out += [bytes(packet) for packet in codec.encode(frame)]
    return out + [bytes(packet) for packet in codec.encode(None)]


units = st.lists(
    st.tuples(
        st.integers(0, 40), st.binary(min_size=1, max_size=60) | st.integers(900, 5_000).map(lambda n: b"\x5a" * n)
    ),
    min_size=1,
    max_size=8,
).map(lambda made: [nal(kind, body) for kind, body in made])


@given(units, st.integers(60, 1_400))
@settings(max_examples=200, deadline=None)
def test_what_is_packetized_comes_together_again_and_fits(nals: list[bytes], limit: int) -> None:
    payloads = h265.packetize(nals, limit)
    assert joined(payloads) == nals
    assert max(map(len, payloads)) <= limit


def test_fragments_of_one_picture_are_equal_but_the_last_and_keep_layer_and_temporal_id() -> None:
    payloads = h265.packetize([nal(TRAIL, bytes(5_000), temporal=3, layer=40)], 1_172)
    assert len({len(payload) for payload in payloads[:-1]}) == 1
    for payload in payloads:
        assert (payload[0] & 0x81, payload[1]) == (1, 8 << 3 | 3)
    assert [payload[2] >> 6 for payload in payloads] == [2, 0, 0, 0, 1]


def test_an_aggregate_takes_the_lowest_temporal_id() -> None:
    payload = h265.packetize([nal(TRAIL, b"\x80a", temporal=3), nal(TRAIL, b"\x80b", temporal=2)])[0]
    assert (payload[0] >> 1, payload[1] & 7) == (48, 2)


def test_an_irap_picture_gets_the_sets_that_it_lacks_in_their_order() -> None:
    sets = h265.ParameterSets()
    vps, sps, pps = (found for found in h265.split(encoded()[0]) if h265.kind(found) in (VPS, SPS, PPS))
    assert sets.complete([pps, sps, nal(AUD), vps, nal(IDR)]) == [vps, sps, pps, nal(IDR)]
    assert sets.complete([nal(CRA)]) == [vps, sps, pps, nal(CRA)]
    assert sets.complete([nal(TRAIL)]) == [nal(TRAIL)]
    assert sets.sequence == sps
    sets.clear()
    assert sets.complete([nal(IDR)]) == [nal(IDR)]


def test_a_key_frame_is_known_by_its_packets() -> None:
    for kind in (IDR, CRA, VPS, SPS):
        assert h265.begins_keyframe(nal(kind))
        assert h265.begins_keyframe(h265.packetize([nal(kind), nal(TRAIL)])[0])
    pieces = h265.packetize([nal(IDR, bytes(3_000))])
    assert [h265.begins_keyframe(piece) for piece in pieces] == [True, False, False]
    assert not h265.begins_keyframe(nal(TRAIL))
    assert not h265.begins_keyframe(b"\x62")
    assert not h265.begins_keyframe(b"")


@pytest.mark.parametrize(("params", "reorder"), [("bframes=0:repeat-headers=1", 0), ("bframes=3:b-adapt=0", 2)])
def test_an_encoders_parameter_set_tells_size_and_order(params: str, reorder: int) -> None:
    first = encoded(params=params)[0]
    sps = next(found for found in h265.split(first) if h265.kind(found) == SPS)
    found = parse_sps_h265(sps)
    assert (found.width, found.height, found.profile, found.reorder, found.depth) == (336, 252, 1, reorder, 8)
    assert h265.size(h265.packetize([nal(VPS), sps, nal(PPS)])[0]) == (336, 252)
    for cut in range(2, len(sps) - 1):
        try:
            parse_sps_h265(sps[:cut])
        except ValueError:
            continue


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    h265.begins_keyframe(data)
    h265.size(data)
    h265.ParameterSets().complete(h265.split(b"\0\0\1" + data))
