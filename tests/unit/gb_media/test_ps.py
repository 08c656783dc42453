"""The program stream demultiplexer and muxer, with PyAV as the oracle (QUIRKS of media, 13 to 17 and 20)."""

import random
from itertools import pairwise

import pytest

from signaling.gb28181 import psm
from signaling.gb28181.es import VideoCodec
from signaling.gb28181.ps import PsDemuxer
from signaling.gb28181.ps_mux import Oddities, PsMuxer, crc
from tests.unit.gb_media.kit import SOUND, by_pyav, demuxed, expected, film, muxed, oracle, pictures

CODECS: tuple[VideoCodec, ...] = ("h264", "h265")


@pytest.mark.parametrize("codec", CODECS)
def test_what_we_mux_pyav_demultiplexes_picture_by_picture(codec: VideoCodec) -> None:
    found = oracle(b"".join(muxed(codec)))
    seen = [data for kind, data, _ in found if kind == "video"]
    assert seen == [shot.data for shot in film(codec)]
    assert [data for kind, data, _ in found if kind == "audio"] == [SOUND] * len(film(codec))


@pytest.mark.parametrize("codec", CODECS)
def test_what_pyav_muxes_we_demultiplex_to_the_same_pictures_and_times(codec: VideoCodec) -> None:
    """No map, and PES packets that begin inside pictures."""
    demuxer, units = demuxed(by_pyav(codec, "vob"))
    shots = film(codec)
    got, want = pictures(units), expected(shots)
    assert [each[0] for each in got] == [each[0] for each in want]
    assert [each[1] - got[0][1] for each in got] == [each[1] - want[0][1] for each in want]
    assert "no_map" in demuxer.noticed


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 188, 1_400, 1_000_000])
def test_pictures_are_the_same_wherever_the_bytes_are_cut(codec: VideoCodec, size: int) -> None:
    shots = film(codec)[:12]
    demuxer, units = demuxed(b"".join(muxed(codec, shots=shots)), size)
    assert pictures(units) == expected(shots)
    assert [unit.data for unit in units if unit.codec == "pcma"] == [SOUND] * len(shots)
    assert (demuxer.garbage, demuxer.dropped, demuxer.noticed) == (0, 0, set())


@pytest.mark.parametrize(
    "oddities",
    [
        Oddities(bad_map=True),
        Oddities(open_pes=True),
        Oddities(private=True),
        Oddities(lone_packs=True),
        Oddities(private=True, lone_packs=True, open_pes=True, bad_map=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("codec", CODECS)
def test_odd_headers_lose_nothing(codec: VideoCodec, oddities: Oddities) -> None:
    """QUIRKS 14, 15."""
    for size in (5, 1_400):
        demuxer, units = demuxed(b"".join(muxed(codec, oddities=oddities)), size)
        assert pictures(units) == expected(film(codec))
        assert sum(unit.codec == "pcma" for unit in units) == len(film(codec))
        assert demuxer.dropped == 0


def test_a_system_header_between_the_pieces_of_a_large_picture_is_passed_over() -> None:
    """QUIRKS 15."""
    shots = film(count=3, gop=3, size=(640, 360))
    assert len(shots[0].data) > 65_535
    _, units = demuxed(b"".join(muxed(shots=shots, oddities=Oddities(system_everywhere=True))))
    assert pictures(units) == expected(shots)


def test_a_length_modulo_64_kib_does_not_cut_a_large_picture() -> None:
    shots = film(count=3, gop=3, size=(640, 360))
    demuxer, units = demuxed(b"".join(muxed(shots=shots, sound=False, oddities=Oddities(short_pes=True))))
    assert pictures(units) == expected(shots)
    assert "pes_length_wraps" in demuxer.noticed


@pytest.mark.parametrize("after", [1, 4, 12])
def test_what_came_before_the_first_map_is_held_back_and_not_lost(after: int) -> None:
    """QUIRKS 16: the map comes late; nothing leaves before it, everything after."""
    packs = muxed(oddities=Oddities(map_after=after))
    demuxer = PsDemuxer()
    for place, pack in enumerate(packs):
        units = demuxer.feed(pack)
        assert not (place < after and units)
    _, units = demuxed(b"".join(packs))
    assert pictures(units) == expected(film())


def test_joining_in_the_middle_waits_for_map_and_key_frame() -> None:
    """QUIRKS 16: as a viewer who comes while the device already sends."""
    packs = muxed()
    whole = b"".join(packs)
    for cut in range(len(packs[0]) + 100, len(packs[0]) + 4_000, 397):
        _, units = demuxed(whole[cut:])
        assert pictures(units) == expected(film())[10:]


def test_a_map_that_changes_changes_the_codec() -> None:
    """QUIRKS 16."""
    first, second = b"".join(muxed("h264")), b"".join(muxed("h265"))
    demuxer, units = demuxed(first + second)
    assert demuxer.map_changes == 1
    codecs = [unit.codec for unit in units if unit.nals]
    assert codecs[-1] == "h265"
    assert codecs.count("h264") >= 29
    assert codecs.count("h265") == 30


def test_svac_is_named_as_what_cannot_be_decoded() -> None:
    """QUIRKS 14."""
    muxer = PsMuxer("svac", sound="pcma")
    demuxer = PsDemuxer()
    units = [unit for shot in film() for unit in demuxer.feed(muxer.picture(shot.data, shot.pts, key=shot.key))]
    assert (demuxer.undecodable, units) == ("SVAC", [])


@pytest.mark.parametrize("codec", CODECS)
def test_after_a_loss_nothing_leaves_before_the_next_key_frame(codec: VideoCodec) -> None:
    """QUIRKS 17."""
    whole = b"".join(muxed(codec))
    pieces = [whole[at : at + 700] for at in range(0, len(whole), 700)]
    want = expected(film(codec))
    for gone in range(0, len(pieces), 3):
        demuxer = PsDemuxer()
        units = []
        for place, piece in enumerate(pieces):
            if place == gone:
                demuxer.lost()
                continue
            units += demuxer.feed(piece)
        got = pictures(units + demuxer.end())
        assert all(picture in want for picture in got)
        places = [want.index(picture) for picture in got]
        for before, after in pairwise(places):
            assert after == before + 1 or want[after][2]
        assert len(got) >= 19


def test_garbage_between_packs_costs_no_more_than_a_group_of_pictures() -> None:
    dice = random.Random(3)
    packs = muxed()
    packs.insert(25, b"\x00" * 50)
    packs.insert(5, dice.randbytes(999))
    demuxer, units = demuxed(b"".join(packs))
    got, want = pictures(units), expected(film())
    assert all(picture in want for picture in got)
    assert len(got) == 24  # 4 to 9 are lost; zeros cost nothing
    assert demuxer.garbage >= 900


def test_markers_end_pictures_at_once() -> None:
    demuxer = PsDemuxer()
    for shot, pack in zip(film(), muxed(sound=False), strict=True):
        units = demuxer.feed(pack, marker=True)
        assert [unit.pts for unit in units] == [shot.pts]


def test_markers_on_every_packet_are_seen_through() -> None:
    demuxer = PsDemuxer()
    whole = b"".join(muxed(sound=False))
    units = []
    for at in range(0, len(whole), 500):
        units += demuxer.feed(whole[at : at + 500], marker=True)
    want = expected(film())
    got = pictures(units + demuxer.end())
    assert got[-20:] == want[-20:]


def test_open_packets_with_markers_everywhere_recover_by_the_next_key_frame() -> None:
    demuxer = PsDemuxer()
    whole = b"".join(muxed(sound=False, oddities=Oddities(open_pes=True)))
    units = []
    for at in range(0, len(whole), 500):
        units += demuxer.feed(whole[at : at + 500], marker=True)
    got = pictures(units + demuxer.end())
    assert "markers_inside_pictures" in demuxer.noticed
    assert got[-20:] == expected(film())[-20:]


def test_a_device_that_says_no_times_gets_those_of_its_packets() -> None:
    demuxer = PsDemuxer()
    units = []
    for shot, pack in zip(film(), muxed(sound=False, oddities=Oddities(no_times=True)), strict=True):
        units += demuxer.feed(pack, time=shot.pts + 77)
    assert [unit.pts - 77 for unit in units] == [shot.pts for shot in film()][:-1]


def test_times_go_on_where_33_bits_end() -> None:
    base = 2**33 - 5 * 3_600
    muxer, demuxer = PsMuxer(), PsDemuxer()
    units = []
    for place, shot in enumerate(film()):
        units += demuxer.feed(muxer.picture(shot.data, base + place * 3_600, key=shot.key), marker=True)
    assert [unit.pts for unit in units] == [base + place * 3_600 for place in range(30)]


def test_a_map_that_names_the_wrong_codec_is_corrected_by_the_pictures() -> None:
    muxer, demuxer = PsMuxer("h264"), PsDemuxer()
    units = []
    for shot in film("h265"):
        units += demuxer.feed(muxer.picture(shot.data, shot.pts, key=shot.key), marker=True)
    assert {unit.codec for unit in units} == {"h265"}
    assert "map_names_wrong_codec" in demuxer.noticed
    assert len(units) >= 20


def test_maps_are_read_through_wrong_lengths_and_descriptors() -> None:
    """QUIRKS 14."""
    right = b"\xe1\xff\0\0\0\x08\x24\xe0\0\0\x90\xc0\0\0crcc"
    want = {0xE0: psm.H265, 0xC0: psm.G711A}
    assert psm.parse_map(right) == want
    for place in (2, 3, 4, 5, 8, 9, 12, 13):
        for value in (1, 9, 127, 255):
            broken = bytearray(right)
            broken[place] = value
            assert psm.parse_map(bytes(broken)) == want, (place, value)
    assert psm.parse_map(b"") is None
    assert psm.parse_map(bytes(20)) is None


def test_the_map_we_make_has_the_right_crc() -> None:
    pack = muxed()[0]
    at = pack.index(b"\0\0\1\xbc")
    size = 6 + int.from_bytes(pack[at + 4 : at + 6], "big")
    assert crc(pack[at : at + size]) == 0  # a CRC over data and CRC is zero


def test_a_picture_without_end_is_let_go() -> None:
    demuxer = PsDemuxer()
    demuxer.feed(muxed()[0])
    demuxer.feed(b"\0\0\1\xe0\0\0\x80\0\0\0\0\0\1\x65")
    for _ in range(200):
        demuxer.feed(b"\x55" * 65_536)
    assert demuxer.pictures._size <= 8 * 2**20
    assert demuxer.dropped
