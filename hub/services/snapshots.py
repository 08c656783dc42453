"""Pictures of a camera: one now from its stream, or several that the device takes and uploads (GB/T 28181-2022 9.14).

The device cannot sign in. What lets it upload is the address itself: it holds a secret of 32 bytes, is good for ten
minutes and for as many pictures as were asked for, and each is looked at before it is kept.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.bus.command_wire import Snapshot
from hub.domain.errors import Conflict, NotFound
from hub.domain.events import CameraControlled
from hub.domain.ids import CameraId
from hub.domain.picture import inspect
from hub.domain.roles import Right
from hub.services.access import require
from hub.services.accounts import SignedInAs
from hub.services.alerts import pictures
from hub.services.camera_control import CameraControl
from hub.services.cameras import reachable
from hub.services.context import Actor, Context
from hub.services.gateways import GatewayBook
from hub.services.media import Media, owner_key
from hub.services.remembered import remembered
from hub.store.outbox import record

ASKED_KEY: Final = "upload:{session}"
CAME_KEY: Final = "uploaded:{session}"
TAKEN_KEY: Final = "uploads:{session}"  # places that are taken: two pictures may come at one moment
ASKED_S: Final = 600
CAME_S: Final = 86_400
PATH: Final = "/uploads/"


class Asked(BaseModel):
    """What a device was asked for."""

    model_config = ConfigDict(frozen=True)
    camera: CameraId
    count: int


@dataclass(frozen=True, slots=True)
class Taken:
    sha256: str
    at: int


class Snapshots:
    """One per api process."""

    def __init__(self, ctx: Context, media: Media, control: CameraControl, book: GatewayBook) -> None:
        self._ctx = ctx
        self._media = media
        self._control = control
        self._book = book

    async def now(self, who: SignedInAs, camera: CameraId) -> bytes:
        """The camera's picture as JPEG, from its stream; opened for it where nobody watches. Recorded as viewed.

        Raises NotFound (``camera.unknown``), Unavailable (``relay.none``, ``stream.not_live``).
        """
        require(who.actor, Right.CAMERA_WATCH)
        async with self._ctx.reading() as db:
            await reachable(self._ctx, db, who.actor, camera)
        node = await self._media.placements.open_camera(camera)
        try:
            found = await self._media.relays.snapshot(node.url, camera, owner=owner_key(who.session))
        except NotFound:  # the relay has forgotten it
            node = await self._media.placements.open_camera(camera, anew=True)
            found = await self._media.relays.snapshot(node.url, camera, owner=owner_key(who.session))
        await self._media.viewed(who, camera, None)
        return found

    async def ask(self, actor: Actor, camera: CameraId, *, count: int, interval_s: int) -> str:
        """Have the device take pictures and upload them; the session to look for them under.

        Raises NotFound, Conflict (``camera.not_gb28181``), Invalid (``gb28181.edition``), Unavailable.
        """
        require(actor, Right.CAMERA_CONTROL)
        async with self._ctx.reading() as db:
            place = await self._control.place(db, actor, camera)
        base = self._ctx.settings.upload_base
        if base is None:
            raise Conflict("upload.no_address", "SHARPEYES_UPLOAD_URL must say where devices reach this hub")
        session = secrets.token_urlsafe(32)
        asked = Asked(camera=camera, count=count)
        key = ASKED_KEY.format(session=session)
        await remembered(self._ctx, lambda redis: redis.set(key, asked.model_dump_json(), ex=ASKED_S))
        node = await self._book.need()
        command = Snapshot(
            channel=place.channel, count=count, interval_s=interval_s, upload_url=base + PATH + session, session=session
        )
        await self._book.client.command(node.url, place.device, command)
        async with self._ctx.sessions.begin() as db:
            event = CameraControlled(by=actor.id, what="snapshot")
            record(db, event, unit=place.unit, ref=camera, at=self._ctx.clock())
        return session

    async def expects(self, session: str) -> Asked:
        """What may still be uploaded. Raises NotFound ``upload.unknown``."""
        text = await remembered(self._ctx, lambda redis: redis.get(ASKED_KEY.format(session=session)))
        taken = await remembered(self._ctx, lambda redis: redis.get(TAKEN_KEY.format(session=session)))
        try:
            asked = None if text is None else Asked.model_validate_json(str(text))
        except ValidationError:
            asked = None
        if asked is None or int(taken or 0) >= asked.count:
            raise NotFound("upload.unknown", "nothing is expected here")
        return asked

    async def take(self, session: str, data: bytes) -> None:
        """A picture came. Raises NotFound ``upload.unknown``, Invalid (``picture.unknown``, ``picture.too_large``)."""
        asked = await self.expects(session)
        inspect(data)
        place = TAKEN_KEY.format(session=session)
        taken = await remembered(self._ctx, lambda redis: redis.incr(place))
        await remembered(self._ctx, lambda redis: redis.expire(place, ASKED_S))
        if int(taken) > asked.count:
            raise NotFound("upload.unknown", "nothing is expected here")
        name = await pictures(self._ctx).put(data)
        key, row = CAME_KEY.format(session=session), f"{asked.camera} {self._ctx.clock()} {name}"
        await remembered(self._ctx, lambda redis: redis.rpush(key, row))
        await remembered(self._ctx, lambda redis: redis.expire(key, CAME_S))

    async def came(self, actor: Actor, camera: CameraId, session: str) -> list[Taken]:
        """What was uploaded so far, oldest first. Raises NotFound (``camera.unknown``)."""
        require(actor, Right.CAMERA_WATCH)
        async with self._ctx.reading() as db:
            await reachable(self._ctx, db, actor, camera)
        rows = await remembered(self._ctx, lambda redis: redis.lrange(CAME_KEY.format(session=session), 0, 100))
        parts = [str(row).split(" ") for row in rows]
        return [Taken(part[2], int(part[1])) for part in parts if len(part) == 3 and part[0] == camera]

    async def picture(self, actor: Actor, camera: CameraId, session: str, sha256: str) -> bytes:
        """One of them. Raises NotFound (``camera.unknown``, ``picture.unknown``)."""
        if all(taken.sha256 != sha256 for taken in await self.came(actor, camera, session)):
            raise NotFound("picture.unknown", "no such picture")
        data = await pictures(self._ctx).get(sha256)
        if data is None:
            raise NotFound("picture.unknown", "no such picture")
        return data
