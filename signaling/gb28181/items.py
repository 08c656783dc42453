"""The groups inside MANSCDP messages: catalog items, recordings, presets, configurations (2016 A.2.1, 2022 A.2.1)."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from signaling.gb28181 import fields as f
from signaling.gb28181.ids import Kind, kind_of

CatalogEvent: TypeAlias = Literal["ADD", "DEL", "UPDATE", "ON", "OFF", "VLOST", "DEFECT"]
EVENTS: frozenset[str] = frozenset({"ADD", "DEL", "UPDATE", "ON", "OFF", "VLOST", "DEFECT"})
_MAX_PARENTS = 16


@dataclass(frozen=True, kw_only=True)
class ChannelInfo:
    """``Info`` of a catalog item (2016 A.2.1.9; PTZType up to 7 in 2022)."""

    ptz_type: int | None = f.integer("PTZType", high=7)  # 1 ball, 2 half ball, 3 fixed, 4 remote gun; 2022: up to 7
    position_type: int | None = f.integer("PositionType", high=99)
    business_group: str = f.text("BusinessGroupID", limit=32)
    download_speed: str = f.text("DownloadSpeed", limit=64)
    resolution: str = f.text("Resolution", limit=64)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of a catalog (2016 A.2.1.9 itemType), as it was said; ``event`` only in notifications (A.2.5.3)."""

    id: str = f.text("DeviceID", limit=32, must=True)
    event: str = f.text("Event", limit=16)
    name: str = f.text("Name")
    manufacturer: str = f.text("Manufacturer", limit=80)
    model: str = f.text("Model", limit=80)
    owner: str = f.text("Owner", limit=80)
    civil_code: str = f.text("CivilCode", limit=32)
    block: str = f.text("Block", limit=80)
    address: str = f.text("Address")
    parental: bool | None = f.yes("Parental", ("1",), ("0",))
    parent_id: str = f.text("ParentID", limit=400, also=("ParentDeviceID",))
    safety_way: int | None = f.integer("SafetyWay", high=99)
    register_way: int | None = f.integer("RegisterWay", high=99)
    secrecy: int | None = f.integer("Secrecy", high=9)
    ip_address: str = f.text("IPAddress", limit=64)
    port: int | None = f.integer("Port", high=65_535)
    status: bool | None = f.switch("Status")
    longitude: float | None = f.number("Longitude")
    latitude: float | None = f.number("Latitude")
    business_group: str = f.text("BusinessGroupID", limit=32)
    info: ChannelInfo | None = f.nested("Info", ChannelInfo)
    ptz_outside: int | None = f.integer("PTZType", high=7)  # some write it beside Info, not inside

    @property
    def parents(self) -> tuple[str, ...]:
        """ParentID may name several, parted by ``/`` (2016 annex N); itself and repeats are left out."""
        named = [part.strip()[:32] for part in self.parent_id.replace(",", "/").split("/")]
        return tuple(dict.fromkeys(part for part in named if part and part != self.id))[:_MAX_PARENTS]

    @property
    def kind(self) -> Kind:
        """What it is, by its number; Parental only where the number does not tell."""
        return kind_of(self.id, has_children=self.parental)

    @property
    def ptz(self) -> int:
        """PTZType, 0 when not said."""
        inside = self.info.ptz_type if self.info else None
        return inside if inside is not None else self.ptz_outside or 0

    @property
    def place(self) -> tuple[float, float] | None:
        """(longitude, latitude) where both make sense; 0, 0 is what devices write for unknown."""
        if self.longitude is None or self.latitude is None or not (self.longitude or self.latitude):
            return None
        inside = abs(self.longitude) <= 180 and abs(self.latitude) <= 90
        return (self.longitude, self.latitude) if inside else None

    @property
    def change(self) -> CatalogEvent | None:
        """The event of a notification when it is one of the seven."""
        word = self.event.upper()
        return word if word in EVENTS else None  # type: ignore[return-value] # EVENTS holds just the literals


@dataclass(frozen=True, kw_only=True)
class Record:
    """One recording (2016 A.2.1.10 itemFileType). Times are Unix seconds."""

    id: str = f.text("DeviceID", limit=32, must=True)
    name: str = f.text("Name")
    path: str = f.text("FilePath", limit=500)
    address: str = f.text("Address")
    start: int | None = f.time("StartTime")
    end: int | None = f.time("EndTime")
    secrecy: int | None = f.integer("Secrecy", 0, high=9)
    type: str = f.text("Type", limit=16)
    recorder: str = f.text("RecorderID", limit=64)
    size: int | None = f.integer("FileSize", high=2**53)


@dataclass(frozen=True, kw_only=True)
class PresetItem:
    """One preset position."""

    id: str = f.text("PresetID", limit=16, must=True)
    name: str = f.text("PresetName", limit=80)

    @property
    def number(self) -> int | None:
        """1 to 255; None: a number that no command can call."""
        return int(self.id) if self.id.isascii() and self.id.isdigit() and 1 <= int(self.id) <= 255 else None


@dataclass(frozen=True, kw_only=True)
class HomePosition:
    """Guard position (看守位): where the camera returns ``reset_s`` after the last command."""

    enabled: bool | None = f.yes("Enabled", ("1", "TRUE"), ("0", "FALSE"))
    reset_s: int | None = f.integer("ResetTime", high=86_400)
    preset: int | None = f.integer("PresetIndex", high=255)


@dataclass(frozen=True, kw_only=True)
class PrecisePosition:
    """Degrees and times (2022 A.2.1.22)."""

    pan: float | None = f.number("Pan")
    tilt: float | None = f.number("Tilt")
    zoom: float | None = f.number("Zoom")


@dataclass(frozen=True, kw_only=True)
class DragZoom:
    """Enlarge or diminish a box drawn on the picture, pixels (2016 A.2.1.8)."""

    length: int = f.integer("Length", 0, high=65_535)
    width: int = f.integer("Width", 0, high=65_535)
    mid_x: int = f.integer("MidPointX", 0, high=65_535)
    mid_y: int = f.integer("MidPointY", 0, high=65_535)
    length_x: int = f.integer("LengthX", 0, high=65_535)
    length_y: int = f.integer("LengthY", 0, high=65_535)


@dataclass(frozen=True, kw_only=True)
class SnapShot:
    """SnapShotConfig (2022 A.2.1.24): take pictures and upload them by HTTP."""

    count: int = f.integer("SnapNum", 1, low=1, high=10)
    interval_s: int = f.integer("Interval", 1, low=0, high=3_600)
    upload_url: str = f.text("UploadURL", limit=500)
    session: str = f.text("SessionID", limit=128)


@dataclass(frozen=True, kw_only=True)
class BasicParam:
    """Basic configuration (2016 A.2.1.11)."""

    name: str = f.text("Name")
    expires_s: int | None = f.integer("Expiration", high=10**7)
    heartbeat_s: int | None = f.integer("HeartBeatInterval", high=10**6)
    heartbeat_misses: int | None = f.integer("HeartBeatCount", high=10**4)


@dataclass(frozen=True, kw_only=True)
class VideoParamOpt:
    """What the device could do (2016 A.2.1.12)."""

    download_speed: str = f.text("DownloadSpeed", limit=64)
    resolution: str = f.text("Resolution", limit=200)


@dataclass(frozen=True, kw_only=True)
class AlarmType:
    """``Info`` of an alarm (2016 A.2.5.2)."""

    type: int | None = f.integer("AlarmType", high=99)


@dataclass(frozen=True, kw_only=True)
class AlarmReset:
    """``Info`` of ResetAlarm (2016 A.2.3.1.5)."""

    method: str = f.text("AlarmMethod", limit=16)
    type: str = f.text("AlarmType", limit=16)


@dataclass(frozen=True, kw_only=True)
class AlarmState:
    """Whether a detector stands guard."""

    id: str = f.text("DeviceID", limit=32, must=True)
    duty: str = f.text("DutyStatus", limit=16)


@dataclass(frozen=True, kw_only=True)
class CruiseTrack:
    """A cruise track's number and name (2022 A.2.6.13)."""

    number: int = f.integer("Number", 0, high=255)
    name: str = f.text("Name", limit=80)


@dataclass(frozen=True, kw_only=True)
class CruisePoint:
    """One stop of a cruise track (2022 A.2.6.14)."""

    preset: int = f.integer("PresetIndex", 0, high=255)
    stay_s: int = f.integer("StayTime", 0, high=86_400)
    speed: int = f.integer("Speed", 0, high=255)


@dataclass(frozen=True, kw_only=True)
class Card:
    """A storage card; capacities in MB (2022 A.2.6.16)."""

    id: int = f.integer("ID", 0, high=255)
    name: str = f.text("HddName", limit=80)
    status: str = f.text("Status", limit=32)
    format_progress: int | None = f.integer("FormatProgress", high=100)
    capacity_mb: int | None = f.integer("Capacity", high=2**40)
    free_mb: int | None = f.integer("FreeSpace", high=2**40)
