"""MESSAGE and NOTIFY of devices: each kind to whoever waits for it (GB/T 28181-2016 9.4, 9.6, 9.11)."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from hub.bus.gateway_wire import AlarmReport, PositionReport
from hub.domain.clock import Clock
from hub.gateway.catalogs import Catalogs
from hub.gateway.devices import Devices
from hub.gateway.questions import Questions
from hub.gateway.registrar import address_of
from hub.gateway.reports import Reports
from hub.gateway.traces import Traces
from signaling.gb28181 import manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.errors import GbError
from signaling.gb28181.times import format_time
from signaling.sip.address import SipError
from signaling.sip.layer import ServerTransaction
from signaling.sip.message import Request

log: Final = structlog.get_logger(__name__)


class Inbox:
    """One per gateway. ``on_file_end`` is told the Call-ID of a MediaStatus: its From need not be the device."""

    def __init__(self, devices: Devices, questions: Questions, reports: Reports, traces: Traces, clock: Clock) -> None:
        self._devices = devices
        self._questions = questions
        self._reports = reports
        self._traces = traces
        self._clock = clock
        self.catalogs: Catalogs | None = None  # made once the gateway's tasks run
        self.carry: Callable[[str, str, m.Message], None] = lambda device, channel, message: None
        self.on_file_end: Callable[[str], bool] = lambda call_id: False
        self.counts: Counter[str] = Counter()

    def message(self, tx: ServerTransaction) -> None:
        """Answer one MESSAGE outside of calls."""
        request = tx.request
        try:
            sender = request.from_.uri.user or ""
        except SipError as error:
            tx.respond(error.status)
            return
        config = self._devices.config(sender)
        try:
            message = manscdp.parse(request.body, config.charset if config else "auto")
        except GbError as error:
            self.counts["unreadable"] += 1
            log.info("message.unreadable", device=sender, error=error.code)
            tx.respond(400, "the body cannot be read")
            return
        if isinstance(message, m.Keepalive):
            self._keepalive(tx, message, sender)
            return
        if isinstance(message, m.MediaStatus):
            tx.respond(200)
            self.counts["file_end"] += self.on_file_end(request.call_id)
            return
        device = self._device(tx, sender)
        if device is None:
            tx.respond(403)
            return
        tx.respond(200)
        self.counts["messages"] += 1
        self.take(device, message)

    def _device(self, tx: ServerTransaction, sender: str) -> str | None:
        """The registered device that speaks: by its name, for a channel by where it speaks from."""
        known = self._devices.registered.get(sender)
        if known is not None and known.phase.value == "online":
            return sender
        owner = self._traces.owner(tx.flow)
        known = None if owner is None else self._devices.registered.get(owner)
        return owner if known is not None and known.phase.value == "online" else None

    def _keepalive(self, tx: ServerTransaction, message: m.Keepalive, sender: str) -> None:
        device = sender if self._devices.registered.get(sender) is not None else message.device
        change = self._devices.registered.keepalive(device, address_of(tx.flow), self._clock())
        if change.kind == "unknown":
            self.counts["strangers"] += 1
            tx.respond(403)  # it must register, so that its password is asked for
            return
        tx.respond(200)
        self.counts["keepalives"] += 1
        if change.moved:
            self._traces.claim(tx.flow, device)
        self._devices.took(change)

    def notified(self, device: str, request: Request) -> None:
        """The body of a NOTIFY that a subscription brought."""
        if not request.body:
            return
        config = self._devices.config(device)
        try:
            message = manscdp.parse(request.body, config.charset if config else "auto")
        except GbError as error:
            self.counts["unreadable"] += 1
            log.info("notify.unreadable", device=device, error=error.code)
            return
        if isinstance(message, m.Catalog) and self.catalogs is not None:  # some notify by a Response
            self.catalogs.notified(device, message)
            return
        self.take(device, message)

    def take(self, device: str, message: m.Message | m.Unknown) -> None:
        """A message of a device that is online."""
        match message:
            case m.Unknown():
                self.counts["unknown"] += 1
            case m.AlarmNotify():
                self._alarm(device, message)
                self.carry(device, message.device, message)
            case m.PositionNotify():
                self._position(device, message)
                self.carry(device, message.device, message)
            case m.CatalogNotify():
                if self.catalogs is not None:
                    self.catalogs.notified(device, message)
            case _:
                if not self._questions.answered(message):
                    self.counts["unasked"] += 1

    def _alarm(self, device: str, alarm: m.AlarmNotify) -> None:
        self._reports.tell(
            AlarmReport(
                device=device,
                channel=alarm.device or device,
                priority=alarm.priority,
                method=alarm.method,
                alarm_type=alarm.type,
                description=alarm.description,
                at=self._clock(),
                device_time=None if alarm.at is None else format_time(alarm.at),
            )
        )

    def _position(self, device: str, said: m.PositionNotify) -> None:
        if said.longitude is None or said.latitude is None:
            return
        if abs(said.longitude) > 180 or abs(said.latitude) > 90 or not (said.longitude or said.latitude):
            self.counts["senseless_positions"] += 1
            return
        self._reports.tell(
            PositionReport(
                device=device,
                channel=said.device or device,
                longitude=said.longitude,
                latitude=said.latitude,
                speed=said.speed,
                direction=said.direction,
                altitude=said.altitude,
                at=self._clock(),
                device_time=None if said.at is None else format_time(said.at),
            )
        )
