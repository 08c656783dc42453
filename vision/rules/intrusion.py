"""Intrusion: a person's feet inside a polygon."""

import math
from collections.abc import Sequence

import numpy as np

from vision.detections import Detections
from vision.rules.base import BadRule, Episode, Finding, Timing, Verdict

Point = tuple[float, float]


def inside(point: Point, polygon: Sequence[Point]) -> bool:
    """Whether the point lies in the polygon or on its edge (even-odd rule)."""
    x, y = point
    within = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        on_line = abs(cross) <= 1e-9
        if on_line and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            within = not within
    return within


class Intrusion:
    """Fires at the first picture that shows a person's feet inside ``polygon`` (0..1 of width and height)."""

    def __init__(self, id: str, *, person: int, polygon: Sequence[Point], confidence: float = 0.4) -> None:
        if not 3 <= len(polygon) <= 32:
            raise BadRule("polygon: 3 to 32 points")
        if not all(math.isfinite(v) and 0 <= v <= 1 for point in polygon for v in point):
            raise BadRule("polygon: coordinates are 0 to 1 of width and height")
        if not 0.05 <= confidence <= 0.99:
            raise BadRule("confidence: 0.05 to 0.99")
        self.id = id
        self.confidence = confidence
        self._person = person
        self._polygon = tuple(polygon)
        self._episode = Episode(Timing(hold=0))

    def observe(self, detections: Detections, at: int) -> Finding | None:
        """Fire when somebody is inside. Score: the surest intruder's confidence."""
        people = detections.select(self._person, self.confidence)
        hits = np.array([inside((float(x), float(y)), self._polygon) for x, y in people.feet()], np.bool_)
        intruders = people.where(hits)
        verdict = self._episode.see(len(intruders) > 0, at)
        if verdict is Verdict.NOTHING:
            return None
        score = float(intruders.confidence.max())
        return Finding(self.id, "intrusion", at, score, intruders, verdict is Verdict.REPEAT, self._polygon)
