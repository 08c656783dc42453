"""Devices as configured and as they registered; kept in Redis, so that a gateway that restarts asks nobody again."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import structlog
from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.gateway_wire import DeviceConfig, DeviceReport, DeviceState, DomainConfig, GatewayConfig
from hub.domain.clock import Clock
from hub.domain.errors import NotFound, Unavailable
from hub.gateway.reports import Reports
from signaling.gb28181.ids import is_id
from signaling.gb28181.register import Address, Change, Phase, Registration, Registrations
from signaling.gb28181.substream import SubForm, SubPolicy, form_of
from signaling.sip.layer import Flow

log: Final = structlog.get_logger(__name__)

KEPT_KEY: Final = "gb:registrations"
KEEP_EVERY_S: Final = 2.0
KEEP_BEATS_MS: Final = 300_000  # a registration in Redis is at most so old
LOOK_EVERY_S: Final = 1.0
MOST_UNLISTED: Final = 256  # refused names that nobody listed
TELL_EVERY_MS: Final = 1_000  # of one device: a flapping one must not fill the log of everybody


class Devices:
    """One per gateway."""

    def __init__(self, redis: Redis, reports: Reports, clock: Clock) -> None:
        self._redis = redis
        self._reports = reports
        self._clock = clock
        self._configured: dict[str, DeviceConfig] = {}
        self.wishing: tuple[DeviceConfig, ...] = ()  # those that something is subscribed at
        self._failures: dict[str, tuple[int, str]] = {}
        self._unlisted: dict[str, tuple[int, str]] = {}
        self._told_at: dict[str, int] = {}
        self._to_tell: set[str] = set()
        self._dirty: set[str] = set()
        self._kept_at: dict[str, int] = {}
        self.domain = DomainConfig()
        self.registered = Registrations()
        self.calls: dict[str, int] = {}  # running calls by device

    # configuration ------------------------------------------------------------------------------------

    def configure(self, config: GatewayConfig) -> None:
        """Take the api's wish. A device that is gone or switched off is offline at once."""
        self.domain = config.domain
        self._configured = {each.id: each for each in config.devices}
        self.wishing = tuple(each for each in config.devices if each.enabled and each.subscriptions)
        self._failures = {name: why for name, why in self._failures.items() if name in self._configured}
        for each in config.devices:
            if self.registered.get(each.id) is not None:
                self.registered.configure(each.id, each.heartbeat_s, each.heartbeat_misses)
        for known in list(self.registered.all()):
            if not self.admitted(known.device):
                self.registered.forget(known.device)
                self._dirty.add(known.device)

    def config(self, device: str) -> DeviceConfig | None:
        """As it is listed; what holds without where it is not and may register with the domain's password."""
        found = self._configured.get(device)
        if found is not None:
            return found
        unlisted = self.domain.accept_unknown and bool(self.domain.password) and is_id(device)
        return DeviceConfig(id=device) if unlisted else None

    def admitted(self, device: str) -> bool:
        """Whether it may be here at all."""
        return (found := self.config(device)) is not None and found.enabled

    def password(self, device: str) -> str | None:
        """What it must know; None: it may not register. Never empty."""
        found = self.config(device)
        return None if found is None or not found.enabled else (found.password or self.domain.password or None)

    # registrations ------------------------------------------------------------------------------------

    def took(self, change: Change) -> None:
        """A message changed how a device stands: keep it, and tell who should know."""
        known = self.registered.get(change.device)
        old = known is not None and self._clock() - self._kept_at.get(change.device, 0) > KEEP_BEATS_MS
        if old or change.moved or change.kind in ("online", "refreshed", "offline"):
            self._dirty.add(change.device)
        if change.kind in ("online", "offline"):
            self._failures.pop(change.device, None)
            self._unlisted.pop(change.device, None)
            self._tell(change.device)

    def refused(self, device: str, why: str) -> None:
        """A REGISTER that was not let in. Names that nobody listed have a small room of their own."""
        listed = device in self._configured
        kept = self._failures if listed else self._unlisted
        before = kept.pop(device, None)
        kept[device] = (self._clock(), why)
        if not listed and len(kept) > MOST_UNLISTED:
            del kept[next(iter(kept))]
        if listed and (before is None or before[1] != why):
            self._tell(device)  # once, though it tries every minute

    def listed(self, device: str) -> bool:
        """Whether an administrator listed it."""
        return device in self._configured

    def known(self, device: str) -> bool:
        """Whether it is listed or was let in once: not a name that somebody made up."""
        return device in self._configured or self.registered.get(device) is not None

    def online(self, device: str) -> bool:
        """Whether it is registered and may be."""
        known = self.registered.get(device)
        return known is not None and known.phase is Phase.ONLINE

    def lives_at(self, device: str, host: str) -> bool:
        """Whether it is online and known at this host; behind NAT its port changes, and others have the same host."""
        known = self.registered.get(device)
        return (
            known is not None
            and known.phase is Phase.ONLINE
            and known.address is not None
            and known.address.host == host
        )

    def flow(self, device: str) -> Flow:
        """Where it is reached. Raises Unavailable ``gb28181.offline``, NotFound ``device.unknown``."""
        if not self.admitted(device):
            raise NotFound("device.unknown", "no such device")
        known = self.registered.get(device)
        if known is None or known.phase is not Phase.ONLINE or known.address is None:
            raise Unavailable("gb28181.offline", "the device is not online")
        address = known.address
        return Flow(address.transport, address.host, address.port, address.connection or 0)

    def edition(self, device: str) -> str | None:
        """Which edition it says it speaks."""
        known = self.registered.get(device)
        return None if known is None else known.edition

    def describe(self, device: str, maker: str) -> None:
        """Who made it, as it says."""
        if self.registered.describe(device, maker[:80]):
            self._dirty.add(device)

    def sub_form(self, device: str, policy: SubPolicy) -> SubForm:
        """How it is asked for a sub stream. Raises Unavailable ``gb28181.no_sub_stream``: not at all."""
        known = self.registered.get(device)
        maker = "" if known is None else f"{known.maker} {known.user_agent}"
        form = form_of(policy, edition=None if known is None else known.edition, maker=maker)
        if form is None:
            raise Unavailable("gb28181.no_sub_stream", "nothing tells how the device is asked for a sub stream")
        return form

    def states(self) -> list[DeviceState]:
        """Everybody listed, registered or refused."""
        names = {each.device for each in self.registered.all()} | self._configured.keys() | self._unlisted.keys()
        return [self.state(name) for name in sorted(names)]

    def state(self, device: str) -> DeviceState:
        """How one stands."""
        known, failure = self.registered.get(device), self._failures.get(device) or self._unlisted.get(device)
        if known is None:
            known = Registration(device)
        address = known.address
        return DeviceState.model_validate(
            {
                "device": device,
                "state": known.phase.value,
                "reason": known.reason or None,
                "address": None if address is None else f"{address.host}:{address.port}",
                "transport": None if address is None else address.transport,
                "registered_at": known.registered_at or None,
                "expires_at": known.expires_at or None,
                "keepalive_at": known.keepalive_at or None,
                "edition": known.edition,
                "user_agent": known.user_agent or None,
                "calls": self.calls.get(device, 0),
                "failed_at": None if failure is None else failure[0],
                "failure": None if failure is None else failure[1],
            }
        )

    def _tell(self, device: str) -> None:
        """Tell how it stands: now, or where that was done a moment ago with the next look."""
        now = self._clock()
        if now - self._told_at.get(device, -TELL_EVERY_MS) < TELL_EVERY_MS:
            self._to_tell.add(device)
            return
        self._told_at[device] = now
        self._reports.tell(DeviceReport(state=self.state(device), at=now))

    def _tell_late(self) -> None:
        now = self._clock()
        late, self._to_tell = self._to_tell, set()
        for device in late:
            self._tell(device)
        if len(self._told_at) > 4 * MOST_UNLISTED:
            self._told_at = {name: at for name, at in self._told_at.items() if now - at < TELL_EVERY_MS}

    # tasks --------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Find who went silent, for ever."""
        while True:
            for change in self.registered.due(self._clock()):
                log.info("device.offline", device=change.device, reason=change.reason)
                self.took(change)
            self._tell_late()
            await asyncio.sleep(LOOK_EVERY_S)

    async def restore(self) -> int:
        """Take over what an earlier gateway kept; how many are online. Redis may be empty, or gone."""
        try:
            rows = await self._redis.hgetall(KEPT_KEY)
        except BUS_ERRORS as error:
            log.warning("devices.not_restored", error=str(error))
            return 0
        found = [each for text in rows.values() if (each := _read(str(text))) is not None]
        self.registered.restore(found, self._clock())
        return sum(each.phase is Phase.ONLINE for each in found)

    async def keep(self) -> None:
        """Write what changed to Redis, for ever."""
        outage = Outage("gateway/registrations")
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            try:
                await self.flush()
                outage.worked()
            except BUS_ERRORS as error:
                await asyncio.sleep(outage.failed(error))
                self._dirty.update(each.device for each in self.registered.all())

    async def flush(self) -> None:
        """Write now. Raises RedisError; nothing is lost then."""
        dirty, self._dirty = self._dirty, set()
        names = list(dirty)
        try:
            for at in range(0, len(names), 500):
                await self._write(names[at : at + 500])
        except BUS_ERRORS:
            self._dirty |= dirty
            raise

    async def _write(self, names: Iterable[str]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                known = self.registered.get(name)
                if known is None:
                    pipe.hdel(KEPT_KEY, name)
                    self._kept_at.pop(name, None)
                else:
                    pipe.hset(KEPT_KEY, name, json.dumps(asdict(known)))
                    self._kept_at[name] = self._clock()
            await pipe.execute()


def _read(text: str) -> Registration | None:
    try:
        values: dict[str, Any] = json.loads(text)
        address = values.pop("address")
        phase = Phase(values.pop("phase"))
        # A connection of the process before is none of ours: the device is asked over a new one, or comes back.
        where = None if address is None else Address(**{**address, "connection": None})
        return Registration(**values, phase=phase, address=where)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
