"""What happens on the stage: paths of people and of the bus, moves of the camera. Pure and seamless in a loop."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hub.demo.cameras_list import Script

Figure = Literal["coat", "dark", "bus"]
Point = tuple[float, float, float]  # seconds, x of the feet's middle, y of the feet; stage pixels


@dataclass(frozen=True, slots=True)
class Actor:
    """One figure and where it stands when; it is on stage from its first point to its last."""

    figure: Figure
    path: tuple[Point, ...]
    mirror: bool = False
    tint: int = 0  # index of the clothes' colour


@dataclass(frozen=True, slots=True)
class Play:
    """One loop. ``seconds`` is even, so that a loop holds whole groups of pictures of 2 s."""

    seconds: int
    actors: tuple[Actor, ...]


def place(actor: Actor, at: float) -> tuple[float, float, float] | None:
    """Where the actor is: x, y and how fast it walks across (stage pixels a second); None when off stage."""
    path = actor.path
    if not path[0][0] <= at < path[-1][0]:
        return None
    for (t0, x0, y0), (t1, x1, y1) in itertools.pairwise(path):
        if t0 <= at < t1:
            part = (at - t0) / (t1 - t0)
            return x0 + (x1 - x0) * part, y0 + (y1 - y0) * part, (x1 - x0) / (t1 - t0)
    return None


def stature(y: float) -> float:
    """Height of a person whose feet stand at stage row ``y``: the perspective of every stage."""
    return 235 + (y - 560) * 0.62


def swing(at: float, seconds: float, low: float, high: float) -> float:
    """A slow move there and back within one loop, smooth at both ends."""
    return low + (high - low) * (0.5 - 0.5 * math.cos(2 * math.pi * at / seconds))


def _walk(figure: Figure, start: float, seconds: float, x0: float, x1: float, y: float, tint: int = 0) -> Actor:
    """Cross the stage in a straight line; ``coat`` and ``dark`` look to the right of the picture as cut."""
    return Actor(figure, ((start, x0, y), (start + seconds, x1, y)), mirror=x1 < x0, tint=tint)


def _gather(figure: Figure, come: float, go: float, side: float, x: float, y: float, tint: int) -> Actor:
    """Come from a side, stand for a while, leave by the other."""
    away = 1700.0 if side < 800 else -100.0
    path = ((come, side, y), (come + 4.0, x, y), (go, x + 6, y), (go + 5.0, away, y))
    return Actor(figure, path, mirror=side > 800, tint=tint)


_CROWD: Final = (
    _gather("coat", 0.5, 13.0, -100, 620, 760, 0),
    _gather("dark", 0.8, 13.4, 1700, 860, 730, 0),
    _gather("dark", 1.2, 13.8, -100, 430, 830, 1),
    _gather("coat", 1.6, 12.6, 1700, 1090, 800, 1),
    _gather("dark", 2.0, 14.2, 1700, 1290, 740, 2),
)
_INTRUDER: Final = (
    _walk("coat", 0.0, 7.0, -100, 620, 640, 2),
    Actor("dark", ((6.0, -120, 800), (10.0, 700, 800), (14.5, 1060, 800), (16.0, 1060, 780), (19.0, 1720, 780))),
)
_BUS: Final = (
    Actor("bus", ((1.0, 2000, 548), (5.0, 900, 548), (10.0, 880, 548), (14.0, -400, 548))),
    _walk("dark", 4.5, 9.0, 780, -120, 650, 1),
    _walk("coat", 8.0, 8.0, -120, 1720, 760, 0),
)
_WALKERS: Final = (
    _walk("dark", 0.5, 9.0, -100, 1700, 680, 0),
    _walk("coat", 4.0, 10.0, 1700, -100, 780, 1),
    _walk("dark", 10.0, 7.5, 1700, -100, 720, 2),
)
_LATE: Final = (
    _walk("coat", 1.0, 8.5, 1700, -100, 700, 2),
    _gather("dark", 5.0, 14.0, -100, 700, 800, 1),
)
_QUIET: Final = (_walk("dark", 5.0, 9.0, 1700, -100, 700, 0),)

PLAYS: Final[dict[Script, Play]] = {
    "crowd": Play(28, _CROWD),  # nobody from 19.2 s to the end: the alert's end is seen too
    "intruder": Play(28, _INTRUDER),
    "bus": Play(20, _BUS),
    "walkers": Play(20, _WALKERS),
    "late": Play(20, _LATE),
    "quiet": Play(20, _QUIET),
    "pan": Play(20, ()),
    "tilt": Play(20, ()),
}


def drawn_order(actors: Sequence[Actor], at: float) -> list[tuple[Actor, float, float, float]]:
    """Actors on stage, the farthest first, each with x, y and speed."""
    present = [(actor, *where) for actor in actors if (where := place(actor, at)) is not None]
    return sorted(present, key=lambda item: item[2])
