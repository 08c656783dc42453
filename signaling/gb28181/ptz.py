"""PTZCmd: eight bytes as sixteen hexadecimal digits (GB/T 28181-2016 annex A.3): both directions.

``A5 0F 01 command data1 data2 (data3 << 4 | address high) checksum``
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from signaling.gb28181.errors import GbError

MAX_SPEED: Final = 255
MAX_ZOOM_SPEED: Final = 15
_FIRST: Final = 0xA5
_RIGHT, _LEFT, _DOWN, _UP, _IN, _OUT = 1, 2, 4, 8, 16, 32
_FAR, _NEAR, _OPEN, _CLOSE, _LENS = 1, 2, 4, 8, 0x40


@dataclass(frozen=True, slots=True)
class Move:
    """Go on until the next command; all zero stops everything (A.3.2). Right, up and in are positive.

    ``pan`` and ``tilt`` are -255 to 255, ``zoom`` -15 to 15.
    """

    pan: int = 0
    tilt: int = 0
    zoom: int = 0


@dataclass(frozen=True, slots=True)
class Lens:
    """Focus (near is positive) and iris (open is positive), -255 to 255; zero stops (A.3.3)."""

    focus: int = 0
    iris: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """Presets 1 to 255 (A.3.4)."""

    action: Literal["set", "go", "delete"]
    number: int


@dataclass(frozen=True, slots=True)
class Cruise:
    """Cruises (A.3.5). ``delete`` with preset 0 deletes the whole; ``value`` is a speed or seconds, 0 to 4095.

    A cruise is stopped by ``Move()``.
    """

    action: Literal["add", "delete", "speed", "stay", "start"]
    number: int
    preset: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """Automatic scan between two bounds (A.3.6), stopped by ``Move()``. ``value`` is a speed, 0 to 4095."""

    action: Literal["start", "left", "right", "speed"]
    number: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Switch:
    """Auxiliary switch (A.3.7); 1 is the wiper."""

    number: int
    on: bool


PtzCommand: TypeAlias = Move | Lens | Preset | Cruise | Scan | Switch
_PRESET: Final = {"set": 0x81, "go": 0x82, "delete": 0x83}
_CRUISE: Final = {"add": 0x84, "delete": 0x85, "speed": 0x86, "stay": 0x87, "start": 0x88}
_SCAN: Final = {"start": 0, "left": 1, "right": 2}
_PRESET_OF: Final[dict[int, Literal["set", "go", "delete"]]] = {0x81: "set", 0x82: "go", 0x83: "delete"}
_CRUISE_OF: Final[dict[int, Literal["add", "delete", "speed", "stay", "start"]]] = {
    0x84: "add", 0x85: "delete", 0x86: "speed", 0x87: "stay", 0x88: "start",
}  # fmt: skip
_SCAN_OF: Final[dict[int, Literal["start", "left", "right"]]] = {0: "start", 1: "left", 2: "right"}


def move(pan: float, tilt: float, zoom: float) -> Move:
    """A move from speeds of -1 to 1; whatever is not zero moves at least with the slowest speed."""
    return Move(_scaled(pan, MAX_SPEED), _scaled(tilt, MAX_SPEED), _scaled(zoom, MAX_ZOOM_SPEED))


def lens(focus: float, iris: float) -> Lens:
    """A lens command from speeds of -1 to 1."""
    return Lens(_scaled(focus, MAX_SPEED), _scaled(iris, MAX_SPEED))


def encode(command: PtzCommand, address: int = 1) -> str:
    """Sixteen upper-case hexadecimal digits. Raises GbError ``gb28181.ptz`` when a value is out of range."""
    code, first, second, third = _parts(command)
    if not (0 <= address <= 0xFFF and 0 <= first <= 255 and 0 <= second <= 255 and 0 <= third <= 15):
        raise GbError("gb28181.ptz", f"a value is out of range: {command}")
    data = bytes((_FIRST, 0x0F, address & 0xFF, code, first, second, third << 4 | address >> 8))
    return (data + bytes((sum(data) & 0xFF,))).hex().upper()


def decode(text: str) -> PtzCommand:
    """The command in a PTZCmd. Raises GbError ``gb28181.ptz``: no hexadecimal, wrong length, checksum or command.

    A direction with speed zero (sent by some platforms) moves with the slowest speed; opposite ones cancel out.
    """
    try:
        data = bytes.fromhex(text.strip()[:32])
    except ValueError:
        raise GbError("gb28181.ptz", "a PTZ command is sixteen hexadecimal digits") from None
    if len(data) != 8 or data[0] != _FIRST:
        raise GbError("gb28181.ptz", "a PTZ command is eight bytes from A5 on")
    if sum(data[:7]) & 0xFF != data[7]:
        raise GbError("gb28181.ptz", "the checksum of the PTZ command is wrong")
    code, first, second, third = data[3], data[4], data[5], data[6] >> 4
    if code < _LENS:
        return Move(
            _signed(code, _RIGHT, _LEFT, first), _signed(code, _UP, _DOWN, second), _signed(code, _IN, _OUT, third)
        )
    if code & 0xF0 == _LENS:
        return Lens(_signed(code, _NEAR, _FAR, first), _signed(code, _OPEN, _CLOSE, second))
    if code in _PRESET_OF:
        return Preset(_PRESET_OF[code], second)
    if code in _CRUISE_OF:
        timed = code in (0x86, 0x87)
        return Cruise(_CRUISE_OF[code], first, 0 if timed else second, second | third << 8 if timed else 0)
    if code == 0x89 and second in _SCAN_OF:
        return Scan(_SCAN_OF[second], first)
    if code == 0x8A:
        return Scan("speed", first, second | third << 8)
    if code in (0x8C, 0x8D):
        return Switch(first, code == 0x8C)
    raise GbError("gb28181.ptz", f"no such PTZ command: {code:02X}")


def _parts(command: PtzCommand) -> tuple[int, int, int, int]:
    """Command byte and the three data."""
    match command:
        case Move(pan, tilt, zoom):
            code = _bits(pan, _RIGHT, _LEFT) | _bits(tilt, _UP, _DOWN) | _bits(zoom, _IN, _OUT)
            return code, abs(pan), abs(tilt), abs(zoom)
        case Lens(focus, iris):
            return _LENS | _bits(focus, _NEAR, _FAR) | _bits(iris, _OPEN, _CLOSE), abs(focus), abs(iris), 0
        case Preset(action, number):
            return _PRESET[action], 0, number if number else -1, 0
        case Cruise("speed" | "stay" as action, number, _, value):
            return _CRUISE[action], number, value & 0xFF, value >> 8
        case Cruise(action, number, preset, _):
            return _CRUISE[action], number, preset, 0
        case Scan("speed", number, value):
            return 0x8A, number, value & 0xFF, value >> 8
        case Scan(action, number, _):
            return 0x89, number, _SCAN[action], 0
        case Switch(number, on):
            return 0x8C if on else 0x8D, number, 0, 0


def _bits(speed: int, positive: int, negative: int) -> int:
    return positive if speed > 0 else negative if speed < 0 else 0


def _signed(code: int, positive: int, negative: int, speed: int) -> int:
    up, down = bool(code & positive), bool(code & negative)
    return (up - down) * max(speed, 1)


def _scaled(speed: float, most: int) -> int:
    if speed == 0:
        return 0
    size = max(1, min(most, round(abs(speed) * most)))
    return size if speed > 0 else -size
