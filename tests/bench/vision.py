"""What one picture costs the vision role: ``python -m tests.bench.vision [--quick] [--json] [--footage FILE]``.

CPU milliseconds of this process for each picture, one thread, the packaged demonstration model, key frames of the
demo's own scenes at 720p. ``--footage`` adds what the model finds in a film of people, one picture each 2 s: a check of
sanity, not of accuracy.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import av
import cv2
import numpy as np

from hub.demo.cameras_list import CAMERAS
from hub.demo.scenes import GOP, access_units, ensure_scenes
from hub.models import PACKAGED
from tests.bench.common import show
from vision.annotate import annotated_jpeg
from vision.decode import decode_keyframe
from vision.frames import Frame, Pixels
from vision.gate import MotionGate
from vision.pipeline import Look, Pipeline, RuleConfig
from vision.yolo import YoloDetector

GOALS: Final = {"pipeline_ms": 120.0}  # 16 cameras a core at one picture each 2 s
EVERY_MS: Final = 2_000
PERSON: Final = 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU cost of looking at one picture")
    parser.add_argument("--quick", action="store_true", help="fewer pictures")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--footage", type=Path, help="a film of people, for a check of sanity")
    return parser.parse_args()


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU milliseconds of this process, all threads."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000


def keyframes(folder: Path) -> list[bytes]:
    """Key frames of the camera with a crowd."""
    path = ensure_scenes(folder, [CAMERAS[0]])[CAMERAS[0].id]
    return access_units(path)[::GOP]


def gate_once(frame: Frame, gate: MotionGate) -> bool:
    return gate.moved(frame.small_grey(), frame.at)


def look(pipeline: Pipeline, data: bytes, at: int, rules: list[RuleConfig]) -> Look:
    return pipeline.look(Frame("bench", at, decode_keyframe(data)), rules)


def measure(pictures: list[bytes], rounds: int) -> dict[str, float]:
    """Medians over ``rounds`` passes through the pictures."""
    detectors = {size: YoloDetector(PACKAGED, image_size=size) for size in (416, 640)}
    rules = [RuleConfig(rule.id, rule.kind, rule.params) for rule in CAMERAS[0].rules]
    samples: dict[str, list[float]] = {}

    def sample(name: str, work: Callable[[], object]) -> None:
        samples.setdefault(name, []).append(cpu_ms(work))

    moving, still = Pipeline(detectors[640]), Pipeline(detectors[640])
    for number in range(rounds * len(pictures)):
        data, at = pictures[number % len(pictures)], number * EVERY_MS
        frame = Frame("bench", at, decode_keyframe(data))
        sample("decode_720p_ms", partial(decode_keyframe, data))
        sample("gate_ms", partial(gate_once, frame, MotionGate()))
        for size, detector in detectors.items():
            sample(f"detect_{size}_ms", partial(detector.detect, frame, confidence=0.4))
        sample("pipeline_ms", partial(look, moving, data, at, rules))
        look(still, pictures[-1], at, rules)
        sample("pipeline_still_ms", partial(look, still, pictures[-1], at + 1, rules))
        found = detectors[640].detect(frame, confidence=0.4)
        sample("alert_picture_ms", partial(annotated_jpeg, frame, found, ["人"] * len(found), title="人员聚集"))
    figures = {name: median(values) for name, values in samples.items()}
    figures["pictures_per_core_second"] = 1000 / figures["pipeline_ms"]
    figures["cameras_per_core_moving"] = EVERY_MS / figures["pipeline_ms"]
    figures["cameras_per_core_still"] = EVERY_MS / figures["pipeline_still_ms"]
    return figures


def film(path: Path, every_s: float) -> Iterator[Pixels]:
    """Pictures of a film, ``every_s`` seconds apart."""
    with av.open(str(path)) as container:
        step = max(1, round(float(container.streams.video[0].average_rate or 25) * every_s))
        for number, frame in enumerate(container.decode(video=0)):
            if number % step == 0:
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def sanity(path: Path, most: int) -> dict[str, float]:
    """Persons that the model finds, and finds again in the mirrored picture."""
    detector = YoloDetector(PACKAGED)
    persons, mirrored = [], []
    for number, pixels in enumerate(film(path, 2.0)):
        if number >= most:
            break
        flipped = np.asarray(cv2.flip(pixels, 1), np.uint8)
        persons.append(len(detector.detect(Frame("f", number, pixels), confidence=0.4).select(PERSON, 0.4)))
        mirrored.append(len(detector.detect(Frame("f", number, flipped), confidence=0.4).select(PERSON, 0.4)))
    return {
        "footage_pictures": float(len(persons)),
        "footage_persons_mean": float(np.mean(persons)),
        "footage_persons_mirrored_mean": float(np.mean(mirrored)),
        "footage_share_with_persons": float(np.mean([count > 0 for count in persons])),
    }


def main() -> None:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(keyframes(Path(folder)), rounds=2 if given.quick else 10)
    if given.footage is not None:
        figures |= sanity(given.footage, most=10 if given.quick else 40)
    show("vision", figures, GOALS, as_json=given.json)


if __name__ == "__main__":
    main()
