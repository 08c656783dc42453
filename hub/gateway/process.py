"""The gateway process, put together: SIP on one side, internal HTTP and Redis on the other.

One gateway speaks for a SIP domain. Others may run beside it and stand by: whoever holds the lease binds the port.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog
from redis.asyncio import Redis

from hub.bus import internal_http, leases
from hub.bus.connection import BUS_ERRORS
from hub.bus.gateway_wire import GatewayConfig
from hub.bus.registry import heartbeat
from hub.bus.relay_wire import NodeInfo
from hub.bus.routes import address_of_route
from hub.domain.clock import Clock, system_clock
from hub.domain.errors import Unavailable
from hub.gateway.calls import MAX_CALLS, Calls
from hub.gateway.cascade import Cascade
from hub.gateway.catalogs import Catalogs
from hub.gateway.devices import Devices
from hub.gateway.hands import Hands
from hub.gateway.http import Routes
from hub.gateway.identity import Identity
from hub.gateway.inbox import Inbox
from hub.gateway.metrics import registry
from hub.gateway.questions import Questions
from hub.gateway.registrar import Registrar
from hub.gateway.reports import Reports
from hub.gateway.subscriptions import Subscriptions
from hub.gateway.talks import Talks
from hub.gateway.tasks import Errands, forever
from hub.gateway.traces import Traces
from hub.settings import Settings
from signaling.gb28181.register import Change
from signaling.sip.digest import Authority
from signaling.sip.layer import ServerTransaction
from signaling.transport.sip import NodeConfig, SipNode

log: Final = structlog.get_logger(__name__)

LEASE_MS: Final = 6_000
MAX_EARLY: Final = 10_000  # REGISTERs before the api told us who may
RENEW_S: Final = 2.0


async def run_gateway(
    settings: Settings,
    *,
    node_id: str,
    token: str,
    redis: Redis,
    clock: Clock = system_clock,
    on_ready: Callable[[NodeInfo], None] = lambda node: None,
    on_made: "Callable[[Gateway], None]" = lambda gateway: None,
) -> None:
    """Run until cancelled; stands by while another gateway of this identity runs.

    Raises Unavailable in one plain line: ``sip.port_taken``, ``internal.port_taken``.
    """
    name = f"gateway:{settings.gb_id}"
    since = clock()
    await _wait_for_turn(redis, name, node_id, since, clock)
    try:
        await _speak(settings, node_id, token, redis, clock, since, name, on_ready, on_made)
    finally:
        try:
            async with asyncio.timeout(0.5):
                await leases.release(redis, name, node_id)
        except (*BUS_ERRORS, TimeoutError):
            pass  # it runs out by itself


async def _wait_for_turn(redis: Redis, name: str, node_id: str, since: int, clock: Clock) -> None:
    """Until the lease is ours."""
    standing = NodeInfo(id=node_id, role="gateway", url="", since=since, seen_at=since, facts={"active": "0"})
    task: asyncio.Task[None] | None = None
    try:
        while True:
            try:
                if await leases.acquire(redis, name, node_id, ttl_ms=LEASE_MS) == node_id:
                    return
            except BUS_ERRORS:
                return  # without Redis nobody else can hold it for long, and devices still have to be answered
            if task is None:
                log.info("gateway.stands_by")
                task = asyncio.create_task(
                    heartbeat(redis, lambda: standing.model_copy(update={"seen_at": clock()})), name="gateway/standby"
                )
            await asyncio.sleep(RENEW_S)
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _speak(
    settings: Settings,
    node_id: str,
    token: str,
    redis: Redis,
    clock: Clock,
    since: int,
    name: str,
    on_ready: Callable[[NodeInfo], None],
    on_made: "Callable[[Gateway], None]",
) -> None:
    gateway = Gateway(settings, redis, clock, token)
    on_made(gateway)
    try:
        async with gateway.node, asyncio.TaskGroup() as group:
            await gateway.start(group)
            routes = gateway.routes().routes()
            async with internal_http.serve(
                routes,
                token=token,
                host=settings.internal_host,
                concurrent=MAX_CALLS + 2 * internal_http.MAX_CONCURRENT,
            ) as base:
                gateway.cascade.calls.gateway = gateway.cascade.talks.gateway = node_id

                def describe() -> NodeInfo:
                    return gateway.describe(node_id, base, since)

                group.create_task(heartbeat(redis, describe), name="gateway/heartbeat")
                group.create_task(_hold(redis, name, node_id), name="gateway/lease")
                gateway.changed = lambda: group.create_task(_say(redis, describe()), name="gateway/said")
                log.info("gateway.ready", node=node_id, sip_port=gateway.node.port, internal=base)
                on_ready(describe())
                await asyncio.Event().wait()
    except OSError as error:
        where = f"{settings.sip_bind}:{settings.sip_port}"
        raise Unavailable("sip.port_taken", f"SIP port {where}: {error.strerror or error}") from None
    finally:
        await gateway.close()


async def _hold(redis: Redis, name: str, node_id: str) -> None:
    """Keep the lease. When another has it (we were frozen, or Redis was away) we end, and stand by anew."""
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            holder = await leases.acquire(redis, name, node_id, ttl_ms=LEASE_MS)
        except BUS_ERRORS:
            continue
        if holder not in (node_id, ""):
            raise Unavailable("gateway.replaced", "another gateway of this identity has taken over")


async def _say(redis: Redis, node: NodeInfo) -> None:
    from hub.bus.registry import announce

    try:
        await announce(redis, node)
    except BUS_ERRORS as error:
        log.debug("gateway.not_announced", error=str(error))


class Gateway:
    """The objects of one gateway and how they know each other."""

    def __init__(self, settings: Settings, redis: Redis, clock: Clock, token: str) -> None:
        self._settings = settings
        self._clock = clock
        self._version = ""
        self._early: list[ServerTransaction] = []
        self.changed: Callable[[], object] = lambda: None
        self.reports = Reports(redis)
        self.devices = Devices(redis, self.reports, clock)
        self.traces = Traces(clock, self.devices.known)
        self.counts: dict[str, Counter[str]] = {}
        host = settings.sip_bind
        address = settings.sip_address or _reachable(host)
        self.node = SipNode(
            self._incoming,
            NodeConfig(host=host, port=settings.sip_port, advertise=settings.sip_address),
            trace=self.traces.note,
        )
        self.me = Identity(settings.gb_id, settings.gb_realm, address, settings.sip_port)
        authority = Authority(settings.gb_realm, now=time.monotonic, secret=secrets.token_bytes(32))
        self.registrar = Registrar(self.devices, authority, self.traces, clock, self._online)
        self.questions = Questions(self.node, self.me, self.devices)
        self.inbox = Inbox(self.devices, self.questions, self.reports, self.traces, clock)
        self.calls = Calls(self.node, self.me, self.devices, self.questions)
        self.talks = Talks(self.node, self.me, self.devices, self.questions, self.calls.numbers)
        self.cascade = Cascade(self.node, self.me, self.devices, self.questions, self.calls, self.reports, token, clock)
        self.subscriptions = Subscriptions(self.node, self.me, self.devices, self.questions, self.inbox)
        self.inbox.on_file_end = self.calls.file_end
        self.inbox.carry = self.cascade.carry

    async def start(self, group: asyncio.TaskGroup) -> None:
        """Begin its tasks."""
        if self._settings.sip_port == 0:
            self.me = self.me.at(self.node.port)
            self.questions.me = self.calls.me = self.talks.me = self.cascade.me = self.subscriptions.me = self.me
        self.catalogs = self.inbox.catalogs = Catalogs(self.questions, self.reports, self._clock, Errands(group))
        self.catalogs.on_maker = self.devices.describe
        self.hands = Hands(self.questions, Errands(group))
        self.counts = {
            "sip": self.node.counters,
            "register": self.registrar.counts,
            "inbox": self.inbox.counts,
            "call": self.calls.counts,
        }
        online = await self.devices.restore()
        log.info("devices.restored", online=online)
        self.cascade.start(group)
        loops = {
            "gateway/reports": self.reports.run,
            "gateway/devices": self.devices.watch,
            "gateway/registrations": self.devices.keep,
            "gateway/subscriptions": self.subscriptions.run,
            "gateway/hands": self.hands.watch,
        }
        for name, loop in loops.items():
            group.create_task(forever(name, loop), name=name)

    def routes(self) -> Routes:
        """The internal HTTP."""
        return Routes(
            devices=self.devices,
            questions=self.questions,
            catalogs=self.catalogs,
            calls=self.calls,
            talks=self.talks,
            cascade=self.cascade,
            traces=self.traces,
            hands=self.hands,
            registry=registry(self.devices, self.reports, self.counts),
            configure=self._configure,
        )

    def describe(self, node_id: str, base: str, since: int) -> NodeInfo:
        """Its entry in the registry."""
        facts = {
            "config": self._version,
            "server_id": self.me.server_id,
            "domain": self.me.domain,
            "sip": f"{self.me.host}:{self.node.port}",
            "devices": str(len(self.devices.registered)),
            "calls": str(len(self.calls)),
        }
        return NodeInfo(id=node_id, role="gateway", url=base, since=since, seen_at=self._clock(), facts=facts)

    def _configure(self, config: GatewayConfig) -> None:
        self.devices.configure(config)
        self.cascade.configure(config.uppers)
        self._version = config.version
        early, self._early = self._early, []
        for tx in early:
            if not tx.answered:  # its connection may be gone
                self.node.handle(self.registrar.register, tx)
        self.changed()

    async def close(self) -> None:
        """Leave nothing undone that a successor needs."""
        await self.cascade.close()
        try:
            async with asyncio.timeout(1.0):
                await self.devices.flush()
        except (*BUS_ERRORS, TimeoutError) as error:
            log.warning("devices.not_kept", error=str(error))

    # what comes ---------------------------------------------------------------------------------------

    def _incoming(self, tx: ServerTransaction) -> object:
        """Every request outside of calls and subscriptions, by its method; what is returned becomes a task."""
        if self.cascade.concerns(tx):
            self.cascade.incoming(tx)
            return None
        match tx.method:
            case "REGISTER" if not self._version:
                self._wait_for_api(tx)
            case "REGISTER":
                self.registrar.register(tx)
            case "MESSAGE":
                return self.inbox.message(tx)
            case "INVITE":
                self.talks.invited(tx)
            case "OPTIONS":
                tx.respond(200, headers=[("Allow", ALLOWED)])
            case "NOTIFY":  # of a subscription that an earlier gateway made
                self._notified(tx)
            case _:
                tx.respond(405, headers=[("Allow", ALLOWED)])
        return None

    def _notified(self, tx: ServerTransaction) -> None:
        device, body = self.inbox.speaker(tx.flow, tx.request.from_.uri.user or ""), tx.request.body
        if device is None:
            tx.respond(481)
            return
        tx.respond(200)
        self.inbox.notified(device, body)

    def _wait_for_api(self, tx: ServerTransaction) -> None:
        """A refusal now would be a lie: the api is quicker than timer F."""
        if len(self._early) >= MAX_EARLY:
            self._early = [each for each in self._early if not each.answered]
        if len(self._early) < MAX_EARLY:
            self._early.append(tx)
        else:
            tx.respond(503, headers=[("Retry-After", "5")])

    def _online(self, change: Change) -> None:
        """A device came, or came back after a restart."""
        self.subscriptions.renewed(change.device)
        if change.kind == "online":
            self.catalogs.meet(change.device)


ALLOWED: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, SUBSCRIBE, NOTIFY, INFO"


def _reachable(host: str) -> str:
    import socket

    if host not in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return host
    return address_of_route(socket.AF_INET) or "127.0.0.1"
