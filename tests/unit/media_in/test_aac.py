"""AAC out of RTP: frames with a header that any decoder knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp.packet import RtpPacket
from hub.media.sources.aac import AacDepacketizer, AacFormat, format_of, parse_config

LC_16K_MONO = AacFormat(2, 16_000, 1)


def packed(frames: list[bytes], timestamp: int = 0, marker: bool = True) -> RtpPacket:
    """RFC 3640 §3.3.6: AAC-hbr."""
    headers = b"".join((len(frame) << 3).to_bytes(2, "big") for frame in frames)
    return RtpPacket(marker, 97, 0, timestamp, 1, (len(frames) * 16).to_bytes(2, "big") + headers + b"".join(frames))


def unpacked(data: bytes) -> tuple[int, bytes]:
    """The length that the ADTS header says, and the frame."""
    return (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5, data[7:]


def test_the_configuration_says_object_rate_and_channels() -> None:
    assert parse_config(bytes.fromhex("1408")) == LC_16K_MONO
    assert parse_config(bytes.fromhex("1190")) == AacFormat(2, 48_000, 2)
    assert parse_config(bytes.fromhex("2b920800")) == AacFormat(2, 22_050, 2)  # SBR over a core
    for bad in ("", "14", "f801", "1400", "17f0"):
        with pytest.raises(ValueError, match=r"."):
            parse_config(bytes.fromhex(bad))


def test_latm_is_taken_with_one_frame_a_packet_and_its_configuration_apart() -> None:
    found = format_of("mp4a-latm", {"cpresent": "0", "config": "400028103fc0"})
    assert (found.object, found.rate, found.channels, found.latm) == (2, 16_000, 1, True)
    for bad in ({"config": "400028103fc0"}, {"cpresent": "0", "config": "4002"}, {"cpresent": "0", "config": "zz"}):
        with pytest.raises(ValueError, match=r"."):
            format_of("mp4a-latm", bad)
    depacketizer = AacDepacketizer(found)
    frame = bytes(300)
    data = b"\xff\x2d" + frame
    assert depacketizer.push(RtpPacket(False, 97, 0, 7, 1, data[:100]), 0) == []
    [(at, made)] = depacketizer.push(RtpPacket(True, 97, 1, 7, 1, data[100:]), 0)
    assert (at, unpacked(made)) == (7, (307, frame))


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_frames_come_out_with_their_times_and_a_header(frames: list[bytes], timestamp: int) -> None:
    found = AacDepacketizer(LC_16K_MONO).push(packed(frames, timestamp), 0)
    assert [at for at, _ in found] == [timestamp + 1_024 * n for n in range(len(frames))]
    assert [unpacked(data) for _, data in found] == [(len(frame) + 7, frame) for frame in frames]


def test_a_frame_over_several_packets_is_put_together_and_a_loss_drops_it() -> None:
    frame, depacketizer = bytes(range(250)) * 8, AacDepacketizer(LC_16K_MONO)
    head = (16).to_bytes(2, "big") + (len(frame) << 3).to_bytes(2, "big")
    pieces = [RtpPacket(at == 1_000, 97, 0, 5, 1, head + frame[at : at + 1_000]) for at in (0, 1_000)]
    assert [len(depacketizer.push(piece, 0)) for piece in pieces] == [0, 1]
    [(_, made)] = depacketizer.push(pieces[0], 0) or depacketizer.push(pieces[1], 0)
    assert unpacked(made)[1] == frame
    depacketizer.push(pieces[0], 0)
    assert depacketizer.push(packed([b"next"]), 1) != []


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=20), st.booleans())
def test_any_bytes_are_taken_or_counted(payloads: list[tuple[bytes, bool]], latm: bool) -> None:
    depacketizer = AacDepacketizer(AacFormat(2, 16_000, 1, latm=latm))
    for payload, marker in payloads:
        for _, frame in depacketizer.push(RtpPacket(marker, 97, 0, 0, 1, payload), 0):
            assert unpacked(frame)[0] == len(frame)


def test_a_frame_that_adts_cannot_carry_is_counted() -> None:
    depacketizer = AacDepacketizer(AacFormat(2, 16_000, 1, 16, 0))
    data = (16).to_bytes(2, "big") + (9_000).to_bytes(2, "big") + bytes(9_000)
    assert depacketizer.push(RtpPacket(True, 97, 0, 0, 1, data), 0) == []
    assert depacketizer.malformed == 1
