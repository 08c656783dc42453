"""A camera's recordings, played from the device: each playback is a stream of its own, of one person.

What is remembered lies in Redis for some hours: who plays what. A relay that lost the stream is told it again when the
person comes back to it.
"""

import contextlib
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.bus.call_wire import ControlIn
from hub.bus.relay_wire import NodeInfo
from hub.bus.relays import TransportStream
from hub.domain.errors import Conflict, NotFound
from hub.domain.events import CameraPlayedBack
from hub.domain.ids import CameraId, StreamId, new_id
from hub.domain.roles import Right
from hub.services.access import require
from hub.services.accounts import SignedInAs
from hub.services.camera_control import CameraControl, check_span
from hub.services.context import Context
from hub.services.gateways import GatewayBook
from hub.services.media import Answered, Media, owner_key
from hub.services.placements import Placements
from hub.services.remembered import remembered
from hub.services.stream_config import gb_url
from hub.store.outbox import record

KEY: Final = "playback:{id}"
KEEP_S: Final = 6 * 3_600
MOST_S: Final = 86_400  # of one playback
DOWNLOAD_SPEED: Final = 4


class Playback(BaseModel):
    """One person's playback of one camera. Times are Unix seconds."""

    model_config = ConfigDict(frozen=True)
    id: StreamId
    camera: CameraId
    owner: str
    url: str
    start_s: int
    end_s: int


class Playbacks:
    """One per api process."""

    def __init__(self, ctx: Context, placements: Placements, media: Media, control: CameraControl, book: GatewayBook):
        self._ctx = ctx
        self._placements = placements
        self._media = media
        self._control = control
        self._book = book

    async def open(
        self, who: SignedInAs, camera: CameraId, *, start_s: int, end_s: int, download: bool = False
    ) -> Playback:
        """Prepare a playback; the device is asked when somebody watches or reads it. Recorded.

        Raises NotFound, Invalid (``records.span``), Conflict (``camera.not_gb28181``).
        """
        require(who.actor, Right.CAMERA_CONTROL)
        check_span(start_s, end_s, most_s=MOST_S)
        async with self._ctx.reading() as db:
            place = await self._control.place(db, who.actor, camera)
        now = self._ctx.clock()
        span = {"start": start_s, "end": end_s} | ({"speed": DOWNLOAD_SPEED} if download else {})
        playback = Playback(
            id=new_id("pb", now_ms=now),
            camera=camera,
            owner=owner_key(who.session),
            url=gb_url(place.device, place.channel, query=span),
            start_s=start_s,
            end_s=end_s,
        )
        await remembered(
            self._ctx, lambda redis: redis.set(KEY.format(id=playback.id), playback.model_dump_json(), ex=KEEP_S)
        )
        async with self._ctx.sessions.begin() as db:
            event = CameraPlayedBack(by=who.actor.id, start=start_s * 1_000, end=end_s * 1_000)
            record(db, event, unit=place.unit, ref=camera, at=now)
        return playback

    async def watch(self, who: SignedInAs, id: StreamId, sdp: str, *, width: int | None = None) -> Answered:
        """Watch it. Raises NotFound (``playback.unknown``), Unavailable, Invalid (``sdp.invalid`` …)."""
        playback = await self.mine(who, id)
        await self._open(playback)
        return await self._media.watch_stream(who, id, sdp, keys=(playback.camera, id), width=width)

    async def read(self, who: SignedInAs, id: StreamId) -> TransportStream:
        """Read it as MPEG-TS, to be kept as a file. Close what is returned. Raises as ``watch``."""
        playback = await self.mine(who, id)
        node = await self._open(playback)
        return await self._media.read_stream(who, node, id, keys=(playback.camera, id))

    async def control(self, who: SignedInAs, id: StreamId, control: ControlIn) -> None:
        """Pause, go on, seek (seconds from the start), or change the speed.

        Raises NotFound, Conflict (``playback.not_running``), Unavailable.
        """
        await self.mine(who, id)
        node = await self._placements.where(id)
        call = None
        if node is not None:
            with contextlib.suppress(NotFound):
                call = (await self._media.relays.stream(node.url, id)).call
        if call is None:
            raise Conflict("playback.not_running", "nothing is played; watch it first")
        gateway = await self._book.need()
        await self._book.client.control(gateway.url, call, control)

    async def end(self, who: SignedInAs, id: StreamId) -> None:
        """It is not needed any more. Raises NotFound (``playback.unknown``)."""
        await self.mine(who, id)
        await self._placements.drop(id)
        await remembered(self._ctx, lambda redis: redis.delete(KEY.format(id=id)))

    async def mine(self, who: SignedInAs, id: StreamId) -> Playback:
        """A playback of this sign-in, whose camera is still within reach. Raises NotFound."""
        text = await remembered(self._ctx, lambda redis: redis.get(KEY.format(id=id)))
        try:
            playback = None if text is None else Playback.model_validate_json(str(text))
        except ValidationError:
            playback = None
        if playback is None or playback.owner != owner_key(who.session):
            raise NotFound("playback.unknown", "no such playback")
        async with self._ctx.reading() as db:
            await self._control.place(db, who.actor, playback.camera)
        return playback

    async def _open(self, playback: Playback) -> NodeInfo:
        return await self._placements.open_url(playback.id, playback.url, keep_s=KEEP_S)
