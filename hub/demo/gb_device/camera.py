"""A simulated camera's head: pan, tilt, zoom, lens, presets, switches. Pure; the clock (seconds) is an argument."""

from dataclasses import dataclass, field
from typing import Final

from signaling.gb28181 import ptz
from signaling.gb28181.items import HomePosition

FULL_SPEED: Final = 60.0  # degrees a second at speed 255
FULL_ZOOM: Final = 4.0  # times a second at speed 15
TILT: Final = (-30.0, 90.0)
ZOOM: Final = (1.0, 16.0)
MAX_PRESETS: Final = 255


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees and times; pan 0 to 360, turning without end."""

    pan: float = 180.0
    tilt: float = 0.0
    zoom: float = 1.0


@dataclass(slots=True)
class Head:
    """What PTZ commands change. ``at`` looks; the others act."""

    presets: dict[int, tuple[str, Position]] = field(default_factory=lambda: {1: ("大门", Position())})
    switches: dict[int, bool] = field(default_factory=dict)
    cruises: dict[int, list[int]] = field(default_factory=dict)
    home: HomePosition = field(default_factory=lambda: HomePosition(enabled=False, reset_s=60, preset=1))
    focus: float = 0.5
    iris: float = 0.5
    commands: int = 0
    last: ptz.PtzCommand | None = None
    _place: Position = field(default_factory=Position)
    _move: ptz.Move = field(default_factory=ptz.Move)
    _lens: ptz.Lens = field(default_factory=ptz.Lens)
    _since: float = 0.0

    def at(self, now: float) -> Position:
        """Where it looks at ``now``."""
        self._advance(now)
        return self._place

    @property
    def moving(self) -> bool:
        """Until a stop, a preset or an end of the way."""
        return self._move != ptz.Move()

    def command(self, command: ptz.PtzCommand, now: float) -> None:
        """One PTZCmd."""
        self._advance(now)
        self.commands += 1
        self.last = command
        match command:
            case ptz.Move():
                self._move = command
                if command == ptz.Move():
                    self._lens = ptz.Lens()
            case ptz.Lens():
                self._lens = command
            case ptz.Preset("set", number):
                name = self.presets.get(number, (f"预置位{number}",))[0]
                self.presets[number] = (name, self._place)
            case ptz.Preset("go", number) if number in self.presets:
                self._place, self._move = self.presets[number][1], ptz.Move()
            case ptz.Preset("delete", number):
                self.presets.pop(number, None)
            case ptz.Switch(number, on):
                self.switches[number] = on
            case ptz.Cruise("add", number, preset):
                points = self.cruises.setdefault(number, [])
                if len(points) < MAX_PRESETS:
                    points.append(preset)
            case ptz.Cruise("delete", number, preset):
                kept = [each for each in self.cruises.get(number, []) if preset and each != preset]
                self.cruises[number] = kept
            case ptz.Cruise("start", number) if self.cruises.get(number):
                first = self.cruises[number][0]
                if first in self.presets:
                    self._place, self._move = self.presets[first][1], ptz.Move()
            case ptz.Scan("start"):
                self._move = ptz.Move(pan=64)

    def precise(self, pan: float | None, tilt: float | None, zoom: float | None, now: float) -> None:
        """PTZPreciseCtrl; what is None stays."""
        here = self.at(now)
        self.commands += 1
        self._move = ptz.Move()
        self._place = Position(
            (here.pan if pan is None else pan) % 360,
            _within(here.tilt if tilt is None else tilt, TILT),
            _within(here.zoom if zoom is None else zoom, ZOOM),
        )

    def _advance(self, now: float) -> None:
        passed, self._since = max(0.0, now - self._since), now
        if self._move != ptz.Move():
            self._place = Position(
                (self._place.pan + self._move.pan / ptz.MAX_SPEED * FULL_SPEED * passed) % 360,
                _within(self._place.tilt + self._move.tilt / ptz.MAX_SPEED * FULL_SPEED * passed, TILT),
                _within(self._place.zoom + self._move.zoom / ptz.MAX_ZOOM_SPEED * FULL_ZOOM * passed, ZOOM),
            )
        self.focus = _within(self.focus + self._lens.focus / ptz.MAX_SPEED * passed, (0.0, 1.0))
        self.iris = _within(self.iris + self._lens.iris / ptz.MAX_SPEED * passed, (0.0, 1.0))


@dataclass(slots=True)
class Channel:
    """One camera of the device."""

    id: str
    name: str
    longitude: float
    latitude: float
    online: bool = True
    head: Head = field(default_factory=Head)
    guarded: bool = False
    recording: bool = True
    alarmed: bool = False
    keyframes_asked: int = 0
    snapshots: int = 0


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
