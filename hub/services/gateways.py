"""Which gateway speaks for us, and keeping it told: devices, passwords, platforms above.

A gateway remembers nothing by itself: one process at a time, the leader, sees every second that what the gateway says
it was told is what the database holds, and tells it again where not.
"""

import asyncio
import secrets
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus import leases, registry
from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.gateway_client import Gateways
from hub.bus.gateway_wire import (
    DeviceConfig,
    DeviceStates,
    DomainConfig,
    GatewayConfig,
    SharedChannel,
    UpperConfig,
)
from hub.bus.relay_wire import NodeInfo
from hub.domain.errors import HubError, Unavailable
from hub.services.context import Context
from hub.store import devices as store
from hub.store.tables_gb import DeviceRow, PlatformRow

log: Final = structlog.get_logger(__name__)

CONFIG_FACT: Final = "config"  # NodeInfo.facts: the version that the gateway was told
ACTIVE_FACT: Final = "active"  # "0": stands by
EVERY_S: Final = 1.0
LEADER_MS: Final = 5_000
KEEP_POSITIONS_MS: Final = 7 * 86_400_000
SWEEP_EVERY_MS: Final = 3_600_000


class GatewayBook:
    """One per api process."""

    def __init__(self, ctx: Context, gateways: Gateways) -> None:
        self._ctx = ctx
        self._me = secrets.token_hex(8)
        self._swept_at = 0
        self._refused: str | None = None
        self.client = gateways

    async def node(self) -> NodeInfo | None:
        """The gateway that speaks for us; None: none runs. Raises Unavailable (``bus.lost``)."""
        if self._ctx.redis is None:
            return None
        try:
            found = await registry.nodes(self._ctx.redis, "gateway")
        except BUS_ERRORS:
            raise Unavailable("bus.lost", "Redis does not answer; try again") from None
        active = [node for node in found if node.facts.get(ACTIVE_FACT) != "0"]
        return max(active, key=lambda node: node.since, default=None)

    async def need(self) -> NodeInfo:
        """The same. Raises Unavailable (``gateway.none``)."""
        if (node := await self.node()) is None:
            raise Unavailable("gateway.none", "no gateway is running")
        return node

    async def states(self) -> DeviceStates | None:
        """What the gateway knows now; None where it does not answer."""
        try:
            node = await self.node()
            return None if node is None else await self.client.devices(node.url)
        except HubError:
            return None

    async def tell(self) -> None:
        """Tell the gateway at once that something changed. When it is away the loop will."""
        try:
            if (node := await self.node()) is not None:
                await self._tell(node)
        except HubError as error:
            log.info("gateway.not_told", error=error.id)

    async def run(self) -> None:
        """Keep it told, for ever."""
        if (redis := self._ctx.redis) is None:
            return
        outage = Outage("gateways")
        while True:
            try:
                if await leases.acquire(redis, "gateways", self._me, ttl_ms=LEADER_MS) == self._me:
                    await leases.renew(redis, "gateways", self._me, ttl_ms=LEADER_MS)
                    await self._round()
                outage.worked()
            except (*BUS_ERRORS, Unavailable) as error:
                if isinstance(error, Unavailable) and error.id != "bus.lost":
                    self._say_refused(error)
                else:
                    await asyncio.sleep(outage.failed(error))
            except HubError as error:
                self._say_refused(error)
            await asyncio.sleep(EVERY_S)

    async def _round(self) -> None:
        now = self._ctx.clock()
        if now - self._swept_at > SWEEP_EVERY_MS:
            self._swept_at = now
            async with self._ctx.sessions.begin() as db:
                await store.forget_positions(db, now - KEEP_POSITIONS_MS)
        if (node := await self.node()) is None:
            return
        async with self._ctx.reading() as db:
            version = await store.revision(db)
        if node.facts.get(CONFIG_FACT) != version:
            await self._tell(node)
        self._refused = None

    async def _tell(self, node: NodeInfo) -> None:
        async with self._ctx.reading() as db:
            config = await config_of(db)
        await self.client.put_config(node.url, config)

    def _say_refused(self, error: HubError) -> None:
        if self._refused != error.id:  # once, not every second
            self._refused = error.id
            log.warning("gateway.not_told", error=error.id, message=error.message)


async def config_of(db: AsyncSession) -> GatewayConfig:
    """What the gateway shall know, with passwords."""
    domain = await store.domain(db)
    uppers = [await _upper(db, row) for row in await store.platforms(db) if row.enabled]
    return GatewayConfig(
        version=await store.revision(db),
        domain=DomainConfig(password=domain.password, accept_unknown=domain.accept_unknown),
        devices=tuple(_device(row) for row in await store.all_devices(db)),
        uppers=tuple(uppers),
    )


def _device(row: DeviceRow) -> DeviceConfig:
    return DeviceConfig.model_validate(
        {
            "id": row.id,
            "password": row.password,
            "enabled": row.enabled,
            "media": row.media,
            "charset": row.charset,
            "send_date": row.send_date,
            "subscriptions": row.subscriptions,
            "heartbeat_s": row.heartbeat_s,
            "heartbeat_misses": row.heartbeat_misses,
        }
    )


async def _upper(db: AsyncSession, row: PlatformRow) -> UpperConfig:
    shared = tuple(
        SharedChannel(
            id=link.gb_id,
            camera=camera.id,
            name=camera.name,
            ptz=min(max(camera.ptz, 0), 7),
            device=camera.device,
            channel=camera.channel,
        )
        for link, camera in await store.shared(db, row.id)
    )
    return UpperConfig.model_validate(
        {
            "id": row.id,
            "domain": row.domain,
            "host": row.host,
            "port": row.port,
            "transport": row.transport,
            "local_id": row.local_id,
            "username": row.username,
            "password": row.password,
            "expires_s": row.expires_s,
            "heartbeat_s": row.heartbeat_s,
            "charset": row.charset,
            "channels": shared,
        }
    )
