"""What a platform above us asks, answered from what is shared with it; commands go on to the device below."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from hub.bus.command_wire import RecordsIn
from hub.bus.gateway_wire import SharedChannel
from hub.domain.errors import HubError
from hub.gateway.cascade_talks import CascadeTalks
from hub.gateway.devices import Devices
from hub.gateway.questions import Questions
from signaling.gb28181 import manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.items import ChannelInfo, Item, PresetItem, Record
from signaling.sip.address import SipError
from signaling.sip.layer import ServerTransaction
from signaling.transport.sip import Notifier, SipFailure, SipNode

if TYPE_CHECKING:
    from hub.gateway.cascade import Upper

log: Final = structlog.get_logger(__name__)

PAGE: Final = 2  # items of a page: a datagram of about 1,300 bytes
PAGE_TCP: Final = 40
WINDOW: Final = 4
FAILURES: Final = 5  # pages that were not taken: then it is gone
MOST_NOTIFIERS: Final = 64
GRANTED_S: Final = 86_400


class Answers:
    """One per gateway."""

    def __init__(self, node: SipNode, devices: Devices, questions: Questions, talks: CascadeTalks) -> None:
        self._talks = talks
        self._node = node
        self._devices = devices
        self._questions = questions
        self._notifiers: dict[tuple[str, str], Notifier] = {}  # by upper and CmdType
        self._notifying: set[asyncio.Task[None]] = set()

    async def answer(self, upper: "Upper", message: m.Message | m.Unknown) -> None:
        """One question or command. What is not understood or not shared is answered by ERROR or left."""
        channel = upper.channels.get(message.device)
        match message:
            case m.CatalogQuery():
                await self._catalog(upper, message.sn, list(upper.channels.values()) if channel is None else [channel])
            case m.DeviceInfoQuery():
                info = m.DeviceInfo(
                    sn=message.sn,
                    device=message.device,
                    name=channel.name if channel else "SharpEyes",
                    result=True,
                    manufacturer="SharpEyes",
                    model="hub",
                    channels=len(upper.channels),
                )
                await self._send(upper, info)
            case m.DeviceStatusQuery():
                there = channel is None or channel.online
                status = m.DeviceStatus(sn=message.sn, device=message.device, result=True, online=there, status=there)
                await self._send(upper, status)
            case m.RecordQuery():
                await self._records(upper, message, channel)
            case m.PresetQuery():
                await self._presets(upper, message, channel)
            case m.DeviceControl():
                await self._control(upper, message, channel)
            case m.BroadcastNotify():
                can = self._talks.wanted(upper, message)
                await self._send(upper, m.BroadcastResponse(sn=message.sn, device=message.target, result=can))
            case _:
                log.info("upper.not_answered", upper=upper.config.id, what=type(message).__name__)

    async def _send(self, upper: "Upper", message: m.Message) -> bool:
        return await upper.send(manscdp.write(message, upper.config.charset))

    async def _catalog(self, upper: "Upper", sn: int, channels: list[SharedChannel]) -> None:
        size = PAGE_TCP if upper.config.transport == "tcp" else PAGE
        pages = [channels[at : at + size] for at in range(0, len(channels), size)] or [[]]
        failures = 0
        for at in range(0, len(pages), WINDOW):
            sent = await asyncio.gather(
                *(
                    self._send(
                        upper,
                        m.Catalog(
                            sn=sn,
                            device=upper.config.local_id,
                            total=len(channels),
                            items=tuple(item_of(upper, each) for each in page),
                        ),
                    )
                    for page in pages[at : at + WINDOW]
                )
            )
            failures += sent.count(False)
            if failures >= FAILURES:
                log.warning("upper.catalog_broken_off", upper=upper.config.id, page=at)
                return

    async def _records(self, upper: "Upper", query: m.RecordQuery, channel: SharedChannel | None) -> None:
        found: list[Record] = []
        if channel is not None and channel.device and channel.channel and query.start and query.end:
            wanted = RecordsIn(channel=channel.channel, start_s=query.start, end_s=query.end)
            try:
                said = await self._questions.records(channel.device, wanted)
            except HubError as error:
                log.info("upper.no_records", upper=upper.config.id, error=error.id)
            else:
                found = [
                    Record(
                        id=query.device, name=each.name, path=each.path, start=each.start_s, end=each.end_s,
                        secrecy=0, type=each.type, size=each.bytes,
                    )
                    for each in said.items
                ]  # fmt: skip
        size = PAGE_TCP if upper.config.transport == "tcp" else PAGE
        pages = [found[at : at + size] for at in range(0, len(found), size)] or [[]]
        for page in pages:
            answer = m.RecordInfo(
                sn=query.sn,
                device=query.device,
                name=channel.name if channel else "",
                total=len(found),
                items=tuple(page),
            )
            if not await self._send(upper, answer):
                return

    async def _presets(self, upper: "Upper", query: m.PresetQuery, channel: SharedChannel | None) -> None:
        items: tuple[PresetItem, ...] = ()
        if channel is not None and channel.device and channel.channel:
            asked = m.PresetQuery(sn=self._questions.number(), device=channel.channel)
            try:
                items = (await self._questions.ask(channel.device, asked, m.Presets)).items
            except HubError as error:
                log.info("upper.no_presets", upper=upper.config.id, error=error.id)
        await self._send(upper, m.Presets(sn=query.sn, device=query.device, items=items))

    async def _control(self, upper: "Upper", command: m.DeviceControl, channel: SharedChannel | None) -> None:
        answered = command.guard is not None or command.record is not None or command.reset_alarm is not None
        done = False
        if command.reboot or command.format_card is not None:
            log.warning("upper.refused", upper=upper.config.id, what="reboot")  # not theirs to do
        elif channel is not None and channel.device and channel.channel:
            below = replace(command, sn=self._questions.number(), device=channel.channel)
            try:
                if answered:
                    done = (await self._questions.ask(channel.device, below, m.ControlResponse)).result is not False
                else:
                    await self._questions.send(channel.device, below)
                    done = True
            except HubError as error:
                log.info("upper.command_failed", upper=upper.config.id, error=error.id)
        if answered or not done:
            await self._send(upper, m.ControlResponse(sn=command.sn, device=command.device, result=done))

    # subscriptions: carried upwards -----------------------------------------------------------------------

    def subscribed(self, upper: "Upper", tx: ServerTransaction) -> None:
        """A SUBSCRIBE: granted for what we can carry (catalogue, positions, alarms)."""
        try:
            message = manscdp.parse(tx.request.body, upper.config.charset) if tx.request.body else None
        except ValueError:
            tx.respond(400)
            return
        cmd = message.CMD if isinstance(message, m.CatalogQuery | m.PositionQuery | m.AlarmQuery) else ""
        if not cmd:
            tx.respond(489)
            return
        key = (upper.config.id, cmd)
        if key not in self._notifiers and len(self._notifiers) >= MOST_NOTIFIERS:
            tx.respond(503)
            return
        try:
            self._notifiers[key] = self._node.notifier(tx, expires=GRANTED_S)
        except SipError as error:
            log.info("upper.not_subscribed", upper=upper.config.id, error=str(error))

    def changed(self, upper: "Upper", before: Mapping[str, SharedChannel]) -> None:
        """The shared cameras changed: say so where it was subscribed."""
        after = upper.channels
        items = [replace(item_of(upper, after[id]), event="ADD") for id in after.keys() - before.keys()]
        items += [Item(id=id, event="DEL") for id in before.keys() - after.keys()]
        items += [
            replace(item_of(upper, after[id]), event="UPDATE")
            for id in after.keys() & before.keys()
            if after[id] != before[id]
        ]
        size = PAGE_TCP if upper.config.transport == "tcp" else PAGE
        for at in range(0, len(items), size):
            page = tuple(items[at : at + size])
            notify = m.CatalogNotify(
                sn=self._questions.number(), device=upper.config.local_id, total=len(items), items=page
            )
            self._notify(upper, notify)

    def carry(self, uppers: Mapping[str, "Upper"], device: str, channel: str, message: m.Message) -> None:
        """A position or an alarm of a device below, to every platform that sees the channel and subscribed."""
        for upper in uppers.values():
            for shared in upper.places.get((device, channel), ()):
                self._notify(upper, replace(message, sn=self._questions.number(), device=shared.id))

    def _notify(self, upper: "Upper", message: m.Message) -> None:
        key = (upper.config.id, message.CMD)
        notifier = self._notifiers.get(key)
        if notifier is None:
            return
        if not notifier.active:
            del self._notifiers[key]
            return
        body = manscdp.write(message, upper.config.charset)

        async def tell() -> None:
            try:
                await notifier.notify(body, manscdp.CONTENT_TYPE)
            except SipFailure:
                log.info("upper.not_notified", upper=upper.config.id)

        if len(self._notifying) < 1_024:
            task = asyncio.create_task(tell(), name=f"notify/{upper.config.id}")
            self._notifying.add(task)
            task.add_done_callback(self._notifying.discard)


def item_of(upper: "Upper", shared: SharedChannel) -> Item:
    """A shared camera as an entry of our catalogue up there."""
    return Item(
        id=shared.id,
        name=shared.name,
        manufacturer="SharpEyes",
        model="camera",
        owner="owner",
        civil_code=shared.civil_code or upper.config.local_id[:6],
        address=shared.name,
        parental=False,
        parent_id=shared.parent or upper.config.local_id,
        safety_way=0,
        register_way=1,
        secrecy=0,
        status=shared.online,
        longitude=shared.longitude,
        latitude=shared.latitude,
        info=ChannelInfo(ptz_type=shared.ptz) if shared.ptz else None,
    )
