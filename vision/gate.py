"""Motion gate: tells whether a picture differs enough from the last one analysed to be worth a detector's time.

A picture that does not differ is not thrown away: the caller repeats the last result for it, so that rules keep
their sense of time. The gate lets a picture through at least every ``MAX_STILL_MS``.

Cameras burn a clock into their picture, which would open the gate every time: cells at the upper and lower edge
that changed in nearly every comparison are left out.
"""

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vision.frames import GREY_SIZE, Pixels

MAX_STILL_MS: Final = 10_000
STEP: Final = 14  # grey levels that count as a change
CHANGED: Final = 10  # pixels of 14,400: a person some 40 pixels high in a 720p picture
_CELL: Final = 10  # pixels of the small picture: 16 x 9 cells
_EDGE_ROWS: Final = 1  # rows of cells at the top and at the bottom that may hold a clock
_WEIGHT: Final = 0.1
_ALWAYS: Final = 0.85  # reached after about twenty comparisons that all changed


@dataclass(slots=True)
class MotionGate:
    """State of one camera."""

    _last: Pixels | None = None
    _passed_at: int = 0
    _habit: npt.NDArray[np.float64] = field(
        default_factory=lambda: np.zeros((GREY_SIZE[1] // _CELL, GREY_SIZE[0] // _CELL))
    )

    def moved(self, grey: Pixels, at: int) -> bool:
        """Whether to analyse this picture. True also for the first, after 10 s, and when time went back."""
        if self._last is None or self._last.shape != grey.shape:
            return self._pass(grey, at)
        change = cv2.absdiff(grey, self._last) > STEP
        rows, columns = self._habit.shape
        cells = change.reshape(rows, _CELL, columns, _CELL).sum(axis=(1, 3))
        counted = np.where(self._clock(), 0, cells).sum()
        self._habit += _WEIGHT * ((cells > 0) - self._habit)
        if counted >= CHANGED or not 0 <= at - self._passed_at < MAX_STILL_MS:
            return self._pass(grey, at)
        return False

    def _clock(self) -> npt.NDArray[np.bool_]:
        habitual = self._habit >= _ALWAYS
        habitual[_EDGE_ROWS:-_EDGE_ROWS] = False
        return habitual

    def _pass(self, grey: Pixels, at: int) -> bool:
        self._last, self._passed_at = grey, at
        return True
