"""What a detector found in one picture: arrays of N, never lists of objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from vision.frames import Frame

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """N boxes. Coordinates are 0..1 of the picture's width and height, so that they outlive a change of resolution."""

    xyxy: Floats
    """N x 4: left, top, right, bottom, 0..1."""
    confidence: Floats
    """N, 0..1."""
    class_id: Ints
    """N, index into the detector's ``classes``."""

    def __post_init__(self) -> None:
        count = len(self.confidence)
        if self.xyxy.shape != (count, 4) or self.confidence.shape != (count,) or self.class_id.shape != (count,):
            raise ValueError("detections need N x 4 boxes, N confidences and N classes")
        if not (np.isfinite(self.xyxy).all() and np.isfinite(self.confidence).all()):
            raise ValueError("detections must be finite")

    @classmethod
    def of(cls, boxes: object, confidence: object, class_id: object) -> Self:
        """Make from anything array-like; boxes are clipped to the picture. Raises ValueError."""
        xyxy = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0.0, 1.0)
        return cls(xyxy, np.asarray(confidence, np.float32).reshape(-1), np.asarray(class_id, np.int32).reshape(-1))

    @classmethod
    def empty(cls) -> Self:
        """No boxes."""
        return cls.of([], [], [])

    def __len__(self) -> int:
        return len(self.confidence)

    def where(self, mask: Mask) -> "Detections":
        """Those for which ``mask`` (N) is true."""
        return Detections(self.xyxy[mask], self.confidence[mask], self.class_id[mask])

    def select(self, class_id: int, confidence: float) -> "Detections":
        """Those of one class with at least this confidence."""
        return self.where((self.class_id == class_id) & (self.confidence >= confidence))

    def feet(self) -> Floats:
        """N x 2: the middle of each box's lower edge, where a standing object touches the ground."""
        return np.stack([(self.xyxy[:, 0] + self.xyxy[:, 2]) / 2, self.xyxy[:, 3]], axis=1)


class Detector(Protocol):
    """Finds objects. One thread at a time."""

    @property
    def classes(self) -> Mapping[int, str]:
        """Names by class id, in English as COCO writes them."""
        ...

    def detect(self, frame: Frame, *, confidence: float) -> Detections:
        """Objects with at least this confidence. Raises DetectorFailed."""
        ...


class DetectorFailed(RuntimeError):
    """The weights cannot be loaded or the inference failed; the message is one line for the operator."""
