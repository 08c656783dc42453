"""What a transcoding process does to units: sizes, rates, key frames, order, pitch; no process and no socket here."""

import itertools
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.media.rtp import h264
from hub.media.rtp.sps import parse_sps, slice_type
from hub.media.sources.aac import AacFormat
from hub.media.transcode.child import Jobs
from hub.media.transcode.sound import SoundJob
from hub.media.transcode.video import MAX_BAD, Failed, VideoJob, fitted
from hub.media.transcode.wire import SKIP, Decoder, Message, Plan, Received, message
from tests.unit.media.test_h265 import encoded

H265 = Plan("h265", 1_280, 720, 25)


@cache
def film(
    width: int = 320, height: int = 240, frames: int = 12, b: int = 0, fps: int = 25
) -> tuple[tuple[int, bytes], ...]:
    """pts in 90 kHz and coded pictures, in the order of decoding."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base, codec.framerate, codec.max_b_frames = Fraction(1, 90_000), fps, b
    codec.options = {"preset": "ultrafast", "x264-params": f"keyint=50:b-adapt=0:bframes={b}:annexb=1:repeat-headers=1"}
    out = []
    for i in range(frames):
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), i * 10 % 255, np.uint8), format="rgb24")
        frame.pts, frame.time_base = i * 90_000 // fps, Fraction(1, 90_000)
        out += [(packet.pts, bytes(packet)) for packet in codec.encode(frame)]
    return tuple(out + [(packet.pts, bytes(packet)) for packet in codec.encode(None)])


def through(job: VideoJob, units: Any) -> list[tuple[int, bool, bytes]]:
    return [made for pts, data in units for made in job.unit(data, pts, skip=False)]


def sequence(data: bytes) -> Any:
    return parse_sps(next(nal for nal in h264.split(data) if nal[0] & 0x1F == 7))


@given(st.integers(16, 8_000), st.integers(16, 8_000), st.sampled_from([(1_280, 720), (640, 360), (720, 1_280)]))
def test_a_picture_fits_lying_or_standing_even_and_is_never_enlarged(
    width: int, height: int, most: tuple[int, int]
) -> None:
    made = fitted(width, height, Plan("h265", *most))
    assert max(made) <= max(most)
    assert min(made) <= min(most)
    assert made[0] <= width
    assert made[1] <= height
    assert made[0] % 2 == made[1] % 2 == 0
    if min(made) > 100:
        assert abs(made[0] / made[1] - width / height) / (width / height) < 0.03


def test_h265_becomes_h264_that_every_browser_decodes_picture_by_picture() -> None:
    job = VideoJob(H265)
    units = [(n * 3_600, data) for n, data in enumerate(encoded(params="bframes=0:repeat-headers=1"))]
    each = [job.unit(data, pts, skip=False) for pts, data in units]
    assert [[pts for pts, _, _ in made] for made in each] == [[pts] for pts, _ in units]  # none is held back
    first = each[0][0]
    assert first[1]
    found = sequence(first[2])
    assert (found.profile, found.width, found.height, found.reorder or 0) == (66, 336, 252, 0)
    kinds = [slice_type(nal) for made in each for nal in h264.split(made[0][2]) if nal[0] & 0x1F in (1, 5)]
    assert kinds == [2] + [0] * 11


def test_reordered_pictures_come_out_in_the_order_of_showing() -> None:
    made = through(VideoJob(Plan("h264")), film(frames=25, b=2))
    times = [pts for pts, _, _ in made]
    assert times == sorted(times)
    assert len(times) >= 22  # the decoder keeps the last ones until more comes
    assert {b - a for a, b in itertools.pairwise(times)} == {3_600}


def test_a_large_fast_camera_is_held_to_size_and_rate() -> None:
    made = through(VideoJob(Plan("h264", 640, 360, 10)), film(1_280, 720, 50, fps=50))
    found = sequence(made[0][2])
    assert (found.width, found.height) == (640, 360)
    assert 8 <= len(made) <= 11


def test_a_key_frame_comes_when_it_is_asked_for() -> None:
    job, units = VideoJob(Plan("h264")), film(frames=12)
    made = through(job, units[:6])
    assert [key for _, key, _ in made] == [True] + [False] * 5
    job.want_key()
    assert [key for _, key, _ in through(job, units[6:])] == [True] + [False] * 5


def test_another_size_in_the_middle_begins_anew() -> None:
    job = VideoJob(Plan("h264"))
    made = through(job, film(frames=3))
    again = through(job, [(pts + 90_000, data) for pts, data in film(160, 120, 3)])
    assert again[0][1]
    assert (sequence(made[0][2]).width, sequence(again[0][2]).width) == (320, 160)


def test_what_was_only_to_be_decoded_makes_no_picture() -> None:
    job, units = VideoJob(Plan("h264")), film(frames=6)
    made = [job.unit(data, pts, skip=n < 4) for n, (pts, data) in enumerate(units)]
    assert [len(each) for each in made] == [0, 0, 0, 0, 1, 1]
    assert made[4][0][1]


def test_garbage_ends_the_job_after_a_while_and_not_at_once() -> None:
    job = VideoJob(H265)
    for _ in range(MAX_BAD - 1):
        assert job.unit(b"\0\0\1\x26\x01garbage", 0, skip=False) == []
    with pytest.raises(Failed):
        job.unit(b"\0\0\1\x26\x01garbage", 0, skip=False)


def tone(rate: int, seconds: float, channels: int = 1) -> list[tuple[int, bytes]]:
    """1 kHz as AAC with ADTS headers, pts in 90 kHz."""
    codec: Any = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = rate, "mono" if channels == 1 else "stereo", "fltp"
    made: list[Any] = []
    for number in range(int(rate * seconds) // 1_024):
        wave = 0.3 * np.sin(2 * np.pi * 1_000 * (np.arange(1_024) + number * 1_024) / rate)
        samples = np.repeat(wave.astype(np.float32).reshape(1, -1), channels, 0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=codec.layout.name)
        frame.sample_rate, frame.pts = rate, number * 1_024
        made += codec.encode(frame)
    form = AacFormat(2, rate, channels)
    return [(n * 1_024 * 90_000 // rate, form.adts(bytes(packet))) for n, packet in enumerate(made)]


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (44_100, 2), (48_000, 1)])
def test_aac_of_any_rate_becomes_opus_of_20_ms_at_its_pitch(rate: int, channels: int) -> None:
    job = SoundJob()
    made = [each for pts, data in tone(rate, 2.0, channels) for each in job.unit(data, pts)]
    times = [pts for pts, _, _ in made]
    assert {b - a for a, b in itertools.pairwise(times)} == {960}
    assert len(times) > 85
    decoder: Any = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    sound = np.concatenate([f.to_ndarray()[0] for _, _, data in made for f in decoder.decode(av.Packet(data))])
    part = sound[-48_000:].astype(float)
    peak = int(np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part))))))
    assert abs(peak * 48_000 / len(part) - 1_000) < 10


def test_a_gap_in_the_sound_is_followed_and_rounding_never_makes_one() -> None:
    job, units = SoundJob(), tone(44_100, 6.0)
    times = [pts for at, data in units for pts, _, _ in job.unit(data, at)]
    assert {b - a for a, b in itertools.pairwise(times)} == {960}
    later = [pts for at, data in units[:20] for pts, _, _ in job.unit(data, at + 90_000 * 60)]
    assert abs(later[0] - 48_000 * 60) < 4_800


@given(st.lists(st.tuples(st.sampled_from(list(Message)), st.binary(max_size=50)), max_size=20), st.integers(1, 30))
def test_messages_come_out_wherever_the_pipe_cut_them(sent: list[tuple[Message, bytes]], size: int) -> None:
    data = b"".join(message(kind, 7, body, flags=1, pts=-5) for kind, body in sent)
    decoder = Decoder()
    got = [each for at in range(0, len(data), size) for each in decoder.feed(data[at : at + size])]
    assert got == [Received(kind, 1, 7, -5, body) for kind, body in sent]


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        list(Decoder().feed(b"\xff" * 40))


def test_a_process_answers_each_unit_and_a_job_that_fails_takes_no_other_along() -> None:
    jobs = Jobs()

    def say(kind: Message, job: int, body: bytes = b"", flags: int = 0, pts: int = 0) -> list[Received]:
        return list(Decoder().feed(jobs.handle(Received(kind, flags, job, pts, body))))

    assert say(Message.OPEN, 1, Plan("h264").to_bytes()) == []
    assert say(Message.OPEN, 2, Plan("aac").to_bytes()) == []
    pts, data = film()[0]
    assert [got.kind for got in say(Message.UNIT, 1, data, pts=pts)] == [Message.UNIT, Message.DONE]
    assert [got.kind for got in say(Message.UNIT, 1, data, SKIP, pts + 3_600)] == [Message.DONE]
    assert [got.kind for got in say(Message.OPEN, 3, b"nonsense")] == [Message.FAILED]
    assert say(Message.UNIT, 3, data) == []
    assert [got.kind for got in say(Message.UNIT, 2, b"garbage")] == [Message.DONE]
    say(Message.CLOSE, 1)
    assert say(Message.UNIT, 1, data) == []
