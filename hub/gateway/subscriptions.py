"""Subscriptions to catalogues, positions and alarms (GB/T 28181-2016 9.11): wished for, kept, made again."""

import asyncio
import contextlib
from typing import Final

import structlog

from hub.bus.gateway_wire import Subscription as Wish
from hub.domain.errors import HubError
from hub.gateway.devices import Devices
from hub.gateway.identity import Identity
from hub.gateway.inbox import Inbox
from hub.gateway.questions import Questions
from signaling.gb28181 import manscdp
from signaling.gb28181.messages import AlarmQuery, CatalogQuery, Message, PositionQuery
from signaling.sip.address import SipError
from signaling.sip.layer import ServerTransaction
from signaling.transport.sip import SipFailure, SipNode, Subscription

log: Final = structlog.get_logger(__name__)

EXPIRES_S: Final = 3_600
LOOK_EVERY_S: Final = 5.0
RETRY_S: Final = 60.0  # a device that refuses is asked again so late
AT_ONCE: Final = 16
EVENTS: Final[dict[Wish, str]] = {"catalog": "Catalog", "position": "presence", "alarm": "presence"}


class Subscriptions:
    """One per gateway: what is configured is subscribed to while the device is online."""

    def __init__(self, node: SipNode, me: Identity, devices: Devices, questions: Questions, inbox: Inbox) -> None:
        self._node = node
        self.me = me
        self._devices = devices
        self._questions = questions
        self._inbox = inbox
        self._held: dict[tuple[str, Wish], Subscription] = {}
        self._not_before: dict[tuple[str, Wish], float] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def __len__(self) -> int:
        return len(self._held)

    def renewed(self, device: str) -> None:
        """The device came back, perhaps after a restart that forgot us: everything is asked for anew.

        What stood is left, or a device that comes and goes would end up with a hundred subscriptions, each refreshed.
        """
        for key in [key for key in self._held if key[0] == device]:
            held = self._held.pop(key)
            self._follow(device, held)
            held.leave()
        for key in [key for key in self._not_before if key[0] == device]:
            self._not_before.pop(key)

    async def run(self) -> None:
        """Keep wish and fact together, for ever."""
        while True:
            await self.round()
            await asyncio.sleep(LOOK_EVERY_S)

    async def round(self) -> None:
        """Once: subscribe where it is wished and nobody does, leave where it is not wished any more."""
        self._held = {key: held for key, held in self._held.items() if held.active}
        for (device, _), held in self._held.items():
            self._follow(device, held)
        self._not_before = {key: at for key, at in self._not_before.items() if self._devices.admitted(key[0])}
        wished = self._wished()
        now = asyncio.get_running_loop().time()
        leave = [key for key in self._held if key not in wished]
        wanting = [key for key in wished if key not in self._held and self._not_before.get(key, 0.0) <= now]
        async with asyncio.TaskGroup() as group:
            for key in leave:
                group.create_task(self._leave(self._held.pop(key)), name=f"unsubscribe/{key[0]}")
            for key in wanting:
                group.create_task(self._subscribe(key), name=f"subscribe/{key[0]}/{key[1]}")

    def _follow(self, device: str, held: Subscription) -> None:
        """Refreshes go to where the device is now: behind NAT it moves, over TCP it comes by another connection."""
        with contextlib.suppress(HubError):
            held.flow = self._devices.flow(device)

    def _wished(self) -> set[tuple[str, Wish]]:
        found: set[tuple[str, Wish]] = set()
        for config in self._devices.wishing:
            if self._devices.online(config.id):
                found |= {(config.id, wish) for wish in config.subscriptions}
        return found

    async def _subscribe(self, key: tuple[str, Wish]) -> None:
        device, wish = key

        def on_notify(tx: ServerTransaction) -> None:
            body = tx.request.body  # the transaction lets go of it once it is answered
            tx.respond(200)
            self._inbox.notified(device, body)

        async with self._gate:
            try:
                flow = self._devices.flow(device)
                request = self.me.request(
                    "SUBSCRIBE",
                    device,
                    self.me.domain,
                    headers=[
                        ("Event", EVENTS[wish]), ("Expires", str(EXPIRES_S)), ("Contact", self.me.contact),
                    ],
                    body=manscdp.write(self._body(device, wish)),
                    content_type=manscdp.CONTENT_TYPE,
                )  # fmt: skip
                held = await self._node.subscribe(request, flow, on_notify)
            except (SipFailure, SipError, HubError) as error:
                self._not_before[key] = asyncio.get_running_loop().time() + RETRY_S
                log.info("subscription.refused", device=device, what=wish, error=str(error))
                return
        self._held[key] = held

    def _body(self, device: str, wish: Wish) -> Message:
        sn = self._questions.number()
        match wish:
            case "catalog":
                return CatalogQuery(sn=sn, device=device)
            case "position":
                return PositionQuery(sn=sn, device=device)
        return AlarmQuery(sn=sn, device=device)

    async def _leave(self, held: Subscription) -> None:
        try:
            await held.stop()
        except (SipFailure, SipError) as error:
            log.debug("subscription.left", error=str(error))
