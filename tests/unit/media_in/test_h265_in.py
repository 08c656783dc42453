"""H.265 of a camera: access units out of packets, made complete, and whether browsers decode them as they are."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.media.rtp import h265
from hub.media.rtp.packet import RtpPacket
from hub.media.sources.depacketize import H265Depacketizer, Unit
from hub.media.sources.h265 import H265Framer
from tests.unit.media.test_h265 import IDR, PPS, SPS, TRAIL, VPS, encoded, nal

SETS = [nal(VPS, b"\x0c" + bytes(8)), nal(SPS, bytes(20)), nal(PPS, b"\xc0" + bytes(3))]
KEY = nal(IDR, b"\xaf" + bytes(range(256)) * 12)
REST = nal(IDR, b"\x2f" + bytes(600))  # first_slice_segment_in_pic_flag is not set
P = nal(TRAIL, b"\xd0" + bytes(range(256)) * 6)
P_SMALL = nal(TRAIL, b"\xd0\x01")


def packets(*units: list[bytes], limit: int = 500) -> list[RtpPacket]:
    made: list[RtpPacket] = []
    for number, nals in enumerate(units):
        payloads = h265.packetize(nals, limit)
        for at, payload in enumerate(payloads):
            made.append(RtpPacket(at == len(payloads) - 1, 96, len(made), number * 3_600, 1, payload))
    return made


def through(units: list[list[bytes]], lose: int | None = None) -> tuple[list[Unit], H265Depacketizer]:
    depacketizer, out = H265Depacketizer(), []
    for packet in packets(*units):
        if packet.seq != lose:
            out += depacketizer.push(packet, int(lose is not None and packet.seq == lose + 1))
    return out, depacketizer


def test_singles_aggregates_and_fragments_come_out_as_they_went_in() -> None:
    units, depacketizer = through([[*SETS, KEY], [P], [P_SMALL], [KEY, REST]])
    assert [unit.nals for unit in units] == [[*SETS, KEY], [P], [P_SMALL], [KEY, REST]]
    assert [unit.key for unit in units] == [True, False, False, True]
    assert (depacketizer.dropped, depacketizer.malformed) == (0, 0)


@pytest.mark.parametrize("seq", range(1, 12))
def test_after_any_loss_nothing_comes_before_the_next_key_frame(seq: int) -> None:
    film = [[*SETS, KEY], [P], [P_SMALL], [*SETS, KEY], [P_SMALL]]
    hit = packets(*film)[seq].timestamp // 3_600
    units, depacketizer = through(film, lose=seq)
    times = [unit.timestamp // 3_600 for unit in units]
    assert set(times) == set(range(hit)) | ({3, 4} if hit < 3 else set())
    assert depacketizer.dropped >= (1 if hit != 4 else 0)


@given(
    st.lists(st.lists(st.integers(1, 3_000), min_size=1, max_size=4), min_size=1, max_size=6), st.integers(60, 1_300)
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_packetized_comes_out_whole(sizes: list[list[int]], limit: int) -> None:
    film = [[nal(IDR, b"\x80" + b"\x33" * size) for size in unit] for unit in sizes]
    depacketizer, out = H265Depacketizer(), []
    for packet in packets(*film, limit=limit):
        out += depacketizer.push(packet, 0)
    assert [unit.nals for unit in out] == film


def test_start_codes_in_packets_are_taken_off_and_what_is_no_unit_is_counted() -> None:
    depacketizer = H265Depacketizer()
    units = depacketizer.push(RtpPacket(True, 96, 0, 0, 1, b"\0\0\0\1" + KEY), 0)
    assert [unit.nals for unit in units] == [[KEY]]
    for bad in (b"\x02\x00\x80", b"\x62\x01\x93", nal(48, b"\xff\xff\x01"), nal(50, b"abc"), b"\x02\x01"):
        depacketizer.push(RtpPacket(False, 96, 1, 3_600, 1, bad), 0)
    assert depacketizer.malformed == 5


def test_a_key_frame_comes_with_its_sets_and_passes_when_browsers_know_it() -> None:
    framer = H265Framer()
    film = encoded(params="bframes=0:repeat-headers=1")
    pictures = [framer.picture(data) for data in film]
    assert all(picture is not None and picture.passes for picture in pictures)
    assert [n for n, picture in enumerate(pictures) if picture is not None and picture.keyframe] == [0, 10]
    bare = b"".join(b"\0\0\1" + found for found in h265.split(film[0]) if h265.is_slice(found))
    again = framer.picture(bare)
    assert again is not None
    assert [h265.kind(found) for found in h265.split(again.data)][:3] == [VPS, SPS, PPS]
    assert H265Framer().picture(bare) is None  # without its sets nobody decodes it


def test_an_order_of_showing_that_is_not_that_of_coming_does_not_pass() -> None:
    framer = H265Framer()
    found = {picture.passes for data in encoded(params="bframes=3:b-adapt=0") if (picture := framer.picture(data))}
    assert found == {False}


@given(st.lists(st.binary(max_size=80), max_size=20), st.binary(max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_taken_or_counted(payloads: list[bytes], marks: bytes) -> None:
    depacketizer, framer = H265Depacketizer(), H265Framer()
    for number, (payload, mark) in enumerate(itertools.zip_longest(payloads, marks[: len(payloads)], fillvalue=0)):
        data = payload if isinstance(payload, bytes) else b""
        flags = mark if isinstance(mark, int) else 0
        for unit in depacketizer.push(RtpPacket(bool(flags & 1), 96, number, flags >> 1, 1, data), flags & 2):
            framer.assembled(unit.nals)
