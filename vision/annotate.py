"""The picture that goes with an alert: boxes, labels, a title line; a JPEG of bounded size."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from vision.detections import Detections
from vision.frames import Frame, Pixels

MAX_WIDTH: Final = 1280
MAX_BYTES: Final = 400_000
MAX_BOXES: Final = 200
_RED: Final = (60, 70, 240)
_AMBER: Final = (40, 190, 250)
_WHITE: Final = (255, 255, 255)


def annotated_jpeg(
    frame: Frame, boxes: Detections, labels: Sequence[str], *, title: str, zone: Sequence[tuple[float, float]] = ()
) -> bytes:
    """JPEG of at most 1280 pixels across and 400,000 bytes with the boxes, their labels, a zone and a title.

    Chinese is drawn by OpenCV's built-in font: no font of the system is needed.
    """
    scale = min(1.0, MAX_WIDTH / frame.width)
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    picture: Pixels = np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    if scale == 1.0:
        picture = frame.pixels.copy()
    font = cv2.FontFace("uni")
    if len(zone) >= 3:
        points = np.array([(x * size[0], y * size[1]) for x, y in zone]).round().astype(np.int32)
        cv2.polylines(picture, [points], True, _AMBER, 2, cv2.LINE_AA)
    for box, label in list(zip(boxes.xyxy, labels, strict=True))[:MAX_BOXES]:
        x1, y1, x2, y2 = (round(float(v) * side) for v, side in zip(box, size * 2, strict=True))
        cv2.rectangle(picture, (x1, y1), (x2, y2), _RED, 3)
        _text(picture, font, label, x1, max(22, y1 - 6), 20)
    if title:
        picture[: min(44, size[1])] //= 3
        cv2.putText(picture, title[:80], (12, 30), _WHITE, font, 22, 500)
    return _jpeg(picture)


def _text(picture: Pixels, font: cv2.FontFace, text: str, x: int, y: int, size: int) -> None:
    cv2.putText(picture, text[:40], (x + 1, y + 1), (0, 0, 0), font, size, 600)
    cv2.putText(picture, text[:40], (x, y), _WHITE, font, size, 600)


def _jpeg(picture: Pixels) -> bytes:
    """Lower the quality, then halve the size, until the limit is kept."""
    while True:
        for quality in (85, 70, 50, 30):
            done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not done:
                raise ValueError("the picture cannot be written as JPEG")
            if len(data) <= MAX_BYTES:
                return data.tobytes()
        height, width = picture.shape[:2]
        picture = np.asarray(cv2.resize(picture, (max(1, width // 2), max(1, height // 2))), np.uint8)
