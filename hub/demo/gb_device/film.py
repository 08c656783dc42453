"""What a simulated camera sees, as data: loops of one scene, one for every place that the head can look at.

Zoomed in, pan chooses one of five columns and tilt one of three rows. Needs no codec: ``views`` makes films,
``save`` and ``load`` keep them.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.demo.gb_device.camera import TILT, Position

FPS: Final = 25
COLUMNS, ROWS = 5, 3
ZOOMED: Final = 1.5  # from here on a crop is shown
SOUND_BYTES: Final = 8_000 // FPS  # G.711A that belongs to one picture
AAC_SAMPLES: Final = 1_024  # of one frame
MAX_FILE: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, Annex B."""

    data: bytes
    key: bool


@dataclass(frozen=True)
class Film:
    """Loops of equal length with key frames at equal places; the first is the whole scene."""

    views: tuple[tuple[Shot, ...], ...]
    fps: int = FPS
    small: "Film | None" = None  # the same as the sub stream shows it

    @property
    def pictures(self) -> int:
        """Of one loop."""
        return len(self.views[0])

    def view_of(self, place: Position) -> int:
        """Which loop shows what the head looks at."""
        if len(self.views) == 1 or place.zoom < ZOOMED:
            return 0
        column = min(COLUMNS - 1, int(place.pan / 360 * COLUMNS))
        row = min(ROWS - 1, int((TILT[1] - place.tilt) / (TILT[1] - TILT[0]) * ROWS))
        return 1 + row * COLUMNS + column

    def key_before(self, index: int) -> int:
        """The nearest key frame of a loop at or before this picture."""
        loop = self.views[0]
        index %= len(loop)
        return next((at for at in range(index, -1, -1) if loop[at].key), 0)


def save(film: Film, path: Path, mark: str) -> None:
    """Write a film to a file that ``load`` reads while ``mark`` is the same. Raises OSError."""
    head = {"mark": mark, "fps": film.fps, "views": [[[len(s.data), int(s.key)] for s in loop] for loop in film.views]}
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        for loop in film.views:
            file.writelines(shot.data for shot in loop)
    part.replace(path)


def load(path: Path, mark: str) -> Film | None:
    """A film as it was saved; None where there is none of this mark, whole."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE)
        head, _, rest = data.partition(b"\n")
        said = json.loads(head)
        if said["mark"] != mark or sum(size for loop in said["views"] for size, _ in loop) != len(rest):
            return None
        views, at = [], 0
        for loop in said["views"]:
            shots = []
            for size, key in loop:
                shots.append(Shot(rest[at : at + size], bool(key)))
                at += size
            views.append(tuple(shots))
        return Film(tuple(views), int(said["fps"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tone(frequency: float = 440.0, seconds: int = 1) -> bytes:
    """A tone as G.711A (ITU-T G.711), 8,000 bytes a second."""
    return bytes(_alaw(round(math.sin(at * 2 * math.pi * frequency / 8_000) * 6_000)) for at in range(8_000 * seconds))


def _alaw(sample: int) -> int:
    """One sample of 16 bits; positive ones have the sign bit set, and even bits are inverted."""
    sign, size = (0x80, sample) if sample >= 0 else (0, -sample - 1)
    size = min(size, 32_767) >> 3
    exponent = max(size.bit_length() - 5, 0)
    code = (exponent << 4) | ((size >> max(exponent, 1)) & 0x0F)
    return (code | sign) ^ 0x55


@dataclass(frozen=True)
class AacLoop:
    """Sound as AAC: frames with their ADTS headers, over and over."""

    frames: tuple[bytes, ...]
    rate: int


def aac_at(index: int, loop: AacLoop) -> tuple[int, bytes]:
    """The frames that begin while a picture is shown, together, and the time of the first in 90 kHz."""
    first, after = (-(-at * loop.rate // (FPS * AAC_SAMPLES)) for at in (index, index + 1))
    data = b"".join(loop.frames[at % len(loop.frames)] for at in range(first, after))
    return first * AAC_SAMPLES * 90_000 // loop.rate, data


def sound_at(index: int, sound: bytes) -> bytes:
    """The piece of a looped sound that belongs to a picture."""
    at = index * SOUND_BYTES % max(1, len(sound) - SOUND_BYTES + 1)
    return sound[at : at + SOUND_BYTES]
