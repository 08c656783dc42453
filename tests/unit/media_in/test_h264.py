"""Access units as sources make them, held against a real encoder's output."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp.h264 import split
from hub.media.rtp.sps import Bits, parse_sps, slice_type
from hub.media.sources.h264 import Framer


def encode(
    width: int, height: int, frames: int, *, profile: str = "high", pix: str = "yuv420p", b: int = 0
) -> list[bytes]:
    """Annex B packets of libx264, parameter sets before each key frame."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pix
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.max_b_frames, context.gop_size = b, 10
    context.options = {"preset": "veryfast", "profile": profile, "x264-params": "b-adapt=0:scenecut=0:threads=1:log=-1"}
    packets = []
    for number in range(frames):
        picture = np.roll(np.tile(np.arange(width, dtype=np.uint8), (height, 1)), number * 7, axis=1)
        frame = av.VideoFrame.from_ndarray(np.stack([picture] * 3, axis=-1), format="rgb24")
        frame.pts = number
        packets += context.encode(frame)
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720), (1920, 1080), (704, 576), (322, 242)])
@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_picture_size_is_that_of_the_encoder(width: int, height: int, profile: str) -> None:
    first = encode(width, height, 1, profile=profile)[0]
    sps = next(nal for nal in split(first) if nal[0] & 0x1F == 7)
    found = parse_sps(sps)
    assert (found.width, found.height) == (width, height)
    assert found.profile == {"baseline": 66, "main": 77, "high": 100}[profile]


@given(st.binary(max_size=64))
def test_a_broken_sps_raises_value_error_and_nothing_else(noise: bytes) -> None:
    try:
        found = parse_sps(b"\x67" + noise)
    except ValueError:
        return
    assert found.width > 0


def test_exp_golomb_reads_the_codes_of_the_standard() -> None:
    """ITU-T H.264 tables 9-2 and 9-3."""
    bits = Bits(int("101001100100001011010011001000010100", 2).to_bytes(5, "big"))
    # 34 code bits and two of padding fill 36 bits of 40: four zero bits lead
    bits.u(4)
    assert [bits.ue() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert [bits.se() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_a_key_frame_without_parameter_sets_gets_those_of_the_connection() -> None:
    first = encode(320, 240, 1)[0]
    nals = split(first)
    sets = b"".join(b"\0\0\0\1" + nal for nal in nals if nal[0] & 0x1F in (7, 8))
    bare = b"".join(b"\0\0\0\1" + nal for nal in nals if nal[0] & 0x1F == 5)
    assert Framer().picture(bare) is None
    picture = Framer(sets).picture(bare)
    assert picture is not None
    assert picture.keyframe
    assert [nal[0] & 0x1F for nal in split(picture.data)] == [7, 8, 5]
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoded = decoder.decode(av.Packet(picture.data)) + decoder.decode(None)
    assert [(frame.width, frame.height) for frame in decoded] == [(320, 240)]


def test_only_the_first_of_a_group_is_a_key_frame() -> None:
    framer = Framer()
    pictures = [framer.picture(data) for data in encode(320, 240, 12)]
    assert [n for n, picture in enumerate(pictures) if picture is not None and picture.keyframe] == [0, 10]


def passing(packets: list[bytes]) -> set[bool]:
    framer = Framer()
    return {picture.passes for data in packets if (picture := framer.picture(data)) is not None}


def test_an_order_of_showing_that_is_not_that_of_coming_is_known_from_the_first_picture_on() -> None:
    assert passing(encode(320, 240, 8, profile="main", b=2)) == {False}
    assert passing(encode(320, 240, 8, profile="main")) == {True}
    assert passing(encode(320, 240, 8, profile="baseline")) == {True}


def test_a_b_slice_tells_what_the_parameter_set_leaves_open() -> None:
    framer = Framer()
    sets = encode(320, 240, 1, profile="baseline")[0]
    assert [framer.picture(data).passes for data in (sets, b"\0\0\1\x41\x9a\x01", b"\0\0\1\x41\xa8\x01")] == [  # type: ignore[union-attr]  # they are pictures
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(("profile", "pix"), [("high422", "yuv422p"), ("high444", "yuv444p")])
def test_profiles_that_browsers_lack_do_not_pass(profile: str, pix: str) -> None:
    assert passing(encode(320, 240, 1, profile=profile, pix=pix)) == {False}


@given(st.binary(max_size=200))
def test_noise_between_start_codes_never_crashes(noise: bytes) -> None:
    picture = Framer().picture(b"\0\0\1" + noise)
    assert picture is None or picture.data.startswith(b"\0\0\0\1")


def test_slice_types_of_a_baseline_stream_are_i_and_p() -> None:
    kinds = {
        slice_type(nal)
        for data in encode(320, 240, 5, profile="baseline")
        for nal in split(data)
        if nal[0] & 0x1F in (1, 5)
    }
    assert kinds == {0, 2}
