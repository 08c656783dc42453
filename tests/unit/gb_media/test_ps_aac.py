"""AAC in a program stream: stream type 0x0F in the map, frames with ADTS headers, cut as devices cut them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import av
import numpy as np
import pytest

from hub.demo.gb_device.film import aac_at
from hub.demo.gb_device.options import DeviceOptions
from hub.demo.gb_device.packing import Packer
from hub.demo.gb_device.player import Player
from hub.demo.gb_device.views import aac_tone, small_film
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.aac import AacFormat
from hub.media.sources.gb28181.receiver import GbReceiver
from signaling.gb28181.es import MediaUnit
from signaling.gb28181.ps_mux import PsMuxer
from tests.unit.gb_media.kit import demuxed, film, oracle

RATE, HERTZ = 16_000, 1_000
STEP = 1_024 * 90_000 // RATE


def frames(count: int = 40) -> tuple[bytes, ...]:
    """Of a real encoder."""
    return aac_tone(HERTZ, RATE).frames[:count]


def with_aac(pieces: Iterable[tuple[bytes, int]]) -> bytes:
    """A program stream with these PES packets of sound behind its first picture."""
    muxer, (first, *_) = PsMuxer("h264", sound="aac"), film()
    return muxer.picture(first.data, first.pts, key=True) + b"".join(muxer.sound(data, pts) for data, pts in pieces)


def sounds(units: Sequence[MediaUnit]) -> list[tuple[bytes, int]]:
    return [(unit.data, unit.pts) for unit in units if unit.codec == "aac"]


def in_time(count: int = 40, begin: int = 900_000) -> list[tuple[bytes, int]]:
    return [(frame, begin + place * STEP) for place, frame in enumerate(frames(count))]


def pitch(adts: Iterable[bytes]) -> float:
    """The strongest frequency, by PyAV."""
    decoder: Any = av.CodecContext.create("aac", "r")
    made = [frame.to_ndarray()[0] for data in adts for frame in decoder.decode(av.Packet(data))]
    samples = np.concatenate(made)[4_096:]
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))) * RATE / len(samples)


def test_what_we_mux_pyav_finds_as_aac_frame_by_frame() -> None:
    found = [data for kind, data, _ in oracle(with_aac(in_time())) if kind == "audio"]
    assert b"".join(found) == b"".join(frames())


@pytest.mark.parametrize("size", [1, 7, 188, 1_400])
def test_frames_come_out_whole_with_their_times_wherever_the_bytes_are_cut(size: int) -> None:
    demuxer, units = demuxed(with_aac(in_time()), size)
    assert sounds(units) == in_time()
    assert (demuxer.garbage, demuxer.dropped, demuxer.silent) == (0, 0, None)
    assert abs(pitch(data for data, _ in sounds(units)) - HERTZ) < 15


def test_several_frames_in_one_pes_packet_follow_each_other_in_time() -> None:
    want = in_time()
    pieces = [(b"".join(data for data, _ in want[at : at + 4]), want[at][1]) for at in range(0, 40, 4)]
    assert sounds(demuxed(with_aac(pieces))[1]) == want


@pytest.mark.parametrize("cut", [1, 5, 9, 30])
def test_a_frame_over_two_pes_packets_keeps_its_time_and_the_next_packets_time_is_that_of_its_own_first_frame(
    cut: int,
) -> None:
    """ISO/IEC 13818-1 2.4.3.7: PTS is that of the first frame that begins in the packet."""
    want = in_time(8)
    pieces, rest = [], b""
    for at in range(0, 8, 2):
        both = rest + want[at][0] + want[at + 1][0]
        pieces.append((both[:-cut] if at < 6 else both, want[at][1]))
        rest = both[-cut:]
    assert sounds(demuxed(with_aac(pieces))[1]) == want


def test_a_frame_of_two_blocks_lasts_twice_as_long() -> None:
    """ISO/IEC 14496-3 1.A.2.2.1: number_of_raw_data_blocks_in_frame."""
    (first, at), (second, _) = in_time(2)
    double = first[:6] + bytes((first[6] | 1,)) + first[7:]
    assert sounds(demuxed(with_aac([(double + second, at)]))[1]) == [(double, at), (second, at + 2 * STEP)]


def test_garbage_between_frames_costs_no_frame_and_a_lost_packet_only_its_own() -> None:
    want = in_time(6)
    dirty = [(b"\xff\x00\x12\xff\xf1" + data, pts) for data, pts in want]
    assert sounds(demuxed(with_aac(dirty))[1]) == want
    demuxer, units = demuxed(with_aac(want[:3]))
    demuxer.lost()
    muxer = PsMuxer("h264", sound="aac")
    more = demuxer.feed(b"".join(muxer.sound(data, pts) for data, pts in want[4:]))
    assert sounds([*units, *more, *demuxer.end()]) == [*want[:3], *want[4:]]


def test_frames_of_any_rate_and_number_of_channels_step_by_their_own_length() -> None:
    for rate in (8_000, 32_000, 44_100, 48_000):
        made = [AacFormat(2, rate, 2).adts(bytes((number,)) * 20) for number in range(1, 4)]
        (_, first), (_, second), (_, third) = sounds(demuxed(with_aac([(b"".join(made), 0)]))[1])
        assert (second - first, third - second) == (1_024 * 90_000 // rate,) * 2


def test_the_devices_aac_arrives_at_the_relay_in_time_and_at_its_pitch() -> None:
    units: list[AccessUnit] = []
    receiver = GbReceiver(udp=True, clock=lambda: 0, emit=units.append, announced=frozenset({7}))
    sound = aac_tone(HERTZ, RATE)
    packer, player = Packer(DeviceOptions(sound="aac"), 7, aac=sound), Player(small_film(2, (160, 96)), 0.0)
    for _ in range(75):
        for packet in packer.packets(player.take(), b"not this"):
            receiver.packet(packet)
    heard = [unit for unit in units if unit.kind == "audio"]
    assert {unit.codec for unit in heard} == {"aac"}
    assert len(heard) in (46, 47)  # three seconds
    assert [b.pts - a.pts for a, b in itertools.pairwise(heard)] == [STEP] * (len(heard) - 1)
    assert abs(pitch(unit.data for unit in heard) - HERTZ) < 15
    assert not receiver.facts.get("left_out")


def test_every_frame_of_the_loop_belongs_to_one_picture() -> None:
    sound = aac_tone(HERTZ, RATE)
    got = b"".join(aac_at(index, sound)[1] for index in range(250))
    every = sound.frames * 5
    assert got == b"".join(every[: -(-250 * 640 // 1_024)])
