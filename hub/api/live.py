"""Puts the live half of an api process together: what ``create_app`` is given, and what runs beside it."""

from dataclasses import dataclass

from hub.api.app import BackgroundTask
from hub.api.fanout import Fanout
from hub.bus import registry
from hub.bus.gateway_client import Gateways
from hub.bus.relay_wire import NodeInfo
from hub.bus.relays import Relays
from hub.services.attendance import Attendance
from hub.services.camera_control import CameraControl
from hub.services.context import Context
from hub.services.drains import Drains
from hub.services.gateways import GatewayBook
from hub.services.media import Media
from hub.services.placements import Placements
from hub.services.playbacks import Playbacks
from hub.services.presence import Presence
from hub.services.relay_watch import RelayWatch
from hub.services.reports import Reports
from hub.services.snapshots import Snapshots
from hub.services.states import StreamBook
from hub.services.talks import Talks


@dataclass(frozen=True)
class Live:
    """Pass ``states``, ``online``, ``parts`` and ``tasks`` to ``create_app``; ``close`` it when the application is."""

    states: StreamBook
    online: Presence
    fanout: Fanout
    media: Media
    placements: Placements
    reports: Reports
    attendance: Attendance
    drains: Drains
    watch: RelayWatch
    relays: Relays
    gateways: GatewayBook
    control: CameraControl
    playbacks: Playbacks
    talks: Talks
    snapshots: Snapshots
    node: str
    ctx: Context

    @property
    def parts(self) -> tuple[object, ...]:
        """What routes ask for by class."""
        return (
            self.fanout,
            self.media,
            self.placements,
            self.gateways,
            self.control,
            self.playbacks,
            self.talks,
            self.snapshots,
        )

    @property
    def tasks(self) -> tuple[BackgroundTask, ...]:
        """Everything that runs as long as the application does."""
        return (
            BackgroundTask("live/fanout", self.fanout.run),
            BackgroundTask("live/placements", self.placements.run),
            BackgroundTask("live/relays", self.watch.run),
            BackgroundTask("live/drains", self.drains.run),
            BackgroundTask("live/gateways", self.gateways.run),
            BackgroundTask("live/reports", self.reports.run),
            BackgroundTask("live/attendance", self.attendance.run),
            BackgroundTask("live/heartbeat", self._heartbeat),
        )

    async def _heartbeat(self) -> None:
        redis, since = self.ctx.redis, self.ctx.clock()
        if redis is None:
            raise RuntimeError("the live half needs Redis")

        def describe() -> NodeInfo:
            return NodeInfo(id=self.node, role="api", url="", since=since, seen_at=self.ctx.clock())

        await registry.heartbeat(redis, describe)

    async def close(self) -> None:
        """Close the connections to relays and gateways."""
        await self.relays.close()
        await self.gateways.client.close()


def make_live(ctx: Context, *, token: str, node: str) -> Live:
    """Put it together. ``token`` is the installation's internal token, ``node`` this process's name."""
    relays = Relays(token)
    book_of_gateways = GatewayBook(ctx, Gateways(token))
    book = StreamBook(ctx.clock)
    presence = Presence(node, ctx.clock)
    placements = Placements(ctx, relays, book, book_of_gateways)
    media = Media(ctx, placements, relays)
    control = CameraControl(ctx, book_of_gateways)
    return Live(
        states=book,
        online=presence,
        fanout=Fanout(ctx, media, book, presence),
        media=media,
        placements=placements,
        reports=Reports(ctx, media, token, node=node, gateways=book_of_gateways, placements=placements),
        drains=Drains(ctx, placements, relays, media, node),
        watch=RelayWatch(placements, relays, media),
        attendance=Attendance(ctx, media, presence),
        relays=relays,
        gateways=book_of_gateways,
        control=control,
        playbacks=Playbacks(ctx, placements, media, control, book_of_gateways),
        talks=Talks(ctx, placements, media, control, book_of_gateways),
        snapshots=Snapshots(ctx, media, control, book_of_gateways),
        node=node,
        ctx=ctx,
    )
