"""A track's numbers and time outlive sources, publishers and their accidents."""

from itertools import pairwise

from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.track import HISTORY, MAX_GOP, Track
from hub.media.rtp.unit import AccessUnit, UnitCodec

KEY = b"\0\0\0\1\x67\x42\xe0\x1f\0\0\0\1\x68\xce\0\0\0\1\x65"
DELTA = b"\0\0\0\1\x41"


def unit(key: bool, pts: int, at_ms: int, size: int = 100) -> AccessUnit:
    return AccessUnit("video", "h264", (KEY if key else DELTA) + b"\x55" * size, pts, key, at_ms)


def vp8(seq: int, timestamp: int, ssrc: int, *, key: bool = False) -> RtpPacket:
    return RtpPacket(
        True, 96, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, b"\x10" + (b"\0" if key else b"\1") + b"x" * 9
    )


def test_nothing_leaves_before_the_first_key_frame() -> None:
    track = Track("h264")
    assert track.append_unit(unit(False, 0, 0)) == []
    assert track.append_unit(unit(True, 3_600, 40))
    assert track.counters.discarded == 1


def test_only_the_last_packet_of_a_picture_is_marked() -> None:
    packets = Track("h264").append_unit(unit(True, 0, 0, 5_000))
    assert [packet.marker for packet in packets] == [False] * (len(packets) - 1) + [True]
    assert [packet.key for packet in packets] == [True] + [False] * (len(packets) - 1)
    assert [packet.n for packet in packets] == list(range(len(packets)))


def test_after_a_restart_time_goes_on_by_what_really_passed() -> None:
    track = Track("h264")
    before = track.append_unit(unit(True, 1_000_000, 10_000))[0]
    track.restart()
    assert track.gop_start() is None
    after = track.append_unit(unit(True, 5, 13_000))[0]
    assert after.n == track.get(after.n).n  # type: ignore[union-attr]
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 3_000 * 90


def test_a_jump_of_the_sources_time_becomes_the_time_that_passed() -> None:
    track = Track("h264")
    first = track.append_unit(unit(True, 0, 1_000))[0]
    back = track.append_unit(unit(False, -900_000, 1_040))[0]
    ahead = track.append_unit(unit(False, 2**40, 1_080))[0]
    steady = track.append_unit(unit(False, 2**40 + 3_600, 1_120))[0]
    stamps = [packet.timestamp for packet in (first, back, ahead, steady)]
    assert [(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)] == [3_600, 3_600, 3_600]


def test_the_history_forgets_and_a_too_long_gop_is_not_offered() -> None:
    track = Track("h264")
    track.append_unit(unit(True, 0, 0))
    assert track.gop_start() == 0
    n = 0
    while track.head < MAX_GOP:
        n += 1
        track.append_unit(unit(False, n * 3_600, n * 40, 5_000))
    assert track.gop_start() is None
    while track.head < HISTORY + 2:
        n += 1
        track.append_unit(unit(False, n * 3_600, n * 40, 5_000))
    assert track.get(0) is None
    assert track.get(track.head) is not None


def test_what_fits_no_packet_is_discarded() -> None:
    audio = Track("opus")
    codec: UnitCodec = "opus"
    assert audio.append_unit(AccessUnit("audio", codec, b"x" * 2_000, 0, True, 0)) == []
    assert audio.append_unit(AccessUnit("audio", codec, b"", 0, True, 0)) == []
    assert audio.append_unit(AccessUnit("audio", codec, b"x" * 80, 0, True, 0))


def test_a_publishers_numbers_are_rewritten_over_its_wrap_around_and_disorder() -> None:
    track = Track("vp8")
    order = [0, 1, 3, 2, 4, 4, 6]
    stored = track.append_rtp([vp8(65_533 + i, 2**32 - 6_000 + i * 3_000, 5, key=i == 0) for i in order], 0)
    assert [packet.n for packet in stored] == [0, 1, 3, 2, 4, 6]
    assert track.get(5) is None
    assert track.counters.discarded == 1
    first = stored[0].timestamp
    assert [(packet.timestamp - first) & 0xFFFFFFFF for packet in stored] == [0, 3_000, 9_000, 6_000, 12_000, 18_000]


def test_a_successor_continues_where_the_last_publisher_stopped() -> None:
    track = Track("vp8")
    track.append_rtp([vp8(100 + i, i * 3_000, 5, key=i == 0) for i in range(3)], 1_000)
    last = track.get(2)
    track.restart()
    assert track.append_rtp([vp8(9, 9, 6)], 1_500) == []
    (new,) = track.append_rtp([vp8(10, 77, 6, key=True)], 2_000)
    assert last is not None
    assert new.n == 3
    assert (new.timestamp - last.timestamp) & 0xFFFFFFFF == 90_000


def test_a_sender_report_sets_the_clock_of_a_track() -> None:
    track = Track("vp8")
    (packet,) = track.append_rtp([vp8(1, 1_000, 5, key=True)], 5_000)
    track.sync(5, 1_000 + 9_000, 5_060)
    track.sync(6, 0, 0)  # another source's
    assert track.timestamp_at(5_060) == (packet.timestamp + 9_000) & 0xFFFFFFFF
    assert track.timestamp_at(6_060) == (packet.timestamp + 99_000) & 0xFFFFFFFF


def test_a_cameras_clock_follows_its_least_delayed_frames() -> None:
    track = Track("h264")
    packets = [track.append_unit(unit(True, 0, 1_030))[0]]
    for n in range(1, 40):
        packets += track.append_unit(unit(False, n * 3_600, 1_000 + n * 40 + (n % 3) * 15))
    at = track.timestamp_at(1_000 + 39 * 40)
    assert at is not None
    assert abs(((at - packets[-1].timestamp + 2**31) & 0xFFFFFFFF) - 2**31) < 5 * 90
