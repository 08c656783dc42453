"""Asking a device for its catalogue and its name, and telling the api page by page (GB/T 28181-2016 9.5.3)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from hub.bus.gateway_wire import CatalogItem, CatalogReport, DeviceInfoReport
from hub.domain.clock import Clock
from hub.domain.errors import HubError
from hub.gateway.questions import Questions
from hub.gateway.reports import Reports
from hub.gateway.tasks import Errands
from signaling.gb28181.collect import CatalogCollector
from signaling.gb28181.ids import Kind, is_id
from signaling.gb28181.items import CatalogEvent, Item
from signaling.gb28181.messages import Catalog, CatalogNotify, CatalogQuery, DeviceInfo, DeviceInfoQuery, Message

log: Final = structlog.get_logger(__name__)

PAGE: Final = 200
AT_ONCE: Final = 64  # devices asked at the same time
KINDS: Final = {
    Kind.CHANNEL: "channel",
    Kind.ALARM: "alarm",
    Kind.AUDIO: "audio",
    Kind.CIVIL_CODE: "civil_code",
    Kind.BUSINESS_GROUP: "business_group",
    Kind.VIRTUAL_ORGANISATION: "virtual_organisation",
}


class Catalogs:
    """One per gateway; one question a device at a time."""

    def __init__(self, questions: Questions, reports: Reports, clock: Clock, errands: Errands) -> None:
        self._questions = questions
        self._reports = reports
        self._clock = clock
        self._errands = errands
        self._asking: set[str] = set()
        self._again: set[str] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.on_maker: Callable[[str, str], None] = lambda device, maker: None

    def start(self, device: str) -> bool:
        """Ask in the background; False when that is under way (it is asked once more then), or too much else is."""
        if self._errands.start(f"catalog/{device}", lambda: self._whole(device)):
            return True
        if device in self._asking:
            self._again.add(device)
        return False

    def meet(self, device: str) -> None:
        """Ask a device for its name in the background; one that comes and goes is asked once at a time."""
        self._errands.start(f"introduce/{device}", lambda: self.introduce(device))

    async def _whole(self, device: str) -> None:
        """Until nobody asked for it meanwhile: what was answered may be older than the wish."""
        self._asking.add(device)
        try:
            while True:
                self._again.discard(device)
                await self._ask(device)
                if device not in self._again:
                    return
        finally:
            self._asking.discard(device)
            self._again.discard(device)

    async def _ask(self, device: str) -> None:
        loop = asyncio.get_running_loop()
        query = CatalogQuery(sn=self._questions.number(), device=device)
        async with self._gate:
            collector = CatalogCollector(query.sn, loop.time())

            def take(page: Message) -> None:
                if isinstance(page, Catalog):
                    fresh = collector.page(page, loop.time())
                    self._tell(device, collector, fresh, done=False)

            try:
                await self._questions.pages(device, query, Catalog.CMD, collector, take)
            except HubError as error:
                log.info("catalog.failed", device=device, error=error.id)
            self._tell(device, collector, [], done=True)
            log.info("catalog.done", device=device, received=collector.received, missing=collector.missing)

    def _tell(self, device: str, collector: CatalogCollector, fresh: Sequence[Item], *, done: bool) -> None:
        pages = [fresh[at : at + PAGE] for at in range(0, len(fresh), PAGE)] or ([[]] if done else [])
        for page in pages:
            self._reports.tell(
                CatalogReport(
                    device=device,
                    sn=collector.sn,
                    items=items_of(page),
                    received=collector.received,
                    expected=collector.expected,
                    done=done,
                    missing=collector.missing if collector.answered else 1,  # silence takes nothing away
                    at=self._clock(),
                )
            )

    def notified(self, device: str, notify: CatalogNotify | Catalog) -> None:
        """A device tells of changes by itself (9.11.4): reported by event; what has none is an update."""
        by_event: dict[CatalogEvent, list[Item]] = {}
        for item in notify.items:
            by_event.setdefault(item.change or "UPDATE", []).append(item)
        for event, items in by_event.items():
            for at in range(0, len(items), PAGE):
                page = items_of(items[at : at + PAGE])
                report = CatalogReport(
                    device=device,
                    sn=notify.sn,
                    items=page,
                    received=len(page),
                    expected=notify.total,
                    done=False,
                    event=event,
                    at=self._clock(),
                )
                self._reports.tell(report)

    async def introduce(self, device: str) -> None:
        """Ask a device for its name and maker; silence is no harm."""
        query = DeviceInfoQuery(sn=self._questions.number(), device=device)
        try:
            async with self._gate:
                info = await self._questions.ask(device, query, DeviceInfo)
        except HubError as error:
            log.info("device.silent", device=device, error=error.id)
            return
        self.on_maker(device, info.manufacturer)
        report = DeviceInfoReport(
            device=device,
            name=info.name or None,
            manufacturer=info.manufacturer or None,
            model=info.model or None,
            firmware=info.firmware or None,
            channels=info.channels,
            at=self._clock(),
        )
        self._reports.tell(report)


def items_of(items: Sequence[Item]) -> list[CatalogItem]:
    """As the api takes them; what has no identifier is left out."""
    return [
        CatalogItem.model_validate(
            {
                "id": item.id,
                "name": item.name,
                "kind": KINDS.get(item.kind, "device"),
                "parents": item.parents,
                "civil_code": item.civil_code,
                "manufacturer": item.manufacturer,
                "model": item.model,
                "address": item.address or item.ip_address,
                "status": "unknown" if item.status is None else "on" if item.status else "off",
                "ptz": item.ptz,
                "longitude": item.place[0] if item.place else None,
                "latitude": item.place[1] if item.place else None,
            }
        )
        for item in items
        if is_id(item.id)
    ]
