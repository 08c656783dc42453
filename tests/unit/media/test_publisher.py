"""What a publisher is told: key frames merged and throttled, losses, the rate."""

from dataclasses import replace

from hub.media.peer.counters import Counters
from hub.media.peer.publisher import MAX_RATE, MIN_RATE, Publisher, Terms, next_rate
from hub.media.rtp import rtcp
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.twcc import Arrivals
from hub.media.stream import Stream

PLAIN = Terms({96: "vp8", 111: "opus"})


def publisher(media: list[str] | None = None, terms: Terms = PLAIN) -> tuple[Publisher, Stream, Counters]:
    stream, counters = Stream("mem-1", clock=lambda: 0), Counters()
    heard = media if media is not None else []
    made = Publisher(stream, terms, 4_711, counters, lambda: heard.append("media"))
    stream.publisher(("vp8", "opus"), made.request_keyframe, max(1, len(terms.rids)))
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


def element(id: int, value: bytes) -> bytes:
    return bytes((id << 4 | len(value) - 1,)) + value


LAYERED = Terms(
    {96: "vp8", 111: "opus"}, repairs={97: 96}, rids=("q", "h"), rid=1, repaired_rid=2, transport=3, level=4
)


def layered(seq: int, ssrc: int, *, rid: str = "", number: int | None = None, payload_type: int = 96) -> RtpPacket:
    data = element(1, rid.encode()) if rid else b""
    data += element(3, number.to_bytes(2, "big")) if number is not None else b""
    return replace(packet(seq, ssrc=ssrc, payload_type=payload_type), profile=0xBEDE, extension=data)


def test_layers_are_told_apart_by_rid_and_remembered_by_ssrc() -> None:
    made, stream, counters = publisher(terms=LAYERED)
    made.packet(layered(5, 11), 1_000)
    assert counters.malformed == 1
    for ssrc, rid in ((11, "h"), (12, "q")):
        made.packet(layered(1, ssrc, rid=rid), 1_000)
        made.packet(layered(2, ssrc), 1_000)
    made.packet(layered(1, 13, rid="unknown"), 1_000)
    made.flush(1_000)
    assert [track.counters.packets for track in stream.layers("video")] == [2, 2]
    assert len({track.ssrc for track in stream.layers("video")}) == 1
    assert counters.malformed == 2
    asked = [item.media for item in rtcp.parse_rtcp(made.due(1_000)) if isinstance(item, rtcp.KeyframeRequest)]
    assert sorted(asked) == [11, 12]
    stream.request_keyframe(1)
    again = [item.media for item in rtcp.parse_rtcp(made.due(1_600)) if isinstance(item, rtcp.KeyframeRequest)]
    assert again == [11]


def test_a_retransmission_mends_the_layer_that_it_names_and_padding_is_counted() -> None:
    made, stream, counters = publisher(terms=LAYERED)
    made.packet(layered(1, 12, rid="q"), 1_000)
    made.packet(layered(3, 12), 1_000)
    repair = layered(900, 77, payload_type=97)
    mend = replace(
        repair, extension=element(2, b"q"), timestamp=6_000, payload=b"\0\2" + b"\x10\x00again"
    )  # fmt: skip
    made.packet(mend, 1_000)
    made.packet(replace(repair, payload=b""), 1_000)
    made.packet(replace(repair, payload=b"\0\2" + b"\x10\x00again"), 1_000)  # once more: a duplicate
    made.flush(1_000)
    assert stream.tracks["video"].counters.packets == 3
    assert (counters.padding_in, counters.malformed) == (1, 0)
    assert not any(isinstance(item, rtcp.Nack) for item in rtcp.parse_rtcp(made.due(1_000)))


def test_arrivals_are_told_where_that_was_agreed_and_then_no_rate_is_allowed() -> None:
    made, _, counters = publisher(terms=LAYERED)
    made.packet(layered(1, 12, rid="q", number=65_535), 1_000, 1_000_000)
    made.packet(layered(2, 12, number=1), 1_000, 1_010_000)
    found = rtcp.parse_rtcp(made.due(1_000))
    (told,) = [item for item in found if isinstance(item, Arrivals)]
    assert (told.first, told.times) == (65_535, [4_000, None, 4_040])
    assert not any(isinstance(item, rtcp.Remb) for item in found)
    assert counters.feedback_out == 1
    plain, _, _ = publisher()
    plain.packet(packet(1), 1_000)
    assert any(isinstance(item, rtcp.Remb) for item in rtcp.parse_rtcp(plain.due(1_000)))


def test_the_level_of_a_voice_goes_with_its_packet() -> None:
    made, stream, _ = publisher(terms=LAYERED)
    voice = replace(packet(1, ssrc=2, payload_type=111), profile=0xBEDE, extension=element(4, b"\x9e"))
    made.packet(voice, 1_000)
    made.flush(1_000)
    stored = stream.tracks["audio"].get(0)
    assert stored is not None
    assert stored.level == 0x9E


def flows(data: bytes) -> list[rtcp.Flowing]:
    return [item for item in rtcp.parse_rtcp(data) if isinstance(item, rtcp.Flowing)] if data else []


def test_a_leg_of_a_camera_says_at_once_and_every_second_whether_its_sub_stream_is_of_use() -> None:
    """RFC 7728; each layer has SSRCs of its own, 21 retransmits 20."""
    terms = Terms({96: "h264"}, {97: 96}, {11: 10, 21: 20}, layers={10: 0, 11: 0, 20: 1, 21: 1})
    stream, counters = Stream("cam-1", clock=lambda: 0), Counters()
    made = Publisher(stream, terms, 4_711, counters, lambda: None, asks=False)
    stream.publisher(["h264"], made.request_keyframe, 2, asks=False)
    pause, resume = rtcp.Flowing(20, rtcp.Flow.PAUSE), rtcp.Flowing(20, rtcp.Flow.RESUME)
    assert flows(made.due(1_000)) == [pause]
    assert flows(made.due(1_050)) == []
    stream.prefer("u-1", low=True)
    assert flows(made.due(1_100)) == [resume]
    assert flows(made.due(2_050)) == []
    assert flows(made.due(2_100)) == [resume]  # the one before may be lost
    stream.prefer("u-1", low=False)
    assert flows(made.due(2_150)) == [pause]


def test_a_publisher_who_can_be_asked_sends_every_layer_and_is_told_nothing_of_use() -> None:
    terms = Terms({96: "h264"}, {}, {11: 10, 21: 20}, layers={10: 0, 11: 0, 20: 1, 21: 1})
    made = Publisher(Stream("mem-1", clock=lambda: 0), terms, 4_711, Counters(), lambda: None)
    assert flows(made.due(1_000)) == []


def test_a_layer_whose_sender_says_that_it_pauses_rests_until_something_new_comes_of_it() -> None:
    terms = Terms({96: "h264"}, {}, {11: 10, 21: 20}, layers={10: 0, 11: 0, 20: 1, 21: 1})
    stream = Stream("cam-1", clock=lambda: 0)
    made = Publisher(stream, terms, 4_711, Counters(), lambda: None, asks=False)
    stream.publisher(["h264"], made.request_keyframe, 2, asks=False)
    for seq, kind in enumerate((b"\x67", b"\x65", b"\x61")):
        made.packet(RtpPacket(True, 96, seq, seq * 3_000, 20, kind + b"xxxx"), 1_000)
    made.flush(1_000)
    main, sub = stream.layers("video")
    made.feedback([rtcp.Flowing(20, rtcp.Flow.PAUSED), rtcp.Flowing(99, rtcp.Flow.PAUSED)], 1_000)
    assert (main.resting, sub.resting) == (False, True)
    made.packet(RtpPacket(True, 96, 3, 9_000, 20, b"\x61xxxx"), 1_100)
    made.flush(1_100)
    assert not sub.resting
