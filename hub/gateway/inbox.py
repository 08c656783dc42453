"""MESSAGE and NOTIFY of devices: each kind to whoever waits for it (GB/T 28181-2016 9.4, 9.6, 9.11).

SIP of devices proves nothing after REGISTER, so who speaks is told by where it comes from: a device is heard from the
host that it registered from, and nobody else is listened to for longer than it takes to see that.
"""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from hub.bus.gateway_wire import AlarmReport, PositionReport
from hub.domain.clock import Clock
from hub.gateway.brakes import Brake, Complaints
from hub.gateway.catalogs import Catalogs
from hub.gateway.devices import Devices
from hub.gateway.questions import Questions
from hub.gateway.registrar import address_of
from hub.gateway.reports import Reports
from hub.gateway.traces import Traces
from signaling.gb28181 import manscdp
from signaling.gb28181 import messages as m
from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import is_id
from signaling.gb28181.times import format_time
from signaling.sip.address import SipError
from signaling.sip.layer import Flow, ServerTransaction

MAX_BEAT: Final = 2_048  # bytes of a keepalive of somebody who is not known at this address
MAX_DOUBTS: Final = 64  # devices whose move is looked into at the same time
IMPOSTOR_MS: Final = 10_000  # so long nothing is looked into again for a device whose old address has answered
FRESH: Final = 1.5  # heartbeats: so long a device that was heard is taken to be where it was
POSITION_EVERY_S: Final = 1.0  # of one channel; the standard's own interval is 5 s


class Inbox:
    """One per gateway. ``on_file_end`` is told the Call-ID of a MediaStatus: its From need not be the device."""

    def __init__(self, devices: Devices, questions: Questions, reports: Reports, traces: Traces, clock: Clock) -> None:
        self._devices = devices
        self._questions = questions
        self._reports = reports
        self._traces = traces
        self._clock = clock
        self._complaints = Complaints()
        self._doubted: dict[str, int] = {}  # device -> until when, 0 while it is looked into
        self._alarms = Brake(20, 100)  # by device
        self._same_alarm = Brake(1, 2)  # by device, channel and kind
        self._positions = Brake(500, 2_000)  # by device: one may be a platform with a thousand body-worn cameras
        self._place = Brake(1 / POSITION_EVERY_S, 1)  # by device and channel
        self._changes = Brake(200, 20_000)  # catalogue entries that a device tells of by itself
        self.catalogs: Catalogs | None = None  # made once the gateway's tasks run
        self.carry: Callable[[str, str, m.Message], None] = lambda device, channel, message: None
        self.on_file_end: Callable[[str], bool] = lambda call_id: False
        self.counts: Counter[str] = Counter()

    def message(self, tx: ServerTransaction) -> Coroutine[Any, Any, None] | None:
        """Answer one MESSAGE outside of calls; now, or by what is returned."""
        request = tx.request
        try:
            sender = request.from_.uri.user or ""
        except SipError as error:
            tx.respond(error.status)
            return None
        device = self.speaker(tx.flow, sender)
        if device is None and tx.call is None and (len(request.body) > MAX_BEAT or b"Keepalive" not in request.body):
            self._strange(tx, sender)
            return None
        config = None if device is None else self._devices.config(device)
        try:
            message = manscdp.parse(request.body, config.charset if config else "auto")
        except GbError as error:
            self.counts["unreadable"] += 1
            self._complaints.note("message.unreadable", self._clock(), device=device, error=error.code)
            tx.respond(400, "the body cannot be read")
            return None
        if isinstance(message, m.Keepalive):
            return self._keepalive(tx, message, sender)
        if isinstance(message, m.MediaStatus):
            tx.respond(200)
            self.counts["file_end"] += self.on_file_end(request.call_id)
            return None
        if device is None:
            self._strange(tx, sender)
            return None
        tx.respond(200)
        self.counts["messages"] += 1
        self.take(device, message)
        return None

    def speaker(self, flow: Flow, sender: str) -> str | None:
        """Which device that is online speaks: by its name from its host, for a channel by the very address."""
        if self._devices.lives_at(sender, flow.host):
            return sender
        owner = self._traces.owner(flow)
        if owner is None or not self._devices.lives_at(owner, flow.host):
            return None
        known = self._devices.registered.get(owner)
        here = known is not None and known.address is not None and known.address == address_of(flow)
        return owner if here else None

    def _strange(self, tx: ServerTransaction, sender: str) -> None:
        self.counts["strangers"] += 1
        name = sender if is_id(sender) else None  # what somebody sends does not come into the log
        self._complaints.note("message.stranger", self._clock(), device=name, peer=tx.flow.host)
        tx.respond(403)  # it must register, so that its password is asked for

    # keepalives ---------------------------------------------------------------------------------------

    def _keepalive(self, tx: ServerTransaction, message: m.Keepalive, sender: str) -> Coroutine[Any, Any, None] | None:
        device = sender if self._devices.registered.get(sender) is not None else message.device
        if self._devices.online(device) and not self._devices.lives_at(device, tx.flow.host):
            return self._elsewhere(tx, device)
        self._beat(tx, device)
        return None

    def _beat(self, tx: ServerTransaction, device: str) -> None:
        change = self._devices.registered.keepalive(device, address_of(tx.flow), self._clock())
        if change.kind == "unknown":
            self._strange(tx, device)
            return
        tx.respond(200)
        self.counts["keepalives"] += 1
        if change.moved:
            self._traces.claim(tx.flow, device)
        self._devices.took(change)

    def _elsewhere(self, tx: ServerTransaction, device: str) -> Coroutine[Any, Any, None] | None:
        """A keepalive from another host. Its NAT may have moved; or somebody knows an identifier and wants its calls.

        Nothing in a keepalive tells which. While the device is heard from where it was, and while a flood may have
        swallowed its voice, nobody is believed. Then it is asked at the address that we have: where it still answers
        the keepalive was not its own; where nobody does any more the device has moved.
        """
        now = self._clock()
        if self._heard_lately(device, now) or self._questions.crowded:
            self._impostor(tx, device)
            return None
        self._doubted = {name: until for name, until in self._doubted.items() if until == 0 or until > now}
        if device in self._doubted or len(self._doubted) >= MAX_DOUBTS:
            self._impostor(tx, device)
            return None
        self._doubted[device] = 0
        return self._look_into(tx, device)

    def _heard_lately(self, device: str, now: int) -> bool:
        known = self._devices.registered.get(device)
        return known is not None and now - known.heard_at < known.heartbeat_s * 1_000 * FRESH

    async def _look_into(self, tx: ServerTransaction, device: str) -> None:
        until = self._clock()
        try:
            if await self._questions.answers(device):
                until += IMPOSTOR_MS
                if not self._devices.lives_at(device, tx.flow.host):  # it may have registered there meanwhile
                    self._impostor(tx, device)
                    return
        finally:
            self._doubted[device] = until
        if not tx.answered:
            self._beat(tx, device)

    def _impostor(self, tx: ServerTransaction, device: str) -> None:
        self.counts["impostors"] += 1
        self._complaints.note("device.impostor", self._clock(), device=device, peer=tx.flow.host)
        if not tx.answered:
            tx.respond(403)  # if it is the device: it must register, so that its password is asked for

    # what they say ------------------------------------------------------------------------------------

    def notified(self, device: str, body: bytes) -> None:
        """The body of a NOTIFY that a subscription brought."""
        if not body:
            return
        config = self._devices.config(device)
        try:
            message = manscdp.parse(body, config.charset if config else "auto")
        except GbError as error:
            self.counts["unreadable"] += 1
            self._complaints.note("notify.unreadable", self._clock(), device=device, error=error.code)
            return
        if isinstance(message, m.Catalog):  # some notify by a Response
            self._changed(device, message)
            return
        self.take(device, message)

    def take(self, device: str, message: m.Message | m.Unknown) -> None:
        """A message of a device that is online."""
        match message:
            case m.Unknown():
                self.counts["unknown"] += 1
            case m.AlarmNotify():
                self._alarm(device, message)
            case m.PositionNotify():
                self._position(device, message)
            case m.CatalogNotify():
                self._changed(device, message)
            case _:
                if not self._questions.answered(device, message):
                    self.counts["unasked"] += 1

    def _changed(self, device: str, notify: m.CatalogNotify | m.Catalog) -> None:
        if self.catalogs is None:
            return
        if not self._changes.lets(device, self._clock(), max(1, len(notify.items))):
            self.counts["changes_dropped"] += 1
            return
        self.catalogs.notified(device, notify)

    def _alarm(self, device: str, alarm: m.AlarmNotify) -> None:
        channel, now = alarm.device or device, self._clock()
        kind = (device, channel, alarm.method, alarm.type)
        if not self._same_alarm.lets(kind, now) or not self._alarms.lets(device, now):
            self.counts["alarms_dropped"] += 1
            return
        if is_id(channel):
            self._reports.tell(
                AlarmReport(
                    device=device,
                    channel=channel,
                    priority=alarm.priority,
                    method=alarm.method,
                    alarm_type=alarm.type,
                    description=alarm.description,
                    at=now,
                    device_time=None if alarm.at is None else format_time(alarm.at),
                )
            )
        self.carry(device, alarm.device, alarm)

    def _position(self, device: str, said: m.PositionNotify) -> None:
        if said.longitude is None or said.latitude is None:
            return
        if abs(said.longitude) > 180 or abs(said.latitude) > 90 or not (said.longitude or said.latitude):
            self.counts["senseless_positions"] += 1
            return
        channel, now = said.device or device, self._clock()
        if not is_id(channel) or not self._place.lets((device, channel), now) or not self._positions.lets(device, now):
            self.counts["positions_dropped"] += 1
            return
        self._reports.tell(
            PositionReport(
                device=device,
                channel=channel,
                longitude=said.longitude,
                latitude=said.latitude,
                speed=said.speed,
                direction=said.direction,
                altitude=said.altitude,
                at=now,
                device_time=None if said.at is None else format_time(said.at),
            )
        )
        self.carry(device, said.device, said)
