"""Crowd: at least N persons in the picture for T seconds."""

import math

from vision.detections import Detections
from vision.rules.base import BadRule, Episode, Finding, Timing, Verdict


class Crowd:
    """``persons`` at ``confidence`` or more, over sampled pictures, for ``seconds``."""

    def __init__(
        self, id: str, *, person: int, persons: int = 3, seconds: float = 4.0, confidence: float = 0.4
    ) -> None:
        if not 1 <= persons <= 500:
            raise BadRule("persons: 1 to 500")
        if not (math.isfinite(seconds) and 0 <= seconds <= 3_600):
            raise BadRule("seconds: 0 to 3600")
        if not 0.05 <= confidence <= 0.99:
            raise BadRule("confidence: 0.05 to 0.99")
        self.id = id
        self.confidence = confidence
        self._person = person
        self._persons = persons
        self._episode = Episode(Timing(hold=math.ceil(seconds * 1_000)))

    def observe(self, detections: Detections, at: int) -> Finding | None:
        """Fire when the crowd has stood for the time. Score: the N-th surest person's confidence."""
        people = detections.select(self._person, self.confidence)
        verdict = self._episode.see(len(people) >= self._persons, at)
        if verdict is Verdict.NOTHING:
            return None
        score = float(sorted(people.confidence, reverse=True)[self._persons - 1])
        return Finding(self.id, "crowd", at, score, people, verdict is Verdict.REPEAT)
