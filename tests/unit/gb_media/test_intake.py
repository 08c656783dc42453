"""What comes under the name of PS, and the framing of TCP (QUIRKS of media, 13 and 18)."""

import itertools
import random

import pytest

from hub.media.rtp import h264, h265
from hub.media.rtp.packet import parse_rtp
from signaling.gb28181.es import MediaUnit, VideoCodec
from signaling.gb28181.framing import Deframer, frame
from signaling.gb28181.intake import Intake
from signaling.gb28181.ps_mux import RtpSender
from tests.unit.gb_media.kit import SOUND, by_pyav, expected, film, muxed, pictures

CODECS: tuple[VideoCodec, ...] = ("h264", "h265")


def taken(packets: list[bytes]) -> tuple[Intake, list[MediaUnit]]:
    """Everything that comes of RTP packets in their order."""
    intake, units = Intake(), []
    for packet in map(parse_rtp, packets):
        units += intake.packet(packet.payload, packet.payload_type, packet.timestamp, packet.marker)
    return intake, units + intake.end()


def ps_packets(payload_type: int = 96, codec: VideoCodec = "h264") -> list[bytes]:
    sender = RtpSender(7, payload_type)
    packs = zip(film(codec), muxed(codec), strict=True)
    return [packet for shot, pack in packs for packet in sender.packets(pack, shot.pts)]


@pytest.mark.parametrize("payload_type", [96, 98, 33, 100])
def test_the_payload_type_means_nothing(payload_type: int) -> None:
    """QUIRKS 13."""
    intake, units = taken(ps_packets(payload_type))
    assert intake.form == "ps"
    assert pictures(units) == expected(film())


@pytest.mark.parametrize("codec", CODECS)
def test_a_transport_stream_labelled_ps_is_taken_as_what_it_is(codec: VideoCodec) -> None:
    """QUIRKS 13."""
    stream = by_pyav(codec, "mpegts")
    sender = RtpSender(7)
    intake, units = taken(sender.packets(stream, 0, limit=1_316))
    assert intake.form == "ts"
    got, want = pictures(units), expected(film(codec))
    delimiter = b"\0\0\0\1\x09\xf0" if codec == "h264" else b"\0\0\0\1\x46\x01\x50"
    assert [data.removeprefix(delimiter) for data, _, _ in got] == [data for data, _, _ in want]
    assert [pts - got[0][1] for _, pts, _ in got] == [pts - want[0][1] for _, pts, _ in want]


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_in_rtp_without_a_program_stream_are_taken(codec: VideoCodec) -> None:
    """QUIRKS 13: RFC 6184 and RFC 7798 where PS was promised."""
    sender = RtpSender(7)
    packets = []
    for shot in film(codec):
        nals = h264.split(shot.data)
        payloads = h264.packetize(nals) if codec == "h264" else h265.packetize(nals)
        for place, payload in enumerate(payloads):
            packets.append(sender.packet(payload, shot.pts, marker=place == len(payloads) - 1))
    intake, units = taken(packets)
    assert intake.form == codec
    assert pictures(units) == expected(film(codec))


@pytest.mark.parametrize("codec", CODECS)
def test_a_byte_stream_cut_into_packets_is_taken(codec: VideoCodec) -> None:
    sender = RtpSender(7)
    intake, units = taken([packet for shot in film(codec) for packet in sender.packets(shot.data, shot.pts)])
    assert intake.form == "annexb"
    assert pictures(units) == expected(film(codec))


def test_g711_beside_the_program_stream_becomes_sound() -> None:
    """QUIRKS 13."""
    video, voice = RtpSender(7), RtpSender(8, 8)
    packets = []
    for place, (shot, pack) in enumerate(zip(film(), muxed(sound=False), strict=True)):
        packets += video.packets(pack, shot.pts)
        packets.append(voice.packet(SOUND, place * 320))
    intake, units = taken(packets)
    sounds = [unit for unit in units if unit.codec == "pcma"]
    assert [unit.data for unit in sounds] == [SOUND] * 30
    assert {after.pts - before.pts for before, after in itertools.pairwise(sounds)} == {3_600}
    assert intake.beside == 30
    assert pictures(units) == expected(film())


def test_noise_is_counted_and_not_kept() -> None:
    dice = random.Random(1)
    intake = Intake()
    for _ in range(1_000):
        assert not intake.packet(b"\x11" + dice.randbytes(900), 96, 0, False)
    assert intake.form is None
    assert intake.unknown > 800
    assert len(intake._sniffed) <= 96


# framing over TCP -------------------------------------------------------------------------------------


def framed(packets: list[bytes], way: str) -> bytes:
    if way == "dollar":
        return b"".join(b"$\0" + frame(packet) for packet in packets)
    return b"".join(frame(packet) for packet in packets)


def deframed(data: bytes, size: int) -> tuple[Deframer, list[bytes]]:
    deframer, out = Deframer(), []
    for at in range(0, len(data), size):
        out += deframer.feed(data[at : at + size])
    return deframer, out


@pytest.mark.parametrize("way", ["rfc4571", "dollar"])
@pytest.mark.parametrize("size", [1, 3, 1_000, 1_460, 1_000_000])
def test_packets_come_out_of_tcp_wherever_it_is_cut(way: str, size: int) -> None:
    """QUIRKS 18."""
    packets = ps_packets()[:40]
    deframer, out = deframed(framed(packets, way), size)
    assert (deframer.framing, out, deframer.skipped) == (way, packets, 0)


@pytest.mark.parametrize("way", ["rfc4571", "dollar"])
def test_a_connection_that_starts_in_the_middle_of_a_packet_finds_the_next(way: str) -> None:
    """QUIRKS 18."""
    packets = ps_packets()[:40]
    data = framed(packets, way)
    for cut in range(1, 3_000, 61):
        _, out = deframed(data[cut:], 1_460)
        assert out == packets[-len(out) :]
        assert len(out) >= 36


@pytest.mark.parametrize("way", ["rfc4571", "dollar"])
def test_a_wrong_length_costs_a_few_packets(way: str) -> None:
    packets = ps_packets()[:60]
    head, tail = framed(packets[:20], way), framed(packets[20:], way)
    deframer, out = deframed(head + b"\x05\x05\x05\x05\x05\x05\x05" + tail, 1_460)
    assert out[:20] == packets[:20]
    assert out[-30:] == packets[-30:]
    assert deframer.searches == 1


def test_a_program_stream_without_any_framing_is_passed_on() -> None:
    stream = b"".join(muxed())
    deframer, out = deframed(stream, 999)
    assert (deframer.framing, b"".join(out)) == ("bare", stream)
    intake, units = Intake(), []
    for piece in out:
        units += intake.stream(piece)
    assert pictures(units + intake.end()) == expected(film())


def test_what_is_no_rtp_is_given_up() -> None:
    deframer = Deframer()
    for _ in range(400):
        assert not deframer.feed(b"GET / HTTP/1.1\r\n" * 256)
    assert deframer.hopeless
    assert len(deframer._buffer) <= 300_000


def test_a_frame_longer_than_its_length_can_say_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        frame(bytes(65_536))
