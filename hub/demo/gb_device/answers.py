"""What a simulated device says to MANSCDP: pages, late ones, wrong counts. Pure: messages in, delayed bodies out."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from hub.demo.gb_device.camera import Channel
from hub.demo.gb_device.library import Library
from hub.demo.gb_device.options import DeviceOptions, Quirk
from signaling.gb28181 import manscdp, ptz
from signaling.gb28181 import messages as m
from signaling.gb28181.errors import GbError
from signaling.gb28181.ids import make_id
from signaling.gb28181.items import (
    BasicParam,
    Card,
    ChannelInfo,
    CruisePoint,
    CruiseTrack,
    HomePosition,
    Item,
    PresetItem,
    Record,
    SnapShot,
)

T = TypeVar("T")
MANUFACTURER: Final = "Sharpeyes"
PAGE_GAP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A body to send after ``delay_s`` seconds from the question."""

    body: bytes
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reboot:
    """TeleBoot: everything ends and begins anew."""


@dataclass(frozen=True, slots=True)
class TakePictures:
    """SnapShotConfig: take and upload them, then say so."""

    channel: Channel
    wanted: SnapShot


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """IFameCmd: the streams of this channel should send one."""

    channel: Channel


Effect = Reply | Reboot | TakePictures | KeyFrame


class Answers:
    """One device's knowledge of itself."""

    def __init__(self, options: DeviceOptions) -> None:
        self.options = options
        self.device = options.device_id
        self.name = options.name or f"模拟录像机{options.number}"
        self.channels = {
            (made := options.channel_id(index)): Channel(
                made,
                options.channel_names[index] if index < len(options.channel_names) else f"{self.name}-通道{index + 1}",
                options.place[0] + options.number * 0.002 + index * 0.0005,
                options.place[1] + options.number * 0.001,
            )
            for index in range(options.channels)
        }
        self.online = True
        self.unknown = 0
        self.refused = 0

    def channel(self, identifier: str) -> Channel | None:
        """The channel of that number; the device's own number means its first."""
        if identifier == self.device:
            return next(iter(self.channels.values()))
        return self.channels.get(identifier)

    # writing --------------------------------------------------------------------------------------

    def body(self, message: m.Message) -> bytes:
        """The body as this device writes it."""
        charset = self.options.charset
        wrong = self.options.has(Quirk.UTF8_AS_GB2312)
        data = manscdp.write(message, "utf-8" if wrong else charset)
        if wrong:
            data = data.replace(b'encoding="UTF-8"', b'encoding="GB2312"', 1)
        if self.options.has(Quirk.SINGLE_QUOTES):
            head, _, rest = data.partition(b"?>")
            data = head.replace(b'"', b"'") + b"?>" + rest
        if self.options.has(Quirk.RAW_AMPERSAND):
            data = data.replace(b"&amp;", b"&").replace(b"&lt;", b"<")
        if self.options.has(Quirk.LOWER_TAGS):
            data = re.sub(rb"</[A-Za-z]+>", lambda tag: tag.group().lower(), data)
        return data

    def keepalive(self, sn: int) -> bytes:
        """A heartbeat."""
        return self.body(m.Keepalive(sn=sn, device=self.device))

    # reading --------------------------------------------------------------------------------------

    def take(self, message: m.Message | m.Unknown, now: float, wall: int) -> list[Effect]:
        """What a MESSAGE of the platform brings about. ``now`` moves heads, ``wall`` is Unix seconds."""
        match message:
            case m.CatalogQuery():
                return list(self._catalog(message))
            case m.RecordQuery():
                return list(self._records(message, wall))
            case m.DeviceControl():
                return self._control(message, now)
            case m.DeviceConfig():
                return self._configure(message)
            case m.Unknown():
                self.unknown += 1
                return []
        answer = self._simple(message, now, wall)
        if answer is None:
            self.unknown += 1
            return []
        return [Reply(self.body(answer))]

    def _simple(self, message: m.Message, now: float, wall: int) -> m.Message | None:
        """Questions with one answer."""
        sn, device = message.sn, message.device
        channel = self.channel(device)
        if channel is None:
            return None
        head = channel.head
        silly = self.options.has(Quirk.SILLY_HEARTBEAT)
        place = head.at(now)
        points = [CruisePoint(preset=each, stay_s=5, speed=8) for each in head.cruises.get(1, [])]
        match message:
            case m.DeviceInfoQuery():
                return m.DeviceInfo(
                    sn=sn, device=device, name=self.name if device == self.device else channel.name, result=True,
                    manufacturer=MANUFACTURER, model="SIM-NVR", firmware="1.0", channels=len(self.channels),
                )  # fmt: skip
            case m.DeviceStatusQuery():
                return m.DeviceStatus(
                    sn=sn, device=device, result=True, online=self.online, status=True, encode=channel.online,
                    record=channel.recording, device_time=wall,
                )  # fmt: skip
            case m.ConfigDownload():
                basic = BasicParam(
                    name=self.name,
                    expires_s=self.options.expires_s,
                    heartbeat_s=0 if silly else max(1, int(self.options.heartbeat_s)),
                    heartbeat_misses=0 if silly else 3,
                )
                return m.Config(sn=sn, device=device, result=True, basic=basic)
            case m.PresetQuery():
                items = [PresetItem(id=str(number), name=name) for number, (name, _) in sorted(head.presets.items())]
                return m.Presets(sn=sn, device=device, items=tuple(items))
            case m.HomePositionQuery():
                return m.HomePositionInfo(sn=sn, device=device, home=head.home)
            case m.CruiseListQuery():
                tracks = [CruiseTrack(number=each, name=f"巡航{each}") for each in sorted(head.cruises)]
                return m.CruiseList(sn=sn, device=device, total=len(tracks), items=tuple(tracks))
            case m.CruiseQuery():
                return m.Cruise(sn=sn, device=device, number=1, name="巡航1", total=len(points), points=tuple(points))
            case m.PtzPositionQuery():
                return m.PtzPosition(sn=sn, device=device, pan=place.pan, tilt=place.tilt, zoom=place.zoom)
            case m.CardQuery():
                card = Card(id=1, name="SD1", status="ok", capacity_mb=131_072, free_mb=65_536)
                return m.CardStatus(sn=sn, device=device, total=1, cards=(card,))
            case m.AlarmQuery():
                return m.AlarmResponse(sn=sn, device=device)
        return None

    # catalog --------------------------------------------------------------------------------------

    def items(self) -> tuple[Item, ...]:
        """The catalog."""
        found = [self.item(channel) for channel in self.channels.values()]
        return (*_tree(self.options, found),) if self.options.has(Quirk.MIXED_TREE) else tuple(found)

    def item(self, channel: Channel) -> Item:
        """One channel's entry."""
        civil = self.options.domain[:6]
        return Item(
            id=channel.id, name=channel.name + ("&<东>" if self.options.has(Quirk.RAW_AMPERSAND) else ""),
            manufacturer=MANUFACTURER, model="SIM-IPC", owner="Owner", civil_code=civil,
            address="人民路1号&中山路" if self.options.has(Quirk.RAW_AMPERSAND) else "人民路1号",
            parental=False, parent_id=self.device, safety_way=0, register_way=1, secrecy=0, status=channel.online,
            longitude=channel.longitude, latitude=channel.latitude, info=ChannelInfo(ptz_type=1),
        )  # fmt: skip

    def _catalog(self, query: m.CatalogQuery) -> Iterable[Reply]:
        options = self.options
        if options.has(Quirk.CATALOG_NEVER):
            return
        items = self.items() if query.device == self.device else ()
        if (channel := self.channels.get(query.device)) is not None:
            items = (self.item(channel),)
        total = len(items)
        if options.has(Quirk.CATALOG_TOO_HIGH):
            total += 3
        elif options.has(Quirk.CATALOG_TOO_LOW):
            total = max(1, total - 1)
        late = options.late_s if options.has(Quirk.CATALOG_LATE) else 0.0
        slow = options.has(Quirk.CATALOG_SLOW)
        gap = min(PAGE_GAP_S, options.late_s) if slow else 0.0
        pages = _pages(items, 1 if slow else options.page) or [()]
        for number, page in enumerate(pages):
            body = self.body(m.Catalog(sn=query.sn, device=query.device, total=total, items=tuple(page)))
            for _ in range(2 if options.has(Quirk.CATALOG_TWICE) else 1):
                yield Reply(body, late + number * gap)

    def _records(self, query: m.RecordQuery, wall: int) -> Iterable[Reply]:
        channel = self.channel(query.device)
        records: tuple[Record, ...] = ()
        wanted = query.type.lower()
        if self.options.has(Quirk.RECORDS_NEED_TYPE) and wanted != "all":
            return
        if channel is not None and query.start is not None and query.end is not None:
            library = Library(channel.id, self.options.recorded_hours)
            records = library.find(query.start, query.end, wall, wanted)
        for page in _pages(records, self.options.page) or [()]:
            message = m.RecordInfo(
                sn=query.sn, device=query.device, name=self.name, total=len(records), items=tuple(page)
            )
            yield Reply(self.body(message))

    # control --------------------------------------------------------------------------------------

    def _control(self, control: m.DeviceControl, now: float) -> list[Effect]:
        """Commands; guard, record, alarm, home and snapshot are answered, PTZ and the like are not (2016 9.3.1)."""
        channel = self.channel(control.device)
        if channel is None:
            return [self._done(control, good=False)]
        if control.ptz:
            try:
                channel.head.command(ptz.decode(control.ptz), now)
            except GbError:
                self.refused += 1
            return []
        if control.precise is not None:
            channel.head.precise(control.precise.pan, control.precise.tilt, control.precise.zoom, now)
            return []
        if control.keyframe or control.keyframe_2022:
            channel.keyframes_asked += 1
            return [KeyFrame(channel)]
        if control.reboot:
            return [Reboot()]
        if control.guard is not None:
            channel.guarded = control.guard
        elif control.record is not None:
            channel.recording = control.record
        elif control.reset_alarm:
            channel.alarmed = False
        elif control.home is not None:
            channel.head.home = _merged(channel.head.home, control.home)
        elif control.snapshot is not None:
            return [self._done(control), TakePictures(channel, control.snapshot)]
        elif control.zoom_in is None and control.zoom_out is None:
            return [self._done(control, good=False)]
        return [self._done(control)]

    def _configure(self, config: m.DeviceConfig) -> list[Effect]:
        channel = self.channel(config.device)
        good = channel is not None
        if config.basic is not None and config.basic.name:
            self.name = config.basic.name
        done: list[Effect] = [Reply(self.body(m.ConfigResponse(sn=config.sn, device=config.device, result=good)))]
        if channel is not None and config.snapshot is not None:
            done.append(TakePictures(channel, config.snapshot))
        return done

    def _done(self, control: m.DeviceControl, *, good: bool = True) -> Reply:
        return Reply(self.body(m.ControlResponse(sn=control.sn, device=control.device, result=good)))


def _merged(before: HomePosition, told: HomePosition) -> HomePosition:
    return HomePosition(
        enabled=before.enabled if told.enabled is None else told.enabled,
        reset_s=told.reset_s or before.reset_s,
        preset=told.preset or before.preset,
    )


def _pages(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _tree(options: DeviceOptions, channels: Sequence[Item]) -> Iterable[Item]:
    """The same channels under places and groups, with the mistakes that such trees have."""
    civil, centre = options.domain[:6], options.domain[:8]
    group, organisation = make_id(centre, 215, 1), make_id(centre, 216, 1)
    yield Item(id=civil[:4], name="如意市")
    yield Item(id=civil, name="江北区", parental=False)
    yield Item(id=group, name="业务分组", parent_id=options.device_id)
    yield Item(id=organisation, name="重点区域", parent_id=group, business_group=group)
    for number, channel in enumerate(channels):
        match number % 4:
            case 0:
                yield replace(channel, parent_id=f"{options.device_id}/{organisation}")
            case 1:
                yield replace(channel, parent_id=civil, parental=True)
            case 2:
                yield replace(channel, parent_id=channel.id)
            case _:
                yield replace(channel, parent_id="", civil_code=civil)
