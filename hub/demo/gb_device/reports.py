"""What a device tells its subscribers: catalog changes, positions, alarms (GB/T 28181-2016 9.11)."""

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from hub.demo.gb_device.camera import Channel
from signaling.gb28181 import manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.errors import GbError
from signaling.gb28181.items import AlarmType
from signaling.sip.address import SipError
from signaling.transport.sip import Notifier, ServerTransaction, SipFailure, SipNode

if TYPE_CHECKING:
    from hub.demo.gb_device.device import GbDevice

CIRCLE_S: Final = 600.0  # a channel that moves goes round once in ten minutes
RADIUS: Final = 0.004  # degrees


class Reports:
    """One device's subscriptions; each kind at most once, the last one counts."""

    def __init__(self, device: "GbDevice") -> None:
        self._device = device
        self._subscribers: dict[str, tuple[Notifier, m.Message]] = {}

    def subscribed(self, node: SipNode, transaction: ServerTransaction) -> None:
        """SUBSCRIBE: Catalog, MobilePosition or Alarm by its body (the Event header says the same or nothing)."""
        try:
            query = manscdp.parse(transaction.request.body)
        except GbError:
            transaction.respond(400)
            return
        if not isinstance(query, m.CatalogQuery | m.PositionQuery | m.AlarmQuery):
            transaction.respond(489)
            return
        try:
            notifier = node.notifier(transaction, expires=86_400)
        except SipError:
            self._device.counters["subscriptions_refused"] += 1
            return
        self._subscribers[query.CMD] = (notifier, query)
        self._device.counters[f"subscribed_{query.CMD}"] += 1
        if isinstance(query, m.PositionQuery):
            self._device.spawn(self._positions(notifier, query), "positions")

    def active(self, kind: Literal["Catalog", "MobilePosition", "Alarm"]) -> bool:
        """Whether somebody listens."""
        found = self._subscribers.get(kind)
        return found is not None and found[0].active

    async def _notify(self, notifier: Notifier, body: bytes) -> bool:
        try:
            answer = await notifier.notify(body, manscdp.CONTENT_TYPE)
        except (SipFailure, SipError):
            return False
        return answer.status // 100 == 2

    async def _positions(self, notifier: Notifier, query: m.PositionQuery) -> None:
        device = self._device
        while notifier.active:
            for channel in device.answers.channels.values():
                if query.device not in (device.id, channel.id):
                    continue
                await self._notify(notifier, device.answers.body(self.position(channel, query.sn)))
                device.counters["positions"] += 1
                if query.device == device.id:
                    break  # the device's own: that of its first channel
            await asyncio.sleep(max(0.05, float(query.interval_s or 5)))

    def position(self, channel: Channel, sn: int) -> m.PositionNotify:
        """Where a channel is now: it goes round its place."""
        turn = 2 * math.pi * (self._device.now() % CIRCLE_S) / CIRCLE_S
        return m.PositionNotify(
            sn=sn, device=channel.id, at=self._device.wall(), longitude=channel.longitude + RADIUS * math.cos(turn),
            latitude=channel.latitude + RADIUS * math.sin(turn), speed=15.0, direction=round(math.degrees(-turn) % 360),
            altitude=4.0,
        )  # fmt: skip

    async def alarm(self, channel: Channel, *, method: int, type: int, description: str) -> bool:
        """To the subscriber, else as a MESSAGE; whether it was taken."""
        device = self._device
        alarm = m.AlarmNotify(
            sn=device.next_sn(), device=channel.id, priority=1, method=method, at=device.wall(),
            description=description, longitude=channel.longitude, latitude=channel.latitude,
            info=AlarmType(type=type),
        )  # fmt: skip
        body = device.answers.body(alarm)
        device.counters["alarms"] += 1
        found = self._subscribers.get("Alarm")
        if found is not None and found[0].active:
            return await self._notify(found[0], body)
        return await device.tell(body)

    async def changed(self, channel: Channel, event: Literal["ADD", "DEL", "UPDATE", "ON", "OFF"]) -> bool:
        """The catalog changed: to its subscriber, if there is one."""
        device = self._device
        found = self._subscribers.get("Catalog")
        if found is None or not found[0].active:
            return False
        item = replace(device.answers.item(channel), event=event)
        message = m.CatalogNotify(sn=found[1].sn, device=device.id, total=1, items=(item,))
        return await self._notify(found[0], device.answers.body(message))
