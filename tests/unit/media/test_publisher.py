"""What a publisher is told: key frames merged and throttled, losses, the rate."""

from hub.media.peer.counters import Counters
from hub.media.peer.publisher import MAX_RATE, MIN_RATE, Publisher, next_rate
from hub.media.rtp import rtcp
from hub.media.rtp.packet import RtpPacket
from hub.media.stream import Stream


def publisher(media: list[str] | None = None) -> tuple[Publisher, Stream, Counters]:
    stream, counters = Stream("mem-1", clock=lambda: 0), Counters()
    heard = media if media is not None else []
    made = Publisher(stream, {96: "vp8", 111: "opus"}, 4_711, counters, lambda: heard.append("media"))
    stream.publisher(("vp8", "opus"), made.request_keyframe)
    return made, stream, counters


def packet(seq: int, *, ssrc: int = 1, payload_type: int = 96) -> RtpPacket:
    return RtpPacket(True, payload_type, seq, seq * 3_000, ssrc, b"\x10\x00xxxx")


def kinds(data: bytes) -> list[type]:
    return [type(item) for item in rtcp.parse_rtcp(data)] if data else []


def test_a_key_frame_is_asked_for_at_the_start_and_then_twice_a_second_at_most() -> None:
    made, stream, counters = publisher()
    assert made.due(1_000) == b""
    made.packet(packet(1), 1_000)
    assert rtcp.KeyframeRequest in kinds(made.due(1_000))
    for now in range(1_001, 1_500, 50):
        stream.request_keyframe()
        assert rtcp.KeyframeRequest not in kinds(made.due(now))
    assert rtcp.KeyframeRequest in kinds(made.due(1_500))
    assert counters.keyframe_requests == 2


def test_a_lost_packet_is_asked_for() -> None:
    made, _, _ = publisher()
    for seq in (1, 2, 5):
        made.packet(packet(seq), 1_000)
    nacks = [item for item in rtcp.parse_rtcp(made.due(1_050)) if isinstance(item, rtcp.Nack)]
    assert nacks == [rtcp.Nack(1, (3, 4))]


def test_reports_name_every_source_once_a_second() -> None:
    made, _, _ = publisher()
    made.packet(packet(1), 1_000)
    made.packet(packet(1, ssrc=2, payload_type=111), 1_000)
    (report, *_) = rtcp.parse_rtcp(made.due(1_000))
    assert isinstance(report, rtcp.Report)
    assert {block.ssrc for block in report.blocks} == {1, 2}
    assert made.due(1_999) == b""
    assert made.due(2_000) != b""


def test_the_first_packet_is_told_once_and_strangers_are_counted() -> None:
    heard: list[str] = []
    made, stream, counters = publisher(heard)
    made.packet(packet(1, payload_type=99), 1_000)
    assert heard == []
    made.packet(packet(1), 1_000)
    made.packet(packet(2), 1_000)
    made.packet(packet(3, ssrc=9), 1_000)
    made.flush(1_000)
    assert heard == ["media"]
    assert counters.malformed == 2
    assert stream.tracks["video"].counters.packets == 2


def test_a_silent_source_may_be_followed_by_another() -> None:
    made, stream, _ = publisher()
    made.packet(packet(1), 1_000)
    made.packet(packet(900, ssrc=9), 2_500)
    made.flush(2_500)
    assert stream.tracks["video"].counters.packets == 2


def test_a_retired_publisher_is_not_heard() -> None:
    made, stream, _ = publisher()
    made.retired = True
    made.packet(packet(1), 1_000)
    made.flush(1_000)
    assert stream.tracks["video"].counters.packets == 0


def test_sound_and_picture_share_one_clock() -> None:
    made, stream, _ = publisher()
    made.packet(packet(1), 1_000)
    made.packet(packet(1, ssrc=2, payload_type=111), 1_000)
    made.flush(1_000)
    ntp = rtcp.ntp_of(500_000)
    for ssrc, late in ((1, 5), (2, 45)):  # the reports take different times to come
        made.feedback([rtcp.SenderInfo(ssrc, ntp, 3_000)], 1_000 + late)
    video, audio = stream.tracks["video"], stream.tracks["audio"]
    assert video.timestamp_at(1_005) == video.timestamp
    assert audio.timestamp_at(1_005) == audio.timestamp


def test_the_rate_falls_with_loss_and_climbs_without() -> None:
    assert next_rate(1_000_000, 128) == 750_000
    assert next_rate(1_000_000, 10) == 1_000_000
    assert next_rate(1_000_000, 0) == 1_080_000
    assert next_rate(MAX_RATE, 0) == MAX_RATE
    assert next_rate(MIN_RATE, 255) == MIN_RATE
