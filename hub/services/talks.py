"""Speaking to a camera (语音广播): a microphone published to a relay, which sends it on to the device."""

from hub.bus.relay_wire import TalkConfig
from hub.domain.errors import HubError
from hub.domain.events import CameraTalked
from hub.domain.ids import CameraId, new_id
from hub.domain.roles import Right
from hub.services.access import require
from hub.services.accounts import SignedInAs
from hub.services.camera_control import CameraControl
from hub.services.context import Context
from hub.services.gateways import GatewayBook
from hub.services.media import Answered, Media, owner_key
from hub.services.placements import Placements
from hub.services.talking import KEEP_S, Talking, talk_began
from hub.store.outbox import record


class Talks:
    """One per api process."""

    def __init__(
        self, ctx: Context, placements: Placements, media: Media, control: CameraControl, book: GatewayBook
    ) -> None:
        self._ctx = ctx
        self._placements = placements
        self._media = media
        self._control = control
        self._book = book

    async def open(self, who: SignedInAs, camera: CameraId, sdp: str) -> Answered:
        """Publish a microphone, and have the device listen to it; ends with the session. Recorded.

        Raises NotFound, Conflict (``camera.not_gb28181``, ``talk.busy``), Unavailable with the device's reason.
        """
        require(who.actor, Right.CAMERA_CONTROL)
        async with self._ctx.reading() as db:
            place = await self._control.place(db, who.actor, camera)
        gateway = await self._book.need()
        now = self._ctx.clock()
        talk = new_id("talk", now_ms=now)
        answered, node = await self._media.publish_stream(who, talk, sdp, keys=(camera, talk))
        config = TalkConfig(
            stream=talk, gateway=gateway.url, device=place.device, channel=place.channel, owner=owner_key(who.session)
        )
        try:
            await self._placements.borrow(talk, keep_s=KEEP_S)
            await self._media.relays.put_talk(node.url, talk, config)
        except HubError:
            await self._media.end(who, answered.session)
            await self._placements.drop(talk)
            raise
        await talk_began(self._ctx, camera, Talking(talk=talk, name=who.actor.name))
        async with self._ctx.sessions.begin() as db:
            record(db, CameraTalked(by=who.actor.id), unit=place.unit, ref=camera, at=now)
        return answered
