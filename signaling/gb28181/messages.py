"""Typed MANSCDP messages of platform, device and cascade (GB/T 28181-2016 annex A; -2022 annex A).

Each class names its root and CmdType; its fields stand in the standard's order. One class per direction: what a
platform asks (Query, Control), what a device answers (Response) and what it tells by itself (Notify).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from signaling.gb28181 import fields as f
from signaling.gb28181.items import (
    AlarmReset,
    AlarmState,
    AlarmType,
    BasicParam,
    Card,
    CruisePoint,
    CruiseTrack,
    DragZoom,
    HomePosition,
    Item,
    PrecisePosition,
    PresetItem,
    Record,
    SnapShot,
    VideoParamOpt,
)
from signaling.gb28181.xml import Node


@dataclass(frozen=True, kw_only=True)
class Message:
    """What all have: SN ties an answer to its question; ``device`` is the device, channel or platform spoken of."""

    ROOT: ClassVar[str]
    CMD: ClassVar[str]
    NAMES_DEVICE: ClassVar[bool] = True

    sn: int
    device: str = ""


@dataclass(frozen=True)
class Unknown:
    """A message of a type that this house does not know; kept for the protocol trace."""

    root: str
    cmd: str
    sn: int
    device: str
    node: Node


# notify: devices, by themselves -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Keepalive(Message):
    """2016 A.2.5.1."""

    ROOT, CMD = "Notify", "Keepalive"
    status: str = f.text("Status", "OK", limit=16)


@dataclass(frozen=True, kw_only=True)
class AlarmNotify(Message):
    """2016 A.2.5.2. Priority 1 to 4; method 1 telephone, 2 device, 3 SMS, 4 GPS, 5 video, 6 fault, 7 other."""

    ROOT, CMD = "Notify", "Alarm"
    priority: int = f.integer("AlarmPriority", 0, high=4)
    method: int = f.integer("AlarmMethod", 0, high=9)
    at: int | None = f.time("AlarmTime")
    description: str = f.text("AlarmDescription", limit=500)
    longitude: float | None = f.number("Longitude")
    latitude: float | None = f.number("Latitude")
    info: AlarmType | None = f.nested("Info", AlarmType)
    type_outside: int | None = f.integer("AlarmType", high=99)  # some write it beside Info

    @property
    def type(self) -> int | None:
        """AlarmType wherever it stood."""
        return self.info.type if self.info and self.info.type is not None else self.type_outside


@dataclass(frozen=True, kw_only=True)
class CatalogNotify(Message):
    """2016 A.2.5.3: the catalog changed."""

    ROOT, CMD = "Notify", "Catalog"
    total: int | None = f.integer("SumNum", high=10**7)
    items: tuple[Item, ...] = f.listed("DeviceList", Item)


@dataclass(frozen=True, kw_only=True)
class PositionNotify(Message):
    """2016 A.2.5.6. ``speed`` km/h, ``direction`` degrees from north, ``altitude`` m."""

    ROOT, CMD = "Notify", "MobilePosition"
    at: int | None = f.time("Time")
    longitude: float | None = f.number("Longitude")
    latitude: float | None = f.number("Latitude")
    speed: float | None = f.number("Speed")
    direction: float | None = f.number("Direction")
    altitude: float | None = f.number("Altitude")


@dataclass(frozen=True, kw_only=True)
class MediaStatus(Message):
    """2016 A.2.5.5: 121 means that the file has been sent."""

    ROOT, CMD = "Notify", "MediaStatus"
    type: int = f.integer("NotifyType", 121, high=999)


@dataclass(frozen=True, kw_only=True)
class BroadcastNotify(Message):
    """2016 A.2.5.4: ``source`` wants to speak to ``target``; the only message without DeviceID."""

    ROOT, CMD = "Notify", "Broadcast"
    NAMES_DEVICE = False
    source: str = f.text("SourceID", limit=32)
    target: str = f.text("TargetID", limit=32)


@dataclass(frozen=True, kw_only=True)
class SnapShotFinished(Message):
    """2022 A.2.5.7."""

    ROOT, CMD = "Notify", "UploadSnapShotFinished"
    session: str = f.text("SessionID", limit=128)
    files: tuple[str, ...] = f.listed("SnapShotList", None, "SnapShotFileID", limit=10, num=False)


# query: platforms ask -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CatalogQuery(Message):
    """2016 A.2.4.3; also the body of a subscription."""

    ROOT, CMD = "Query", "Catalog"
    start: int | None = f.time("StartTime")
    end: int | None = f.time("EndTime")


@dataclass(frozen=True, kw_only=True)
class DeviceInfoQuery(Message):
    """2016 A.2.4.4."""

    ROOT, CMD = "Query", "DeviceInfo"


@dataclass(frozen=True, kw_only=True)
class DeviceStatusQuery(Message):
    """2016 A.2.4.2."""

    ROOT, CMD = "Query", "DeviceStatus"


@dataclass(frozen=True, kw_only=True)
class RecordQuery(Message):
    """2016 A.2.4.5. ``type`` is written always: Dahua answers nothing without ``Type=all``."""

    ROOT, CMD = "Query", "RecordInfo"
    start: int | None = f.time("StartTime")
    end: int | None = f.time("EndTime")
    path: str = f.text("FilePath", limit=500)
    address: str = f.text("Address")
    secrecy: int | None = f.integer("Secrecy", 0, high=9)
    type: str = f.text("Type", "all", limit=16)
    recorder: str = f.text("RecorderID", limit=64)
    indistinct: int | None = f.integer("IndistinctQuery", high=1)


@dataclass(frozen=True, kw_only=True)
class AlarmQuery(Message):
    """2016 A.2.4.6: the body of an alarm subscription. Priority 0 and method 0 mean all."""

    ROOT, CMD = "Query", "Alarm"
    low: int | None = f.integer("StartAlarmPriority", 0, high=4)
    high: int | None = f.integer("EndAlarmPriority", 0, high=4)
    method: str = f.text("AlarmMethod", "0", limit=16)
    start: int | None = f.time("StartAlarmTime", also=("StartTime",))
    end: int | None = f.time("EndAlarmTime", also=("EndTime",))


@dataclass(frozen=True, kw_only=True)
class PositionQuery(Message):
    """2016 A.2.4.9: the body of a position subscription; ``interval_s`` between two positions."""

    ROOT, CMD = "Query", "MobilePosition"
    interval_s: int | None = f.integer("Interval", 5, low=0, high=86_400)


@dataclass(frozen=True, kw_only=True)
class ConfigDownload(Message):
    """2016 A.2.4.7. Several types are parted by ``/``."""

    ROOT, CMD = "Query", "ConfigDownload"
    what: str = f.text("ConfigType", "BasicParam")


@dataclass(frozen=True, kw_only=True)
class PresetQuery(Message):
    """2016 A.2.4.8."""

    ROOT, CMD = "Query", "PresetQuery"


@dataclass(frozen=True, kw_only=True)
class HomePositionQuery(Message):
    """2022 A.2.4.10."""

    ROOT, CMD = "Query", "HomePositionQuery"


@dataclass(frozen=True, kw_only=True)
class CruiseListQuery(Message):
    """2022 A.2.4.11."""

    ROOT, CMD = "Query", "CruiseTrackListQuery"


@dataclass(frozen=True, kw_only=True)
class CruiseQuery(Message):
    """2022 A.2.4.12."""

    ROOT, CMD = "Query", "CruiseTrackQuery"
    number: int = f.integer("Number", 0, high=255)


@dataclass(frozen=True, kw_only=True)
class PtzPositionQuery(Message):
    """2022 A.2.4.13."""

    ROOT, CMD = "Query", "PTZPosition"


@dataclass(frozen=True, kw_only=True)
class CardQuery(Message):
    """2022 A.2.4.14."""

    ROOT, CMD = "Query", "SDCardStatus"


# response: devices answer -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Catalog(Message):
    """2016 A.2.6.4: one page of a catalog; ``total`` is SumNum."""

    ROOT, CMD = "Response", "Catalog"
    total: int | None = f.integer("SumNum", high=10**7)
    items: tuple[Item, ...] = f.listed("DeviceList", Item)


@dataclass(frozen=True, kw_only=True)
class DeviceInfo(Message):
    """2016 A.2.6.5."""

    ROOT, CMD = "Response", "DeviceInfo"
    name: str = f.text("DeviceName")
    result: bool | None = f.result()
    manufacturer: str = f.text("Manufacturer", limit=80)
    model: str = f.text("Model", limit=80)
    firmware: str = f.text("Firmware", limit=80)
    channels: int | None = f.integer("Channel", high=10**6, also=("MaxCamera",))


@dataclass(frozen=True, kw_only=True)
class DeviceStatus(Message):
    """2016 A.2.6.6."""

    ROOT, CMD = "Response", "DeviceStatus"
    result: bool | None = f.result()
    online: bool | None = f.yes("Online", ("ONLINE", "ON", "OK"), ("OFFLINE", "OFF"))
    status: bool | None = f.yes("Status", ("OK", "ON"), ("ERROR", "OFF"))
    reason: str = f.text("Reason")
    encode: bool | None = f.switch("Encode")
    record: bool | None = f.switch("Record")
    device_time: int | None = f.time("DeviceTime")
    alarms: tuple[AlarmState, ...] = f.listed("Alarmstatus", AlarmState, limit=1_000)


@dataclass(frozen=True, kw_only=True)
class RecordInfo(Message):
    """2016 A.2.6.7: one page of recordings."""

    ROOT, CMD = "Response", "RecordInfo"
    name: str = f.text("Name")
    total: int | None = f.integer("SumNum", high=10**7)
    items: tuple[Record, ...] = f.listed("RecordList", Record)


@dataclass(frozen=True, kw_only=True)
class AlarmResponse(Message):
    """2016 A.2.6.3: the alarm (or the subscription to alarms) was taken."""

    ROOT, CMD = "Response", "Alarm"
    result: bool | None = f.result(True)


@dataclass(frozen=True, kw_only=True)
class CatalogResponse(Message):
    """2016 A.2.6.9: a subscription to the catalog was taken; written only, ``Catalog`` reads it."""

    ROOT, CMD = "Response", "Catalog"
    result: bool | None = f.result(True)


@dataclass(frozen=True, kw_only=True)
class PositionResponse(Message):
    """A subscription to positions was taken (2016 9.11.2)."""

    ROOT, CMD = "Response", "MobilePosition"
    result: bool | None = f.result(True)


@dataclass(frozen=True, kw_only=True)
class ControlResponse(Message):
    """2016 A.2.6.2."""

    ROOT, CMD = "Response", "DeviceControl"
    result: bool | None = f.result(True)


@dataclass(frozen=True, kw_only=True)
class ConfigResponse(Message):
    """2016 A.2.6.8: answer to DeviceConfig."""

    ROOT, CMD = "Response", "DeviceConfig"
    result: bool | None = f.result(True)


@dataclass(frozen=True, kw_only=True)
class Config(Message):
    """2016 A.2.6.9: answer to ConfigDownload. ``node`` of ``parse`` holds what is not typed (SVAC)."""

    ROOT, CMD = "Response", "ConfigDownload"
    result: bool | None = f.result()
    basic: BasicParam | None = f.nested("BasicParam", BasicParam)
    video: VideoParamOpt | None = f.nested("VideoParamOpt", VideoParamOpt, also=("VideoParamConfig",))


@dataclass(frozen=True, kw_only=True)
class BroadcastResponse(Message):
    """2016 A.2.6.10: the device will (or will not) call for the sound."""

    ROOT, CMD = "Response", "Broadcast"
    result: bool | None = f.result(True)


@dataclass(frozen=True, kw_only=True)
class Presets(Message):
    """2016 A.2.6.11."""

    ROOT, CMD = "Response", "PresetQuery"
    items: tuple[PresetItem, ...] = f.listed("PresetList", PresetItem, limit=300)


@dataclass(frozen=True, kw_only=True)
class HomePositionInfo(Message):
    """2022 A.2.6.12."""

    ROOT, CMD = "Response", "HomePositionQuery"
    home: HomePosition | None = f.nested("HomePosition", HomePosition)


@dataclass(frozen=True, kw_only=True)
class CruiseList(Message):
    """2022 A.2.6.13."""

    ROOT, CMD = "Response", "CruiseTrackListQuery"
    total: int | None = f.integer("SumNum", high=10**4)
    items: tuple[CruiseTrack, ...] = f.listed("CruiseTrackList", CruiseTrack, "CruiseTrack", limit=300)


@dataclass(frozen=True, kw_only=True)
class Cruise(Message):
    """2022 A.2.6.14."""

    ROOT, CMD = "Response", "CruiseTrackQuery"
    number: int = f.integer("Number", 0, high=255)
    name: str = f.text("Name", limit=80)
    total: int | None = f.integer("SumNum", high=10**4)
    points: tuple[CruisePoint, ...] = f.listed("CruisePointList", CruisePoint, "CruisePoint", limit=300)


@dataclass(frozen=True, kw_only=True)
class PtzPosition(Message):
    """2022 A.2.6.15."""

    ROOT, CMD = "Response", "PTZPosition"
    pan: float | None = f.number("Pan")
    tilt: float | None = f.number("Tilt")
    zoom: float | None = f.number("Zoom")


@dataclass(frozen=True, kw_only=True)
class CardStatus(Message):
    """2022 A.2.6.16."""

    ROOT, CMD = "Response", "SDCardStatus"
    total: int | None = f.integer("SumNum", high=300)
    cards: tuple[Card, ...] = f.listed("SDCardStatusInfo", Card, limit=300)


# control: platforms command -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DeviceControl(Message):
    """2016 A.2.3.1, 2022 A.2.3.1: one command, the others None. ``IFameCmd`` is the standard's own spelling."""

    ROOT, CMD = "Control", "DeviceControl"
    ptz: str = f.text("PTZCmd", limit=16)  # sixteen hexadecimal digits, see ``ptz``
    reboot: bool | None = f.yes("TeleBoot", ("Boot",), ())
    record: bool | None = f.yes("RecordCmd", ("Record",), ("StopRecord",))
    guard: bool | None = f.yes("GuardCmd", ("SetGuard",), ("ResetGuard",))
    reset_alarm: bool | None = f.yes("AlarmCmd", ("ResetAlarm", "1"), ())
    alarm: AlarmReset | None = f.nested("Info", AlarmReset)
    keyframe: bool | None = f.yes("IFameCmd", ("Send",), ())
    keyframe_2022: bool | None = f.yes("IFrameCmd", ("Send",), ())
    zoom_in: DragZoom | None = f.nested("DragZoomIn", DragZoom)
    zoom_out: DragZoom | None = f.nested("DragZoomOut", DragZoom)
    home: HomePosition | None = f.nested("HomePosition", HomePosition)
    precise: PrecisePosition | None = f.nested("PTZPreciseCtrl", PrecisePosition)
    format_card: int | None = f.integer("FormatSDCard", high=255)
    track: str = f.text("TargetTrack", limit=16)
    snapshot: SnapShot | None = f.nested("SnapShotConfig", SnapShot, also=("SnapShot",))


@dataclass(frozen=True, kw_only=True)
class DeviceConfig(Message):
    """2016 A.2.3.2, 2022 A.2.3.2: change a configuration; in 2022 also a snapshot."""

    ROOT, CMD = "Control", "DeviceConfig"
    basic: BasicParam | None = f.nested("BasicParam", BasicParam)
    snapshot: SnapShot | None = f.nested("SnapShotConfig", SnapShot, also=("SnapShot",))


_READ: Final[tuple[type[Message], ...]] = (
    Keepalive, AlarmNotify, CatalogNotify, PositionNotify, MediaStatus, BroadcastNotify, SnapShotFinished,
    CatalogQuery, DeviceInfoQuery, DeviceStatusQuery, RecordQuery, AlarmQuery, PositionQuery, ConfigDownload,
    PresetQuery, HomePositionQuery, CruiseListQuery, CruiseQuery, PtzPositionQuery, CardQuery,
    Catalog, DeviceInfo, DeviceStatus, RecordInfo, AlarmResponse, PositionResponse, ControlResponse, ConfigResponse,
    Config, BroadcastResponse, Presets, HomePositionInfo, CruiseList, Cruise, PtzPosition, CardStatus,
    DeviceControl, DeviceConfig,
)  # fmt: skip
TYPES: Final[Mapping[tuple[str, str], type[Message]]] = {
    **{(each.ROOT.lower(), each.CMD.lower()): each for each in _READ},
    ("query", "persetquery"): PresetQuery,  # a spelling seen in the field, in both directions
    ("response", "persetquery"): Presets,
    ("query", "storagecardstatusquery"): CardQuery,
    ("response", "storagecardstatusquery"): CardStatus,
}
