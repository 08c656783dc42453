"""Whoever turns a camera has to say so again and again; else it is stopped.

A device goes on until the next command (GB/T 28181-2016 A.3), and the stop is the one message that never comes from a
browser that crashed or whose cable was pulled: the camera would turn until somebody notices.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import structlog

from hub.bus import command_wire as wire
from hub.domain.errors import HubError
from hub.gateway.questions import Questions
from hub.gateway.tasks import Errands
from signaling.gb28181 import ptz
from signaling.gb28181.messages import DeviceControl

log: Final = structlog.get_logger(__name__)

HELD_S: Final = 8.0  # so long a movement goes on without another word; consoles say it every 3 s
LOOK_S: Final = 0.5
AGAIN_S: Final = 2.0  # until a stop that was not taken is said again
MOST_STOPS: Final = 5

_Key: TypeAlias = tuple[str, str, str]  # device, channel, "move" or "lens"


@dataclass(slots=True)
class _Held:
    until: float
    stops: int = 0


class Hands:
    """One per gateway. ``watch`` is to be one of its loops."""

    def __init__(self, questions: Questions, errands: Errands) -> None:
        self._questions = questions
        self._errands = errands
        self._held: dict[_Key, _Held] = {}

    def gives(self, device: str, command: wire.Command) -> None:
        """A command is about to go out: one that is lost on the way may have moved the camera all the same."""
        if isinstance(command, wire.Preset | wire.Cruise | wire.Scan | wire.PrecisePtz):
            self._held.pop((device, command.channel, "move"), None)  # it goes there now, and is not to be stopped
        if (key := _key(device, command)) is None:
            return
        now = asyncio.get_running_loop().time()
        if _is_still(command):
            if (held := self._held.get(key)) is not None:
                held.until = now + AGAIN_S  # unless it is said that this one was taken
        else:
            self._held[key] = _Held(now + HELD_S)

    def gave(self, device: str, command: wire.Command) -> None:
        """It was taken: after a stop there is nothing to watch."""
        key = _key(device, command)
        if key is not None and _is_still(command):
            self._held.pop(key, None)

    async def watch(self) -> None:
        """Stop what nobody holds any more, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = asyncio.get_running_loop().time()
            for key, held in list(self._held.items()):
                if held.until <= now:
                    self._errands.start(f"hands/{'/'.join(key)}", partial(self._stop, key, held))

    async def _stop(self, key: _Key, held: _Held) -> None:
        device, channel, what = key
        order = ptz.encode(ptz.Move() if what == "move" else ptz.lens(0, 0))
        held.stops += 1
        held.until = asyncio.get_running_loop().time() + AGAIN_S
        log.info("camera.stopped", device=device, channel=channel, what=what)
        try:
            await self._questions.send(device, DeviceControl(sn=self._questions.number(), device=channel, ptz=order))
        except HubError as error:
            if held.stops < MOST_STOPS:
                return
            log.warning("camera.not_stopped", device=device, channel=channel, error=error.id)
        if self._held.get(key) is held:  # nobody took it in hand meanwhile
            del self._held[key]


def _key(device: str, command: wire.Command) -> _Key | None:
    match command:
        case wire.Move() | wire.Lens():
            return device, command.channel, command.type
    return None


def _is_still(command: wire.Command) -> bool:
    match command:
        case wire.Move(pan=pan, tilt=tilt, zoom=zoom):
            return not (pan or tilt or zoom)
        case wire.Lens(focus=focus, iris=iris):
            return not (focus or iris)
    return False
