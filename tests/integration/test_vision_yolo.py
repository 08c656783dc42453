"""The detector itself: every form of weights, and what is said of those that are none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hub.demo.cameras_list import CAMERAS
from hub.demo.scenes import Renderer
from hub.models import PACKAGED
from vision.detections import DetectorFailed, Floats
from vision.frames import Frame
from vision.yolo import OVERLAP, YoloDetector

PERSON, BUS = 0, 5


def street() -> Frame:
    """The bus stop of the demo, with the bus and people before it."""
    return Frame("c", 0, Renderer(CAMERAS[1]).frame(250))


def test_the_packaged_model_finds_the_people_and_the_bus_of_the_demo(tmp_path: Path) -> None:
    detector = YoloDetector(PACKAGED, config_folder=tmp_path)
    assert (detector.classes[PERSON], detector.classes[BUS]) == ("person", "bus")
    found = detector.detect(street(), confidence=0.4)
    assert len(found.select(PERSON, 0.4)) >= 2
    (bus,) = found.select(BUS, 0.4).xyxy
    assert 0.2 < bus[2] - bus[0] < 0.5  # a third of the picture; coordinates are shares, not pixels
    assert found.xyxy.max() <= 1
    empty = np.full((720, 1280, 3), 114, np.uint8)
    assert len(detector.detect(Frame("c", 0, empty), confidence=0.4)) == 0


def test_overlapping_boxes_of_one_object_are_suppressed(tmp_path: Path) -> None:
    """The operator that a CPU build of torch lacks is in its place."""
    detector = YoloDetector(PACKAGED, config_folder=tmp_path)
    found = detector.detect(street(), confidence=0.001)
    assert 0 < len(found) <= 300
    for kind in (PERSON, BUS):
        every = found.select(kind, 0.0).xyxy
        boxes = every[(every > 0.001).all(axis=1) & (every < 0.999).all(axis=1)]  # the others were clipped afterwards
        for n, one in enumerate(boxes):
            for other in boxes[n + 1 :]:
                assert overlap(one, other) <= OVERLAP + 0.01


def overlap(one: Floats, other: Floats) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared)


def test_weights_of_torch_are_loaded_too(tmp_path: Path) -> None:
    YoloDetector(PACKAGED, config_folder=tmp_path)  # sets ultralytics up for offline work
    from ultralytics.models import YOLO

    YOLO("yolo11n.yaml").save(str(tmp_path / "untrained.pt"))
    detector = YoloDetector(tmp_path / "untrained.pt", config_folder=tmp_path, image_size=320)
    assert len(detector.classes) == 80
    detector.detect(street(), confidence=0.001)


def junk(path: Path) -> None:
    path.write_bytes(b"x" * 100)


def cut(path: Path) -> None:
    path.write_bytes(PACKAGED.read_bytes()[:3_000_000])


def nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("junk.pt", junk),
        ("junk.onnx", junk),
        ("cut.onnx", cut),
        ("nothing.pt", nothing),
        ("notes.txt", junk),
        ("missing.onnx", lambda path: None),
    ],
)
def test_weights_that_are_none_are_refused_in_one_line_with_their_name(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    with pytest.raises(DetectorFailed, match=name.replace(".", "[.]")) as caught:
        YoloDetector(tmp_path / name, config_folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_classifier_is_no_detector(tmp_path: Path) -> None:
    YoloDetector(PACKAGED, config_folder=tmp_path)
    from ultralytics.models import YOLO

    YOLO("yolo11n-cls.yaml").save(str(tmp_path / "classifier.pt"))
    with pytest.raises(DetectorFailed, match="detect is needed"):
        YoloDetector(tmp_path / "classifier.pt", config_folder=tmp_path)
