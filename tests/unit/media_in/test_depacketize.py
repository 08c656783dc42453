"""Access units out of packets: every form of the standard, losses, and cameras that get it wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp.h264 import packetize
from hub.media.rtp.packet import RtpPacket
from hub.media.sources.depacketize import MAX_NALS, H264Depacketizer, Unit

SPS, PPS = b"\x67\x42\xe0\x1e" + bytes(8), b"\x68\xce\x3c\x80"
IDR = b"\x65\x88" + bytes(range(256)) * 12
IDR_REST = b"\x65\x08" + bytes(600)  # first_mb_in_slice is not 0
P = b"\x41\x9a" + bytes(range(256)) * 6
P_SMALL = b"\x41\x9a\x01"


def packets(*units: list[bytes], start: int = 0, limit: int = 500) -> list[RtpPacket]:
    """RTP of these access units, 40 ms apart, as the hub's own packetizer makes it."""
    made: list[RtpPacket] = []
    for number, nals in enumerate(units):
        payloads = packetize(nals, limit)
        for at, payload in enumerate(payloads):
            seq = (start + len(made)) & 0xFFFF
            made.append(RtpPacket(at == len(payloads) - 1, 96, seq, number * 3_600, 1, payload))
    return made


def taken(depacketizer: H264Depacketizer, given: list[RtpPacket], lost_before: dict[int, int]) -> list[Unit]:
    out: list[Unit] = []
    for packet in given:
        out += depacketizer.push(packet, lost_before.get(packet.seq, 0))
    return out


def through(units: list[list[bytes]], *, lose: tuple[int, ...] = ()) -> tuple[list[Unit], H264Depacketizer]:
    depacketizer = H264Depacketizer()
    sent = [packet for packet in packets(*units) if packet.seq not in lose]
    gaps = {after: sum(1 for number in lose if number == after - 1) for after in range(1, 1_000)}
    return taken(depacketizer, sent, gaps), depacketizer


def test_singles_aggregates_and_fragments_come_out_as_they_went_in() -> None:
    units, depacketizer = through([[SPS, PPS, IDR], [P], [P_SMALL]])
    assert [unit.nals for unit in units] == [[SPS, PPS, IDR], [P], [P_SMALL]]
    assert [unit.key for unit in units] == [True, False, False]
    assert (depacketizer.dropped, depacketizer.malformed) == (0, 0)


@pytest.mark.parametrize("seq", range(1, 12))
def test_after_any_loss_nothing_comes_before_the_next_key_frame(seq: int) -> None:
    film = [[SPS, PPS, IDR], [P], [P_SMALL], [SPS, PPS, IDR], [P_SMALL]]
    whole = packets(*film)
    units, depacketizer = through(film, lose=(seq,))
    hit = whole[seq].timestamp // 3_600
    times = [unit.timestamp // 3_600 for unit in units]
    assert hit not in times
    assert set(times) == set(range(hit)) | ({3, 4} if hit < 3 else set())
    assert depacketizer.dropped >= (1 if hit != 4 else 0)


def test_a_key_frame_whose_first_slice_is_lost_is_no_key_frame() -> None:
    units, _ = through([[SPS, PPS, IDR], [P_SMALL], [IDR_REST], [P_SMALL], [SPS, PPS, IDR]], lose=(8,))
    assert [unit.timestamp // 3_600 for unit in units] == [0, 4]


def test_the_marker_may_be_missing() -> None:
    depacketizer = H264Depacketizer()
    sent = [RtpPacket(False, p.payload_type, p.seq, p.timestamp, p.ssrc, p.payload) for p in packets([IDR], [P], [P])]
    assert len(taken(depacketizer, sent, {})) == 2


def test_a_marker_on_every_slice_is_found_out() -> None:
    slices = [IDR, IDR_REST]
    depacketizer, seq, out = H264Depacketizer(), 0, []
    for picture in range(4):
        for nal in slices:
            out.append(depacketizer.push(RtpPacket(True, 96, seq, picture * 3_600, 1, nal), 0))
            seq += 1
    units = [unit for each in out for unit in each]
    assert depacketizer.ambiguous_markers
    assert [unit.nals for unit in units[1:]] == [slices, slices]


def test_start_codes_in_rtp_are_taken_off() -> None:
    depacketizer = H264Depacketizer()
    payload = b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS + b"\0\0\1" + IDR
    (unit,) = depacketizer.push(RtpPacket(True, 96, 0, 0, 1, payload), 0)
    assert [nal[0] & 0x1F for nal in unit.nals] == [7, 8, 5]
    assert unit.key


@pytest.mark.parametrize(
    "payload",
    [b"\x18", b"\x18\0", b"\x18\0\0", b"\x18\0\x09\x65", b"\x1c", b"\x1c\x85", b"\x19\0\1", b"\x1d\x85\0\0x",
     b"\x1e\1\2", b"\0\1\2"],
)  # fmt: skip
def test_what_no_clause_allows_is_counted_and_spoils_its_picture_only(payload: bytes) -> None:
    depacketizer = H264Depacketizer()
    assert depacketizer.push(RtpPacket(True, 96, 0, 0, 1, payload), 0) == []
    assert depacketizer.malformed == 1
    units = taken(depacketizer, packets([SPS, PPS, IDR], start=1), {})
    assert [unit.key for unit in units] == [True]


def test_a_picture_that_never_ends_is_bounded() -> None:
    depacketizer = H264Depacketizer()
    for seq in range(MAX_NALS + 50):
        depacketizer.push(RtpPacket(False, 96, seq & 0xFFFF, 0, 1, P_SMALL), 0)
    assert depacketizer.malformed == 50
    begin = b"\x7c\x85" + bytes(1_400)
    other = H264Depacketizer()
    other.push(RtpPacket(False, 96, 0, 0, 1, begin), 0)
    for seq in range(1, 7_000):
        other.push(RtpPacket(False, 96, seq, 0, 1, b"\x7c\x05" + bytes(1_400)), 0)
    assert other.malformed == 1


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans(), st.integers(0, 3), st.booleans()), max_size=60))
def test_any_packets_give_whole_units_and_no_crash(given: list[tuple[bytes, bool, int, bool]]) -> None:
    depacketizer = H264Depacketizer()
    for seq, (payload, marker, step, lost) in enumerate(given):
        for unit in depacketizer.push(RtpPacket(marker, 96, seq, step * 3_600, 1, payload), int(lost)):
            assert all(unit.nals)


NALS = st.lists(st.binary(min_size=3, max_size=3_000).map(lambda data: b"\x41\x80" + data), min_size=1, max_size=5)


@given(st.lists(NALS, min_size=1, max_size=6), st.integers(60, 1_400))
def test_what_the_hubs_own_packetizer_makes_is_read_back(pictures: list[list[bytes]], limit: int) -> None:
    film = [[SPS, PPS, IDR], *pictures]
    units = taken(H264Depacketizer(), packets(*film, limit=limit), {})
    assert [unit.nals for unit in units] == film
