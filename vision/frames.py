"""One decoded picture of one camera."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Height x width x 3, BGR."""

GREY_SIZE: Final = (160, 90)  # width, height of the small picture that the motion gate compares


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture, the camera it came from and when the relay received it (ms since the epoch)."""

    camera: str
    at: int
    pixels: Pixels

    def __post_init__(self) -> None:
        if (
            self.pixels.ndim != 3
            or self.pixels.shape[2] != 3
            or 0 in self.pixels.shape
            or self.pixels.dtype != np.uint8
        ):
            raise ValueError("a frame is height x width x 3 of uint8")

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.pixels.shape[0])

    def small_grey(self) -> Pixels:
        """A 160 x 90 grey picture, averaged over areas so that sensor noise mostly vanishes."""
        small = cv2.resize(self.pixels, GREY_SIZE, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
