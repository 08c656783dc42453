"""A transport stream that other programs read: held against FFmpeg's demuxer and the rules of the standard."""

import io
from dataclasses import replace
from typing import Any

import av
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp.unit import AccessUnit
from hub.media.sources.aac import AacFormat
from hub.media.sources.h265 import H265Framer
from hub.media.taps.mpegts import AUDIO_PID, PACKET, PAT_PID, PMT_PID, VIDEO_PID, Muxer
from tests.unit.media.test_h265 import encoded as h265_film
from tests.unit.media_in.test_h264 import encode


def film(count: int) -> list[AccessUnit]:
    return [
        AccessUnit("video", "h264", data, 7_000_000 + number * 3_600, number % 10 == 0, number * 40)
        for number, data in enumerate(encode(320, 240, count))
    ]


def packets(data: bytes) -> list[bytes]:
    assert len(data) % PACKET == 0
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


def opened(data: bytes) -> Any:
    return av.open(io.BytesIO(data), format="mpegts")


def pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def opus() -> list[AccessUnit]:
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    made: list[Any] = []
    for number in range(20):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.sample_rate, frame.pts = 48_000, number * 960
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made += encoder.encode(frame)
    return [AccessUnit("audio", "opus", bytes(each), 500 + n * 960, True, n * 20) for n, each in enumerate(made)]


def test_a_demuxer_finds_every_picture_at_its_time_and_a_decoder_shows_it() -> None:
    muxer, units = Muxer(), film(25)
    data = b"".join(muxer.write(unit) for unit in units)
    with opened(data) as container:
        (video,) = container.streams.video
        found = [packet for packet in container.demux(video) if packet.size]
        assert video.codec_context.name == "h264"
        times = [packet.pts for packet in found if packet.pts is not None]
        assert [time - times[0] for time in times] == [n * 3_600 for n in range(25)]
        assert [packet.is_keyframe for packet in found] == [unit.keyframe for unit in units]
    with opened(data) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25


def test_opus_comes_along_and_g711_has_no_place() -> None:
    muxer = Muxer()
    data = b"".join(muxer.write(unit) for unit in [*film(10), *opus()])
    with opened(data) as container:
        (audio,) = container.streams.audio
        assert audio.codec_context.name == "opus"
        assert sum(frame.samples for frame in container.decode(audio)) >= 960 * 15
    assert muxer.write(AccessUnit("audio", "pcma", bytes(160), 0, True, 0)) == b""
    assert muxer.skipped == 1


def aac() -> list[AccessUnit]:
    encoder: Any = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "fltp"
    made: list[Any] = []
    for number in range(20):
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1_024)
        frame.sample_rate, frame.pts = 16_000, number * 1_024
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made += encoder.encode(frame)
    found = AacFormat(2, 16_000, 1)
    return [
        AccessUnit("audio", "aac", found.adts(bytes(each)), 90 + n * 5_760, True, n * 64) for n, each in enumerate(made)
    ]


def test_h265_and_aac_go_out_as_they_came() -> None:
    muxer, framer = Muxer(), H265Framer()
    pictures = [framer.picture(data) for data in h265_film(params="bframes=0:repeat-headers=1")]
    units = [
        AccessUnit("video", "h265", picture.data, n * 3_600, picture.keyframe, n * 40)
        for n, picture in enumerate(pictures)
        if picture is not None
    ]
    data = b"".join(muxer.write(unit) for unit in [*units, *aac()])
    with opened(data) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(1 for _ in container.decode(video=0)) == 12
    with opened(data) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 1_024 * 15


def test_pictures_that_are_shown_in_another_order_keep_their_times() -> None:
    coded = encode(320, 240, 25, profile="main", b=2)
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    muxer = Muxer()
    units = [
        AccessUnit("video", "h264", data, 5_000 + shown * 3_600, n == 0, n * 40, passes=False)
        for n, (data, shown) in enumerate(zip(coded, order, strict=False))
    ]
    data = b"".join(muxer.write(unit) for unit in units)
    with opened(data) as container:
        (video,) = container.streams.video
        times = [packet.pts for packet in container.demux(video) if packet.size]
    assert [time - times[0] for time in times] == [shown * 3_600 for shown in order]


def test_every_packet_is_counted_and_marked_as_the_standard_says() -> None:
    muxer = Muxer()
    counters: dict[int, int] = {}
    for unit in film(25):
        sent = packets(muxer.write(unit))
        video = [packet for packet in sent if pid(packet) == VIDEO_PID]
        for packet in sent:
            assert packet[0] == 0x47
            before = counters.get(pid(packet))
            counters[pid(packet)] = packet[3] & 0x0F
            assert before is None or packet[3] & 0x0F == (before + 1) % 16
        assert [bool(packet[1] & 0x40) for packet in video] == [True] + [False] * (len(video) - 1)
        assert video[0][3] & 0x20  # with an adaptation field,
        assert video[0][5] & 0x10  # and a PCR in it
        assert bool(video[0][5] & 0x40) is unit.keyframe
        assert ([pid(packet) for packet in sent[:2]] == [PAT_PID, PMT_PID]) is unit.keyframe or not unit.keyframe


def test_time_goes_forward_over_whatever_the_source_does() -> None:
    muxer, units = Muxer(), film(6)
    jumps = [0, 3_600, 90_000 * 3_600, 5, 4, 2**33]
    data = b"".join(muxer.write(replace(unit, pts=pts)) for unit, pts in zip(units, jumps, strict=True))
    with opened(data) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert times == sorted(set(times))
    assert times[-1] - times[0] < 90_000


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=1_000), st.booleans(), st.integers(0, 2**34)), max_size=30))
def test_any_units_give_whole_packets_and_give_their_bytes_back(given: list[tuple[bytes, bool, int]]) -> None:
    muxer = Muxer()
    back: dict[int, bytes] = {}
    for data, key, pts in given:
        kind = "video" if key or pts % 2 else "audio"
        codec = "h264" if kind == "video" else "opus"
        unit = AccessUnit(kind, codec, data, pts, key, 0)  # type: ignore[arg-type]  # two literals, chosen together
        written = b""
        for packet in packets(muxer.write(unit)):
            if pid(packet) in (VIDEO_PID, AUDIO_PID):
                start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
                written += packet[start:]
        if written:
            back[len(back)] = written
            assert written.startswith(b"\0\0\1")
            assert written.endswith(data)
