"""Taking a camera in hand: pan and tilt, lens, presets, cruise, switches; and asking what it has recorded."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.command_wire import Command, CommandOut, RecordsIn, RecordsOut
from hub.domain.errors import Conflict, Invalid
from hub.domain.events import CameraControlled
from hub.domain.ids import CameraId, GbId, UserId
from hub.domain.roles import Right
from hub.services.access import require
from hub.services.cameras import reachable
from hub.services.context import Actor, Context
from hub.services.gateways import GatewayBook
from hub.store.outbox import record

MANAGED: Final = frozenset(
    {"reboot", "guard", "unguard", "reset_alarm", "record", "stop_record", "config", "info", "status"}
)
"""Commands to the device behind the camera rather than to its picture: administrators give them."""
SAID_EVERY_MS: Final = 60_000  # a hand on the stick gives a command every moment; the log names it once a minute
MOST_SAID: Final = 4_096
MOST_RECORD_S: Final = 31 * 86_400

_command: Final[TypeAdapter[Command]] = TypeAdapter(Command)


@dataclass(frozen=True, slots=True)
class GbPlace:
    """Where a camera is in GB/T 28181."""

    device: GbId
    channel: GbId
    unit: str


class CameraControl:
    """One per api process."""

    def __init__(self, ctx: Context, book: GatewayBook) -> None:
        self._ctx = ctx
        self._book = book
        self._said: dict[tuple[UserId, CameraId], int] = {}

    async def command(self, actor: Actor, camera: CameraId, given: dict[str, Any]) -> CommandOut:
        """Give one command. Raises NotFound, Forbidden, Conflict (``camera.not_gb28181``), Unavailable.

        ``given`` is a command of ``command_wire`` without its channel, checked already.
        """
        kind = str(given["type"])
        require(actor, Right.CAMERA_MANAGE if kind in MANAGED else Right.CAMERA_CONTROL)
        async with self._ctx.reading() as db:
            place = await self.place(db, actor, camera)
        command = _command.validate_python({**given, "channel": place.channel})
        node = await self._book.need()
        out = await self._book.client.command(node.url, place.device, command)
        if kind != "presets":
            await self._say(actor, camera, place, kind)
        return out

    async def records(self, actor: Actor, camera: CameraId, *, start_s: int, end_s: int) -> RecordsOut:
        """What the device has recorded of this channel, oldest first.

        Raises NotFound, Invalid (``records.span``), Conflict (``camera.not_gb28181``), Unavailable.
        """
        require(actor, Right.CAMERA_CONTROL)
        check_span(start_s, end_s, most_s=MOST_RECORD_S)
        async with self._ctx.reading() as db:
            place = await self.place(db, actor, camera)
        node = await self._book.need()
        wanted = RecordsIn(channel=place.channel, start_s=start_s, end_s=end_s)
        return await self._book.client.records(node.url, place.device, wanted)

    async def place(self, db: AsyncSession, actor: Actor, camera: CameraId) -> GbPlace:
        """Where a camera within reach is. Raises NotFound, Conflict (``camera.not_gb28181``)."""
        row = await reachable(self._ctx, db, actor, camera)
        if row.device is None or row.channel is None:
            raise Conflict("camera.not_gb28181", "this camera cannot be controlled from here")
        return GbPlace(row.device, row.channel, row.unit)

    async def _say(self, actor: Actor, camera: CameraId, place: GbPlace, kind: str) -> None:
        now = self._ctx.clock()
        if now - self._said.get((actor.id, camera), -SAID_EVERY_MS) < SAID_EVERY_MS:
            return
        if len(self._said) >= MOST_SAID:
            self._said = {key: at for key, at in self._said.items() if now - at < SAID_EVERY_MS}
        self._said[actor.id, camera] = now
        async with self._ctx.sessions.begin() as db:
            record(db, CameraControlled(by=actor.id, what=kind), unit=place.unit, ref=camera, at=now)


def check_span(start_s: int, end_s: int, *, most_s: int) -> None:
    """Raise Invalid (``records.span``) unless this is a time of at most ``most_s`` that ends after it begins."""
    if not 0 <= start_s < end_s or end_s - start_s > most_s:
        longest = f"{most_s // 3_600} hours"
        raise Invalid("records.span", f"a recording is asked for by a time of at most {longest}", field="end")
