"""One track of a camera on its way in: times, reports, other sources, sound."""

import base64
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import rtcp
from hub.media.rtp.h264 import split
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.unit import AccessUnit, Description, UnitCodec
from hub.media.sources.errors import SourceError
from hub.media.sources.receiver import TrackReceiver, Wallclock
from hub.media.stream import Stream
from tests.unit.media.test_h265 import encoded
from tests.unit.media_in.test_depacketize import packets
from tests.unit.media_in.test_h264 import encode

SDP_HEAD = "v=0\r\na=control:*\r\n"


def wire(packet: RtpPacket) -> bytes:
    second = (0x80 if packet.marker else 0) | packet.payload_type
    return struct.pack("!BBHII", 0x80, second, packet.seq, packet.timestamp & 0xFFFFFFFF, packet.ssrc) + packet.payload


class Rig:
    """A receiver with a clock that is moved by hand."""

    def __init__(self, codec: UnitCodec = "h264", *, udp: bool = True, wallclock: Wallclock | None = None) -> None:
        self.now = 1_000_000
        self.units: list[AccessUnit] = []
        self.receiver = TrackReceiver(
            codec, 96, udp=udp, clock=lambda: self.now, emit=self.units.append, wallclock=wallclock or Wallclock()
        )

    def feed(self, given: list[RtpPacket]) -> None:
        for packet in given:
            self.receiver.packet(wire(packet))


def film(count: int, **more: int) -> list[RtpPacket]:
    """Pictures of a real encoder, a key frame first."""
    from hub.media.rtp.h264 import split

    return packets(*[split(data) for data in encode(320, 240, count)], **more)


def test_pictures_come_with_times_that_grow_over_the_wrap() -> None:
    rig = Rig()
    base = 2**32 - 5_000
    rig.feed([replace(packet, timestamp=(packet.timestamp + base) & 0xFFFFFFFF) for packet in film(4, start=65_530)])
    assert [unit.pts - rig.units[0].pts for unit in rig.units] == [0, 3_600, 7_200, 10_800]
    assert [unit.keyframe for unit in rig.units] == [True, False, False, False]
    assert rig.receiver.figures.packets == len(film(4))


def test_loss_is_reported_to_the_camera() -> None:
    rig = Rig()
    sent = film(5)
    rig.feed([packet for packet in sent if packet.seq != 3])
    rig.now += 600
    report = rig.receiver.beat()
    assert report is not None
    (found,) = [each for each in rtcp.parse_rtcp(report) if isinstance(each, rtcp.Report)]
    assert (found.blocks[0].ssrc, found.blocks[0].lost) == (1, 1)
    assert found.blocks[0].fraction_lost == 256 // len(sent)
    assert rig.receiver.figures.lost == 1
    assert rig.receiver.beat() is None


def test_disorder_over_udp_costs_nothing() -> None:
    rig = Rig()
    sent = film(3)
    sent[1], sent[2] = sent[2], sent[1]
    rig.feed(sent)
    assert len(rig.units) == 3
    assert rig.receiver.figures.lost == 0


def test_over_udp_a_single_packet_of_another_source_is_not_believed_and_three_are() -> None:
    rig = Rig()
    first = film(3)
    rig.feed(first[:-1])
    rig.feed([replace(packet, ssrc=3) for packet in first[:2]])
    rig.feed(first[-1:])
    assert [unit.keyframe for unit in rig.units] == [True, False, False]
    rig.feed([replace(packet, ssrc=2) for packet in film(12, start=500)])
    assert [unit.keyframe for unit in rig.units[3:]] == [True, False]  # from its next key frame on
    assert rig.receiver.figures.lost == 0


def test_over_tcp_another_source_is_the_camera_itself() -> None:
    rig = Rig(udp=False)
    rig.feed(film(2))
    rig.feed([replace(packet, ssrc=2) for packet in film(2, start=500)])
    assert [unit.keyframe for unit in rig.units] == [True, False, True, False]


def test_sender_reports_put_sound_and_picture_on_one_clock() -> None:
    wallclock = Wallclock()
    rig = Rig("pcma", wallclock=wallclock)
    rig.receiver.packet(wire(RtpPacket(False, 96, 1, 8_000, 9, bytes(160))))
    assert rig.receiver.captured_ms(8_000) is None
    taken_at = 1_700_000_000_000
    rig.receiver.rtcp(rtcp.sender_report(9, rtcp.ntp_of(taken_at), 8_000, 1, 160))
    assert rig.receiver.captured_ms(8_000 + 4_000) == pytest.approx(taken_at + 500)
    assert rig.receiver.captured_ms(8_000 - 8_000) == pytest.approx(taken_at - 1_000)
    rig.now += 20
    rig.receiver.packet(wire(RtpPacket(False, 96, 2, 8_160, 9, bytes(160))))
    assert wallclock.offset_ms == pytest.approx(rig.now - (taken_at + 20))


def test_a_picture_that_comes_late_stays_in_step_with_its_sound() -> None:
    """The camera encodes pictures 300 ms longer than sound; both viewers' sender reports must say the same time."""
    wallclock, stream = Wallclock(), Stream("cam-1", clock=lambda: 0)
    sound, picture = Rig("pcma", wallclock=wallclock), Rig(wallclock=wallclock)
    taken_at = 1_700_000_000_000
    sound.feed([RtpPacket(False, 96, 0, 0, 9, bytes(160))])
    picture.feed(film(1))
    sound.receiver.rtcp(rtcp.sender_report(9, rtcp.ntp_of(taken_at), 0, 1, 160))
    picture.receiver.rtcp(rtcp.sender_report(1, rtcp.ntp_of(taken_at), 0, 1, 160))
    for n in range(1, 11):  # taken at the same moments, every 40 ms
        sound.now += 40
        sound.feed([RtpPacket(False, 96, n, n * 320, 9, bytes(320))])
    picture.now += 300
    for packet in film(11)[1:]:
        picture.now = 1_000_000 + 300 + packet.timestamp // 90
        picture.feed([packet])
    for unit in (*sound.units, *picture.units):
        stream.publish(unit)
    heard, seen = sound.units[-1], picture.units[-1]
    assert seen.captured_ms == pytest.approx(heard.captured_ms, abs=5)
    video, audio = stream.tracks["video"], stream.tracks["audio"]
    assert video.timestamp_at(1_000_400) == pytest.approx(video.timestamp, abs=500)
    assert audio.timestamp_at(1_000_400) == pytest.approx(audio.timestamp, abs=50)


def test_the_least_delayed_packet_tells_how_the_clocks_stand() -> None:
    wallclock = Wallclock()
    assert wallclock.observe(1_000.0, 5_200) == 5_200
    assert wallclock.observe(1_040.0, 5_140) == 5_140  # 100 ms less delayed
    assert wallclock.observe(1_080.0, 5_400) == pytest.approx(5_180, abs=1)
    assert wallclock.observe(900_000.0, 6_000) == 6_000  # the camera's clock was set


def test_a_goodbye_is_heard_from_the_source_itself_only() -> None:
    rig = Rig()
    rig.feed(film(1))
    rig.receiver.rtcp(rtcp.bye((77,)))
    assert not rig.receiver.said_bye
    rig.receiver.rtcp(rtcp.bye((1,)))
    assert rig.receiver.said_bye


def test_sound_in_long_pieces_is_cut_to_what_a_packet_carries() -> None:
    rig = Rig("pcmu", udp=False)
    rig.receiver.packet(wire(RtpPacket(True, 96, 1, 0, 9, bytes(1_280))))
    assert [(unit.pts, len(unit.data)) for unit in rig.units] == [(0, 320), (320, 320), (640, 320), (960, 320)]


def test_other_payload_types_and_noise_are_counted() -> None:
    rig = Rig()
    rig.receiver.packet(b"\x80\x60")
    rig.receiver.packet(wire(RtpPacket(True, 97, 1, 0, 9, b"x")))
    rig.receiver.rtcp(b"\x80\xc8\0")
    assert rig.receiver.figures.malformed == 3


@given(st.lists(st.binary(max_size=60), max_size=30), st.booleans())
def test_any_bytes_are_taken_or_counted(datagrams: list[bytes], as_rtcp: bool) -> None:
    rig = Rig()
    for datagram in datagrams:
        (rig.receiver.rtcp if as_rtcp else rig.receiver.packet)(datagram)
        rig.receiver.beat()
        rig.now += 40


# which tracks --------------------------------------------------------------------------------------------


def choice_of(body: str) -> tuple[list[str], tuple[str, ...]]:
    from hub.media.sources.choice import choose
    from signaling.rtsp.describe import presentation

    chosen = choose(presentation((SDP_HEAD + body).encode(), "rtsp://h/", lambda quirk: None))
    return [each.codec for each in chosen.tracks], chosen.left_out


AAC = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 {}/16000\r\na=fmtp:97 {}\r\n"
H265 = "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\n"
H264 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


@pytest.mark.parametrize(
    ("body", "codecs", "left_out"),
    [
        (H264, ["h264"], ()),
        (H264 + "m=audio 0 RTP/AVP 8\r\n", ["h264", "pcma"], ()),
        (H264 + "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000/1\r\n", ["h264", "pcmu"], ()),
        ("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n" + H264, ["h264", "opus"], ()),
        (H264 + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/16000\r\n", ["h264"], ("sound in AAC",)),
        (H264 + AAC.format("mpeg4-generic", "sizelength=13;indexlength=3;config=1408"), ["h264", "aac"], ()),
        (H264 + AAC.format("MP4A-LATM", "cpresent=0;config=400028103fc0"), ["h264", "aac"], ()),
        (H264 + AAC.format("MP4A-LATM", "cpresent=1"), ["h264"], ("sound in AAC",)),
        (H264 + AAC.format("mpeg4-generic", "sizelength=13;config=zz"), ["h264"], ("sound in AAC",)),
        (H265, ["h265"], ()),
        (H265 + H264, ["h264"], ()),
        (H264 + "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/16000\r\n", ["h264"], ("sound in pcma",)),
        (H264 + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n", ["h264"], ()),
    ],
)
def test_the_tracks_that_browsers_play_are_taken(body: str, codecs: list[str], left_out: tuple[str, ...]) -> None:
    assert choice_of(body) == (codecs, left_out)


def said(body: str) -> Description | None:
    from hub.media.sources.choice import choose
    from signaling.rtsp.describe import presentation

    return choose(presentation((SDP_HEAD + body).encode(), "rtsp://h/", lambda quirk: None)).description()


def sprop(params: str) -> str:
    """The parameter sets of a real encoder, as a camera describes them."""
    nals = {nal[0] >> 1 & 0x3F: nal for nal in split(encoded(params=f"repeat-headers=1:{params}")[0])}
    names = {"vps": 32, "sps": 33, "pps": 34}
    sets = [f"sprop-{name}={base64.b64encode(nals[kind]).decode()}" for name, kind in names.items()]
    return f"a=fmtp:98 {';'.join(sets)}\r\n"


def test_a_description_says_for_certain_what_comes_or_leaves_it_to_the_first_picture() -> None:
    assert said(H264) == Description(("h264",))
    assert said(H264 + "m=audio 0 RTP/AVP 8\r\n") == Description(("h264", "pcma"))
    assert said(H265) is None  # whether browsers decode it is in its parameter sets
    assert said(H265 + sprop("bframes=0")) == Description(("h265",))
    assert said(H265 + sprop("bframes=3:b-adapt=0")) == Description(("h265",), passes=False)


@pytest.mark.parametrize(
    ("body", "id", "detail"),
    [
        (
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-max-don-diff=2\r\n",
            "source.unsupported_codec",
            "H.265",
        ),
        ("m=video 0 RTP/AVP 26\r\n", "source.unsupported_codec", "MJPEG"),
        ("m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\n", "source.unsupported_codec", "MPEG-4 part 2"),
        ("m=audio 0 RTP/AVP 8\r\n", "source.not_video", "no video"),
        ("", "source.not_video", "no video"),
    ],
)
def test_what_cannot_be_shown_is_named(body: str, id: str, detail: str) -> None:
    with pytest.raises(SourceError) as caught:
        choice_of(body)
    assert caught.value.id == id
    assert detail in caught.value.detail
