"""What a device is told and asked through the gateway (``gateway_wire``: ``.../commands``, ``.../records``)."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from hub.bus.relay_wire import Internal
from hub.domain.ids import GbId


class Move(Internal):
    """Continuous PTZ until the next command, for 8 s at most; all zero stops. Speeds 0–1 of the device's range."""

    type: Literal["move"] = "move"
    channel: GbId
    pan: float = Field(default=0, ge=-1, le=1)  # right is positive
    tilt: float = Field(default=0, ge=-1, le=1)  # up is positive
    zoom: float = Field(default=0, ge=-1, le=1)  # in is positive


class Lens(Internal):
    """Likewise."""

    type: Literal["lens"] = "lens"
    channel: GbId
    focus: float = Field(default=0, ge=-1, le=1)  # near is positive
    iris: float = Field(default=0, ge=-1, le=1)  # open is positive


class Preset(Internal):
    type: Literal["preset"] = "preset"
    channel: GbId
    action: Literal["set", "go", "delete"]
    number: int = Field(ge=1, le=255)


class Presets(Internal):
    type: Literal["presets"] = "presets"
    channel: GbId


class Cruise(Internal):
    type: Literal["cruise"] = "cruise"
    channel: GbId
    action: Literal["add", "delete", "speed", "stay", "start", "stop"]
    number: int = Field(ge=0, le=255)
    preset: int = Field(default=0, ge=0, le=255)
    value: int = Field(default=0, ge=0, le=4_095)


class Scan(Internal):
    type: Literal["scan"] = "scan"
    channel: GbId
    action: Literal["start", "stop", "left", "right", "speed"]
    number: int = Field(default=0, ge=0, le=255)
    value: int = Field(default=0, ge=0, le=4_095)


class Switch(Internal):
    """Wiper is auxiliary switch 1."""

    type: Literal["switch"] = "switch"
    channel: GbId
    number: int = Field(ge=1, le=255)
    on: bool


class HomePosition(Internal):
    type: Literal["home"] = "home"
    channel: GbId
    enabled: bool
    reset_s: int = Field(default=60, ge=1, le=86_400)
    preset: int = Field(default=1, ge=1, le=255)


class PrecisePtz(Internal):
    """GB/T 28181-2022 A.2.3.1.11."""

    type: Literal["precise"] = "precise"
    channel: GbId
    pan: float = Field(ge=0, lt=360)
    tilt: float = Field(ge=-30, le=90)
    zoom: float = Field(ge=1, le=100)


class Simple(Internal):
    """Commands without arguments."""

    type: Literal["guard", "unguard", "reset_alarm", "record", "stop_record", "reboot", "keyframe", "info", "status"]
    channel: GbId


class Snapshot(Internal):
    """2022 SnapShotConfig: the device uploads to ``upload_url``."""

    type: Literal["snapshot"] = "snapshot"
    channel: GbId
    count: int = Field(default=1, ge=1, le=10)
    interval_s: int = Field(default=1, ge=1, le=60)
    upload_url: str = Field(max_length=500)
    session: str = Field(max_length=80)


class ConfigDownload(Internal):
    type: Literal["config"] = "config"
    channel: GbId
    what: Literal["BasicParam", "VideoParamOpt", "SVACEncodeConfig", "SVACDecodeConfig"] = "BasicParam"


Command: TypeAlias = Annotated[
    Move
    | Lens
    | Preset
    | Presets
    | Cruise
    | Scan
    | Switch
    | HomePosition
    | PrecisePtz
    | Simple
    | Snapshot
    | ConfigDownload,
    Field(discriminator="type"),
]


class CommandIn(Internal):
    command: Command


class PresetItem(Internal):
    number: int
    name: str = ""


class CommandOut(Internal):
    """``result`` is the device's own OK or ERROR where the command has an answer, else ``sent``."""

    result: Literal["ok", "error", "sent"]
    presets: list[PresetItem] | None = None
    values: dict[str, str] | None = None  # info, status, config


class RecordsIn(Internal):
    channel: GbId
    start_s: int
    end_s: int
    type: Literal["all", "time", "alarm", "manual"] = "all"


class RecordItem(Internal):
    channel: str
    name: str = ""
    start_s: int
    end_s: int
    type: str = "time"
    bytes: int | None = None
    path: str = Field(default="", max_length=500)


class RecordsOut(Internal):
    items: list[RecordItem] = Field(max_length=20_000)
    complete: bool
    missing: int = 0
