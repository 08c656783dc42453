"""Decoding, the motion gate, detections and the annotated picture."""

import contextlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.vision.pictures import keyframe, plain
from vision import decode
from vision.annotate import MAX_BYTES, annotated_jpeg
from vision.decode import BadPicture, decode_keyframe
from vision.detections import Detections
from vision.frames import Frame
from vision.gate import MotionGate

# decode -------------------------------------------------------------------------------------------


def test_a_lone_key_frame_becomes_pixels() -> None:
    pixels = plain()
    pixels[:, 320:] = (20, 60, 200)
    decoded = decode_keyframe(keyframe(pixels))
    assert decoded.shape == (360, 640, 3)
    assert abs(decoded.astype(int) - pixels.astype(int)).mean() < 4


@given(st.binary(max_size=400))
def test_bytes_that_are_no_picture_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(BadPicture):
        decode_keyframe(data)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_picture_is_refused_or_decoded_but_never_crashes(share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (180, 320, 3), np.uint8)
    data = keyframe(noise)
    with contextlib.suppress(BadPicture):
        assert decode_keyframe(data[: int(len(data) * share)]).shape == (180, 320, 3)


def test_a_picture_with_too_many_bytes_is_refused_unread() -> None:
    with pytest.raises(BadPicture, match="bytes"):
        decode_keyframe(b"\0" * (decode.MAX_BYTES + 1))


def test_a_picture_with_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 640 * 360 - 1)
    with pytest.raises(BadPicture):
        decode_keyframe(keyframe(plain()))


# gate ---------------------------------------------------------------------------------------------


def grey(clock: int = 0, person: int | None = None) -> np.ndarray:
    """A still scene; a burned-in clock that shows another time each time; a person at a place."""
    pixels = plain(1280, 720)
    cv2.putText(pixels, f"{clock:06d}", (940, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)
    if person is not None:
        pixels[400:500, person : person + 40] = 230
    return Frame("c", 0, pixels).small_grey()


def test_the_first_picture_always_passes() -> None:
    assert MotionGate().moved(grey(), 0)


def test_a_still_scene_is_held_back_for_ten_seconds_at_most() -> None:
    gate = MotionGate()
    assert [at for at in range(0, 30_000, 2_000) if gate.moved(grey(), at)] == [0, 10_000, 20_000]


def test_a_small_person_opens_the_gate() -> None:
    gate = MotionGate()
    gate.moved(grey(), 0)
    assert gate.moved(grey(person=600), 2_000)
    assert gate.moved(grey(person=660), 4_000)
    assert not gate.moved(grey(person=660), 6_000)


def test_a_burned_in_clock_stops_opening_the_gate_and_a_person_still_does() -> None:
    gate = MotionGate()
    opened = [gate.moved(grey(clock=137_731 * n), 2_000 * n) for n in range(60)]
    assert all(opened[:5])
    assert sum(opened[-20:]) <= 4  # once in ten seconds
    assert gate.moved(grey(clock=5, person=600), 120_001)


def test_a_clock_that_goes_back_opens_the_gate() -> None:
    gate = MotionGate()
    gate.moved(grey(), 100_000)
    assert gate.moved(grey(), 50_000)


# detections ---------------------------------------------------------------------------------------


def test_detections_are_clipped_to_the_picture_and_chosen_by_class_and_confidence() -> None:
    found = Detections.of([[-0.2, 0, 0.5, 1.4], [0, 0, 1, 1]], [0.9, 0.3], [0, 5])
    assert found.xyxy[0].tolist() == [0, 0, 0.5, 1]
    assert len(found.select(0, 0.5)) == 1
    assert len(found.select(5, 0.5)) == 0
    assert found.feet()[0].tolist() == [0.25, 1.0]


def test_detections_of_unequal_length_or_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="N x 4"):
        Detections.of([[0, 0, 1, 1]], [0.5, 0.6], [0])
    with pytest.raises(ValueError, match="finite"):
        Detections.of([[0, 0, 1, 1]], [float("nan")], [0])


def test_a_frame_must_be_a_colour_picture() -> None:
    with pytest.raises(ValueError, match="height"):
        Frame("c", 0, np.zeros((4, 4), np.uint8))


# annotated picture --------------------------------------------------------------------------------


def test_the_alert_picture_shows_the_box_and_the_chinese_title() -> None:
    frame = Frame("c", 0, plain(1920, 1080))
    box = Detections.of([[0.25, 0.25, 0.5, 0.75]], [0.8], [0])
    jpeg = annotated_jpeg(frame, box, ["人 80%"], title="人员聚集", zone=[(0.1, 0.5), (0.9, 0.5), (0.5, 0.9)])
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (720, 1280, 3)
    blue, _, red = (int(v) for v in picture[360, 320])  # on the box's left side
    assert red - blue > 100
    assert int(picture[:44, :140].max()) > 220  # letters, not the darkened bar alone
    assert frame.pixels.max() == 90  # the frame itself is left as it was


def test_titles_of_different_characters_differ_so_they_are_not_drawn_as_question_marks() -> None:
    frame = Frame("c", 0, plain())
    assert annotated_jpeg(frame, Detections.empty(), [], title="聚") != annotated_jpeg(
        frame, Detections.empty(), [], title="闯"
    )


def test_even_a_picture_of_noise_keeps_the_size_limit() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (2160, 3840, 3), np.uint8)
    jpeg = annotated_jpeg(Frame("c", 0, noise), Detections.empty(), [], title="")
    assert len(jpeg) <= MAX_BYTES
