"""What the hub asks devices, and the answers that come as messages of their own, by SN (GB/T 28181-2016 9.5, 9.7)."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeVar

from hub.bus.command_wire import RecordItem, RecordsIn, RecordsOut
from hub.domain.errors import NotFound, TooMany, Unavailable
from hub.gateway.devices import Devices
from hub.gateway.identity import Identity
from signaling.gb28181 import manscdp
from signaling.gb28181.collect import Collector, RecordCollector
from signaling.gb28181.messages import DeviceStatusQuery, Message, RecordInfo, RecordQuery
from signaling.sip.message import Response
from signaling.transport.sip import SipBusy, SipFailure, SipNode, SipTimeout, TransportGone

ANSWER_S: Final = 8.0
THERE_S: Final = 3.0
MAX_WAITING: Final = 4_096
MAX_SN: Final = 2**31 - 1
M = TypeVar("M", bound=Message)


class Questions:
    """One per gateway."""

    def __init__(self, node: SipNode, me: Identity, devices: Devices) -> None:
        self._node = node
        self.me = me
        self._devices = devices
        self._numbers = itertools.cycle(range(1, MAX_SN))
        self._waiting: dict[tuple[str, str, int], Callable[[Message], None]] = {}  # by device, CmdType and SN

    def number(self) -> int:
        """The next SN."""
        return next(self._numbers)

    async def send(self, device: str, message: Message) -> Response:
        """Send a body to a device; the SIP answer is a 2xx. Raises Unavailable (``gb28181.offline``, ``…no_answer``,
        ``…refused``), NotFound."""
        flow = self._devices.flow(device)
        config = self._devices.config(device)
        charset: Literal["utf-8", "gb18030"] = "utf-8" if config and config.charset == "utf-8" else "gb18030"
        request = self.me.request(
            "MESSAGE",
            device,
            self.me.domain,
            body=manscdp.write(message, charset),
            content_type=manscdp.CONTENT_TYPE,
        )
        try:
            response = await self._node.request(request, flow, timeout=ANSWER_S)
        except SipBusy:
            raise TooMany("gateway.busy", "too many messages are under way") from None
        except SipFailure:
            raise Unavailable("gb28181.no_answer", "the device does not answer") from None
        if response.status == 404:
            raise NotFound("gb28181.channel_unknown", "the device knows no such channel")
        if not 200 <= response.status < 300:
            raise Unavailable("gb28181.refused", f"the device answered {response.status} {response.reason}")
        return response

    @property
    def crowded(self) -> bool:
        """Whether so much comes in that silence proves nothing."""
        return self._node.crowded

    async def answers(self, device: str) -> bool:
        """Whether somebody answers, whatever, at the address where the device is known."""
        message = DeviceStatusQuery(sn=self.number(), device=device)
        body = manscdp.write(message)
        request = self.me.request("MESSAGE", device, self.me.domain, body=body, content_type=manscdp.CONTENT_TYPE)
        try:
            await self._node.request(request, self._devices.flow(device), timeout=THERE_S)
        except (SipTimeout, TransportGone, Unavailable, NotFound):
            return False
        except SipBusy:
            return True  # nobody was asked: then nothing changes
        return True

    async def ask(self, device: str, message: Message, answer: type[M], *, timeout_s: float = ANSWER_S) -> M:
        """Ask, and wait for the answer. Raises what ``send`` raises; ``gb28181.no_answer`` when none comes in time."""
        coming: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def take(found: Message) -> None:
            if not coming.done():
                coming.set_result(found)

        with self.expecting(device, answer.CMD, message.sn, take):
            try:
                async with asyncio.timeout(timeout_s):
                    await self.send(device, message)
                    found = await coming
            except TimeoutError:
                raise Unavailable("gb28181.no_answer", "the device took the question and did not answer it") from None
        if not isinstance(found, answer):
            raise Unavailable("gb28181.no_answer", "the device answered something else")
        return found

    async def records(self, device: str, wanted: RecordsIn) -> RecordsOut:
        """What a channel has recorded. Pages come late, miscounted, twice; what came is told, and what is missing."""
        loop = asyncio.get_running_loop()
        query = RecordQuery(
            sn=self.number(), device=wanted.channel, start=wanted.start_s, end=wanted.end_s, type=wanted.type
        )
        collector = RecordCollector(query.sn, loop.time())

        def take(page: Message) -> None:
            if isinstance(page, RecordInfo):
                collector.page(page, loop.time())

        await self.pages(device, query, RecordInfo.CMD, collector, take)
        if not collector.answered:
            raise Unavailable("gb28181.no_answer", "the device does not say what it has recorded")
        items = [
            RecordItem(
                channel=wanted.channel,
                name=each.name,
                start_s=each.start,
                end_s=each.end,
                type=each.type or "time",
                bytes=each.size,
                path=each.path,
            )
            for each in collector.in_order
            if each.start is not None and each.end is not None and each.end > each.start
        ]
        return RecordsOut(items=items, complete=collector.complete, missing=collector.missing)

    async def pages(
        self, device: str, query: Message, cmd: str, collector: Collector[Any], take: Callable[[Message], None]
    ) -> None:
        """Ask, and hand the answer's pages to ``take`` until the collector is done. Raises what ``send`` raises."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def taken(page: Message) -> None:
            take(page)
            news.set()

        with self.expecting(device, cmd, query.sn, taken):
            await self.send(device, query)
            while not collector.done(loop.time()):
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(collector.deadline):
                        await news.wait()
                news.clear()

    @contextmanager
    def expecting(self, device: str, cmd: str, sn: int, take: Callable[[Message], None]) -> Iterator[None]:
        """Hand a device's answers of this SN to ``take``, as many as come, until the block ends. Raises TooMany."""
        if len(self._waiting) >= MAX_WAITING:
            raise TooMany("gateway.busy", "too many questions are open")
        self._waiting[device, cmd.lower(), sn] = take
        try:
            yield
        finally:
            self._waiting.pop((device, cmd.lower(), sn), None)

    def answered(self, device: str, message: Message) -> bool:
        """A message of a device came: True when somebody waited for it. Numbers count up: anybody guesses them."""
        take = self._waiting.get((device, message.CMD.lower(), message.sn))
        if take is None:
            return False
        take(message)
        return True
