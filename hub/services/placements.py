"""Which relay carries which stream: desired state, kept by leases in Redis and told to the relays by HTTP.

A stream has its source at one relay: whoever wants it first leases a place for it (``placing``), everybody else finds
that place. Viewers may be served elsewhere, by a leg that leads to that relay. One process at a time, the leader, sees
to it that cameras with rules are open; any process opens one for a viewer. A camera's URL goes nowhere but over this
HTTP.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog

from hub.bus import leases
from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.relay_wire import LEASE_KEY, NodeInfo, StreamConfig
from hub.bus.relays import Relays
from hub.domain.errors import HubError, NotFound, Unavailable
from hub.domain.ids import CameraId, StreamId
from hub.services import placing
from hub.services.context import Context
from hub.services.gateways import GatewayBook
from hub.services.places import PLACE_TTL_MS, Places, lease_name
from hub.services.states import StreamBook
from hub.services.stream_config import config_of
from hub.store import cameras, streams
from hub.store import conferences as conference_store

log: Final = structlog.get_logger(__name__)

LEADER_TTL_MS: Final = 5_000
NO_CAMERA: Final = ("mem-", "pb-", "talk-")  # members, playbacks, talks: who opened them says where they are
BORROWED_KEY: Final = "borrowed:{stream}"  # a stream that is no camera's: a recording, a talk
EVERY_S: Final = 1.0
RENEW_EVERY_MS: Final = 120_000
AT_ONCE: Final = 16  # calls to relays at the same time
MOVING_KEY: Final = "moving:{stream}"
MOVING_MS: Final = 6_000  # a camera changes hands within this time, or whoever moved it is dead
MOVING_EVERY_S: Final = 0.05


class Placements(Places):
    """One per api process."""

    def __init__(self, ctx: Context, relays: Relays, book: StreamBook, gateways: GatewayBook | None = None) -> None:
        super().__init__(ctx, book)
        self._gateways = gateways
        self._gateway: str | None = None  # internal URL of the one that speaks for us, as last seen
        self._relays = relays
        self._me = secrets.token_hex(8)
        self._leads = False
        self._told: dict[CameraId, tuple[str, int, StreamConfig]] = {}  # what we told which relay
        self._failed: set[CameraId] = set()
        self._renewed_at = 0
        self._legs: dict[tuple[StreamId, str], tuple[int, str]] = {}  # (stream, relay) -> its since, the leg's url
        self._wake = asyncio.Event()

    async def viewing(self, stream: StreamId, *, at: NodeInfo | None = None, anew: bool = False) -> NodeInfo:
        """The relay that a viewer of this stream is served by, which knows of it when this returns.

        ``at`` is the relay that the viewer is connected to already; ``anew``: tell relays again whatever we told.
        Raises NotFound (``camera.unknown``, ``stream.unknown``), Unavailable (``relay.none``).
        """
        origin = await self._origin(stream, anew=anew)
        node = placing.viewing(stream, origin, await self.relays_alive(), self._book.legs_of(stream), at)
        if node.id == origin.id:
            return origin
        try:
            await self._lay_leg(stream, origin, node, anew=anew)
        except Unavailable:
            if at is not None:
                raise
            return origin  # better there than not at all
        return node

    async def _origin(self, stream: StreamId, *, anew: bool) -> NodeInfo:
        if not stream.startswith(NO_CAMERA):
            return await self.open_camera(stream, anew=anew)
        if (found := await self.where(stream)) is None:
            raise NotFound("stream.unknown", "nobody publishes this stream")
        return found

    async def _lay_leg(self, stream: StreamId, origin: NodeInfo, at: NodeInfo, *, anew: bool = False) -> None:
        """Have ``at`` carry a stream of ``origin``, whoever of the two can open the connection."""
        how = placing.way(origin, at)
        url = origin.url if how == "dialled" else f"push:{origin.id}"
        told = (at.since, url)
        if anew or how == "pushed" or self._legs.get((stream, at.id)) != told:
            await self._relays.put_stream(at.url, stream, StreamConfig(kind="leg", url=url))
            self._legs[stream, at.id] = told
        if how == "pushed":  # the other one stops when nobody watches: it is told for each viewer
            await self._relays.push(origin.url, stream, to=at.id, url=at.url)

    # cameras --------------------------------------------------------------------------------------

    async def open_camera(self, camera: CameraId, *, anew: bool = False) -> NodeInfo:
        """Have a camera's stream known to its relay; return the relay. ``anew``: tell it again whatever we told.

        A relay that does not answer is passed over once. Raises NotFound, Unavailable (``relay.none``).
        """
        async with self._ctx.reading() as db:
            row = await cameras.camera(db, camera)
            watched = bool(await cameras.watched(db, [camera]))
        if row is None:
            raise NotFound("camera.unknown", "no such camera")
        if row.device is not None:
            await self._find_gateway()
        config = self._config(row.url, row.sub_url, watched=watched)
        for last in (False, True):
            node = await self.place(camera)
            try:
                await self._tell(camera, node, config, anew=anew)
            except Unavailable:
                self.suspect(node)
                if last:
                    raise
                continue
            return node
        raise Unavailable("relay.none", "no relay answers")

    async def _tell(self, camera: CameraId, node: NodeInfo, config: StreamConfig, *, anew: bool = False) -> None:
        told = (node.id, node.since, config)
        if anew or self._told.get(camera) != told:
            await self._until_settled(camera)
            await self._relays.put_stream(node.url, camera, config)
            self._told[camera] = told

    # changing hands -------------------------------------------------------------------------------

    async def hand_over(
        self, stream: StreamId, source: NodeInfo, others: Sequence[NodeInfo], *, wanted: bool
    ) -> NodeInfo | None:
        """Move a camera from a relay to one of the others; the first has closed it before the second opens it.

        Where it is not ``wanted`` it is only forgotten. Returns who has it now. Raises Unavailable.
        """
        name, key = lease_name(stream), MOVING_KEY.format(stream=stream)
        if not await self._redis.set(key, self._me, nx=True, px=MOVING_MS):
            return None  # somebody moves it already
        try:
            await self._relays.delete_stream(source.url, stream)  # answers once the camera is closed
            self._told.pop(stream, None)
            if not wanted or not others:
                await leases.release(self._redis, name, source.id)
                return None
            target = placing.heir(stream, others, self._book.legs_of(stream))
            if not await leases.take_over(self._redis, name, source.id, target.id, ttl_ms=PLACE_TTL_MS):
                return None  # its place is elsewhere already
            await self._relays.delete_stream(source.url, stream)  # a call may have been on its way
            self._legs.pop((stream, target.id), None)
            log.info("placement.handed_over", stream=stream, source=source.id, to=target.id)
        finally:
            await self._redis.delete(key)
        await self.open_camera(stream)
        await self._mend_legs()
        return target

    async def _until_settled(self, stream: StreamId) -> None:
        """A camera that changes hands is opened by nobody meanwhile."""
        key = MOVING_KEY.format(stream=stream)
        for _ in range(int(MOVING_MS / 1_000 / MOVING_EVERY_S)):
            if await self._redis.exists(key) == 0:
                return
            await asyncio.sleep(MOVING_EVERY_S)

    async def lost(self, node: NodeInfo) -> None:
        """A relay is dead: open elsewhere, now, what it had open for the viewers of other relays."""
        self._wake.set()
        for stream, _, url in self._book.legs():
            if url in (node.url, f"push:{node.id}") and not stream.startswith("mem-"):
                with contextlib.suppress(HubError):  # who comes again asks again
                    await self.open_camera(stream)
        await self._mend_legs()

    async def _mend_legs(self) -> None:
        """Have every leg lead to the relay that has the source now."""
        alive = {node.id: node for node in await self.relays_alive()}
        legs = [leg for leg in self._book.legs() if leg[1] in alive]
        if not legs:
            return
        holders = await self._redis.mget([LEASE_KEY.format(name=lease_name(stream)) for stream, _, _ in legs])
        for (stream, at, url), holder in zip(legs, holders, strict=True):
            origin = alive.get(str(holder))
            if origin is None or origin.id == at or url in (origin.url, f"push:{origin.id}"):
                continue
            with contextlib.suppress(HubError):  # the next round tries again
                await self._lay_leg(stream, origin, alive[at])

    async def drop(self, stream: StreamId) -> None:
        """Have a stream forgotten: its sessions end, its place is free. Errors of a dead relay do not matter."""
        self._told.pop(stream, None)
        try:
            node = await self.where(stream)
            alive = {each.id: each for each in await self.relays_alive()}
            for at in self._book.legs_of(stream) & alive.keys():
                await self._relays.delete_stream(alive[at].url, stream)
            if node is not None:
                await self._relays.delete_stream(node.url, stream)
                await leases.release(self._redis, lease_name(stream), node.id)
        except (HubError, *BUS_ERRORS) as error:
            log.info("placement.drop_failed", stream=stream, error=str(error))

    # the loop -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reconcile every second, for ever. A dead Redis is waited for; then everything is told anew."""
        outage = Outage("placements")
        while True:
            try:
                await self._round()
                outage.worked()
            except (*BUS_ERRORS, Unavailable) as error:
                self._leads = False
                self._book.relays([])
                await asyncio.sleep(outage.failed(error))
                continue
            except Exception:
                log.exception("placement.round_failed")  # the next round tries again
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()

    async def _round(self) -> None:
        alive = await self.relays_alive()
        self._book.relays(alive)
        led, self._leads = self._leads, await self._lead()
        async with self._ctx.reading() as db:
            told = set(self._told)  # not what a viewer opens while the database answers
            known = await streams.sources(db, told)
            watched = await streams.watched_sources(db) if self._leads else {}
        for camera in told - known.keys():
            await self.drop(camera)
        await self._tell_changes(known)
        if not (self._leads and alive):
            return
        if not led:
            await self._adopt(alive)
        await self._renew()
        await self._find_gateway()
        await self._mend_legs()
        stale = {c for c, (_, _, config) in self._told.items() if config.pictures_every_ms and c not in watched}
        stale |= {c for c, (_, _, config) in self._told.items() if config.gateway not in (None, self._gateway)}
        wanted = {camera: self._config(*known[camera], watched=False) for camera in stale if camera in known}
        wanted |= {camera: self._config(*address, watched=True) for camera, address in watched.items()}
        places = {node.id: node for node in alive}
        await self._tell_all({c: config for c, config in wanted.items() if self._is_news(c, config, places)})

    async def _tell_changes(self, known: Mapping[CameraId, streams.Address]) -> None:
        """Cameras whose addresses are others now than those that we told their relays."""
        changed = {}
        for camera, (_, _, config) in self._told.items():
            if (address := known.get(camera)) is not None:
                now = self._config(*address, watched=config.pictures_every_ms is not None)
                if (now.url, now.sub_url, now.media) != (config.url, config.sub_url, config.media):
                    changed[camera] = now
        if changed:
            await self._find_gateway()
            gateway = {"gateway": self._gateway} if self._gateway is not None else {}
            await self._tell_all(
                {c: now.model_copy(update=gateway) if now.gateway is not None else now for c, now in changed.items()}
            )

    async def _renew(self) -> None:
        """Keep the places of streams in use, so that a second viewer does not open them on another relay."""
        now = self._ctx.clock()
        if now - self._renewed_at < RENEW_EVERY_MS:
            return
        self._renewed_at = now
        for stream, node in self._book.in_use():
            await leases.renew(self._redis, lease_name(stream), node, ttl_ms=PLACE_TTL_MS)

    async def _lead(self) -> bool:
        holder = await leases.acquire(self._redis, "placements", self._me, ttl_ms=LEADER_TTL_MS)
        return holder == self._me

    def _is_news(self, camera: CameraId, config: StreamConfig, alive: Mapping[str, NodeInfo]) -> bool:
        told = self._told.get(camera)
        if told is None or told[2] != config:
            return True
        node = alive.get(told[0])
        return node is None or node.since != told[1]

    async def _tell_all(self, wanted: Mapping[CameraId, StreamConfig]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(camera: CameraId, config: StreamConfig) -> None:
            async with gate:
                try:
                    node = await self.place(camera)
                except Unavailable:
                    return  # the next round tries again
                try:
                    await self._tell(camera, node, config)
                    self._failed.discard(camera)
                except HubError as error:
                    if isinstance(error, Unavailable):
                        self.suspect(node)
                    if camera not in self._failed:
                        self._failed.add(camera)
                        log.warning("placement.refused", camera=camera, relay=node.id, error=error.id)

        async with asyncio.TaskGroup() as group:
            for camera, config in wanted.items():
                group.create_task(one(camera, config), name=f"place/{camera}")

    async def _adopt(self, alive: Collection[NodeInfo]) -> None:
        """Learn what relays carry from before our time: forget what nobody knows, tell the rest anew."""
        for node in alive:
            try:
                carried = [each.stream for each in await self._relays.streams(node.url) if each.origin is None]
            except Unavailable:
                self.suspect(node)
                continue
            async with self._ctx.reading() as db:
                known = await streams.sources(db, carried)
                members = {member.id for member in await conference_store.present(db)}
            for stream in carried:
                if stream in known:
                    # watched, perhaps: if no rule looks, the round corrects it
                    told = self._config(*known[stream], watched=True)
                    self._told.setdefault(stream, (node.id, -1, told))
                elif stream not in members and not await self._borrowed(stream):
                    await self._relays.delete_stream(node.url, stream)

    async def _find_gateway(self) -> None:
        """Which gateway speaks for us now; the last one known while none does."""
        if self._gateways is not None and (node := await self._gateways.node()) is not None:
            self._gateway = node.url

    def _config(self, url: str, sub_url: str | None = None, *, watched: bool) -> StreamConfig:
        return config_of(url, watched=watched, gateway=self._gateway, sub_url=sub_url)

    # streams that are no camera's -------------------------------------------------------------------

    async def open_url(self, stream: StreamId, url: str, *, keep_s: int) -> NodeInfo:
        """Have a recording played as a stream of its own, for at most ``keep_s``. Raises Unavailable."""
        await self._find_gateway()
        node = await self.place(stream)
        await self.borrow(stream, keep_s=keep_s)
        await self._relays.put_stream(node.url, stream, self._config(url, watched=False))
        return node

    async def borrow(self, stream: StreamId, *, keep_s: int) -> None:
        """Remember that somebody uses a stream that is no camera's, so that no leader clears it away."""
        try:
            await self._redis.set(BORROWED_KEY.format(stream=stream), "1", ex=keep_s)
        except BUS_ERRORS:
            raise Unavailable("bus.lost", "Redis does not answer; try again") from None

    async def _borrowed(self, stream: StreamId) -> bool:
        return bool(await self._redis.exists(BORROWED_KEY.format(stream=stream)))
