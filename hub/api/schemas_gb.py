"""What the REST interface takes and gives of GB/T 28181: devices, platforms above us, a camera's controls."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints

from hub.api.schemas.base import Reply, Request
from hub.bus import gateway_wire as wire
from hub.domain.gb_url import SubPolicy
from hub.domain.ids import CameraId, GbId, UnitId
from hub.domain.text import one_line

LongName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(one_line)
]
Secret = Annotated[str, StringConstraints(max_length=64), AfterValidator(one_line)]
StrictGbId = Annotated[str, StringConstraints(pattern=r"^[0-9]{18,20}$")]
"""What people type. Devices in the field have 18 digits, too."""
Host = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.:_-]{1,255}$")]
Media = Literal["auto", "udp", "tcp_passive", "tcp_active"]
SubStream: TypeAlias = SubPolicy
Charset = Literal["auto", "gb18030", "utf-8"]
Subscriptions = Annotated[list[wire.Subscription], Field(max_length=3)]
Beat = Annotated[int, Field(ge=5, le=3_600)]
Misses = Annotated[int, Field(ge=1, le=20)]


# devices ------------------------------------------------------------------------------------------


class NewDevice(Request):
    id: StrictGbId
    name: LongName
    unit: UnitId
    password: Secret = ""
    enabled: bool = True
    media: Media = "auto"
    sub_stream: SubStream = "auto"  # how it is asked for the sub stream of a channel, for small tiles
    charset: Charset = "auto"
    send_date: bool = True
    subscriptions: Subscriptions = Field(default_factory=list)
    heartbeat_s: Beat = 60
    heartbeat_misses: Misses = 3


class DevicePatch(Request):
    """What is left out stays. A password that is left out stays, too; an empty one means the domain's."""

    name: LongName | None = None
    unit: UnitId | None = None
    password: Secret | None = None
    enabled: bool | None = None
    media: Media | None = None
    sub_stream: SubStream | None = None
    charset: Charset | None = None
    send_date: bool | None = None
    subscriptions: Subscriptions | None = None
    heartbeat_s: Beat | None = None
    heartbeat_misses: Misses | None = None


class Device(Reply):
    id: GbId
    name: str
    unit: UnitId
    unit_name: str
    enabled: bool
    has_password: bool
    media: Media
    sub_stream: SubStream
    charset: Charset
    send_date: bool
    subscriptions: list[wire.Subscription]
    heartbeat_s: int
    heartbeat_misses: int
    created_at: int
    state: Literal["online", "offline", "unknown"]
    reason: str | None
    detail: str | None
    address: str | None
    transport: str | None
    registered_at: int | None
    keepalive_at: int | None
    edition: str | None
    calls: int
    failed_at: int | None
    failure: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    channels: int
    catalog_at: int | None
    catalog_received: int
    catalog_expected: int | None
    catalog_missing: int
    catalog_done: bool


class Devices(Reply):
    items: list[Device]
    total: int
    online: int
    offline: int
    next: str | None


class Channel(Reply):
    id: GbId
    name: str
    kind: str
    parents: list[str]
    civil_code: str
    manufacturer: str
    model: str
    address: str
    status: str
    ptz: int
    longitude: float | None
    latitude: float | None
    position_at: int | None
    camera: CameraId | None


class Channels(Reply):
    items: list[Channel]
    next: GbId | None


class Position(Reply):
    channel: GbId
    at: int
    longitude: float
    latitude: float
    speed: float | None
    direction: float | None


class Positions(Reply):
    items: list[Position]


class TraceEntry(Reply):
    at: int
    direction: Literal["in", "out"]
    transport: str
    peer: str
    summary: str
    text: str


class Trace(Reply):
    items: list[TraceEntry]


class GbDomain(Reply):
    """Who we are in GB/T 28181, and how devices that nobody listed may register."""

    running: bool
    server_id: str | None
    domain: str | None
    address: str | None  # what devices are pointed at
    has_password: bool
    accept_unknown: bool


class GbDomainPatch(Request):
    password: Secret | None = None
    accept_unknown: bool | None = None


# platforms above us ---------------------------------------------------------------------------------


class NewPlatform(Request):
    id: StrictGbId
    name: LongName
    domain: Annotated[str, StringConstraints(pattern=r"^[0-9]{8,20}$")]
    host: Host
    port: Annotated[int, Field(ge=1, le=65_535)] = 5060
    transport: Literal["udp", "tcp"] = "udp"
    local_id: StrictGbId
    username: Secret = ""
    password: Secret = ""
    expires_s: Annotated[int, Field(ge=60, le=86_400)] = 3_600
    heartbeat_s: Beat = 60
    charset: Literal["gb18030", "utf-8"] = "gb18030"
    enabled: bool = True


class PlatformPatch(Request):
    name: LongName | None = None
    domain: Annotated[str, StringConstraints(pattern=r"^[0-9]{8,20}$")] | None = None
    host: Host | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    transport: Literal["udp", "tcp"] | None = None
    local_id: StrictGbId | None = None
    username: Secret | None = None
    password: Secret | None = None
    expires_s: Annotated[int, Field(ge=60, le=86_400)] | None = None
    heartbeat_s: Beat | None = None
    charset: Literal["gb18030", "utf-8"] | None = None
    enabled: bool | None = None


class Platform(Reply):
    id: GbId
    name: str
    domain: str
    host: str
    port: int
    transport: str
    local_id: GbId
    username: str
    has_password: bool
    expires_s: int
    heartbeat_s: int
    charset: str
    enabled: bool
    state: Literal["online", "offline", "registering", "refused", "unknown"]
    reason: str | None
    registered_at: int | None
    keepalive_at: int | None
    calls: int
    cameras: int


class Platforms(Reply):
    items: list[Platform]


class SharedCamera(Reply):
    camera: CameraId
    name: str
    gb_id: GbId


class SharedCameras(Reply):
    items: list[SharedCamera]


class ShareCamera(Request):
    camera: CameraId
    gb_id: StrictGbId | None = None


class ShareCameras(Request):
    items: Annotated[list[ShareCamera], Field(max_length=20_000)]


# a camera's controls --------------------------------------------------------------------------------

Unit = Annotated[float, Field(ge=-1, le=1)]
Number = Annotated[int, Field(ge=1, le=255)]
Byte = Annotated[int, Field(ge=0, le=255)]


class Move(Request):
    """Until the next command, for 8 s at most: say it again to go on. All zero stops."""

    type: Literal["move"]
    pan: Unit = 0
    tilt: Unit = 0
    zoom: Unit = 0


class Lens(Request):
    """Likewise."""

    type: Literal["lens"]
    focus: Unit = 0
    iris: Unit = 0


class Preset(Request):
    type: Literal["preset"]
    action: Literal["set", "go", "delete"]
    number: Number


class PresetsQuery(Request):
    type: Literal["presets"]


class Cruise(Request):
    type: Literal["cruise"]
    action: Literal["add", "delete", "speed", "stay", "start", "stop"]
    number: Byte
    preset: Byte = 0
    value: Annotated[int, Field(ge=0, le=4_095)] = 0


class Scan(Request):
    type: Literal["scan"]
    action: Literal["start", "stop", "left", "right", "speed"]
    number: Byte = 0
    value: Annotated[int, Field(ge=0, le=4_095)] = 0


class Switch(Request):
    type: Literal["switch"]
    number: Number
    on: bool


class Home(Request):
    type: Literal["home"]
    enabled: bool
    reset_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    preset: Number = 1


class Precise(Request):
    type: Literal["precise"]
    pan: Annotated[float, Field(ge=0, lt=360)]
    tilt: Annotated[float, Field(ge=-30, le=90)]
    zoom: Annotated[float, Field(ge=1, le=100)]


class Simple(Request):
    """Administrators only, but for ``keyframe``."""

    type: Literal["guard", "unguard", "reset_alarm", "record", "stop_record", "reboot", "keyframe", "info", "status"]


class Config(Request):
    """What the device is set to (ConfigDownload); administrators only."""

    type: Literal["config"]
    what: Literal["BasicParam", "VideoParamOpt", "SVACEncodeConfig", "SVACDecodeConfig"] = "BasicParam"


CameraCommand: TypeAlias = Annotated[
    Move | Lens | Preset | PresetsQuery | Cruise | Scan | Switch | Home | Precise | Simple | Config,
    Field(discriminator="type"),
]


class PresetItem(Reply):
    number: int
    name: str


class CommandResult(Reply):
    """The device's own OK or ERROR where it answers such commands, else ``sent``."""

    result: Literal["ok", "error", "sent"]
    presets: list[PresetItem] | None
    values: dict[str, str] | None


class Recording(Reply):
    name: str
    start_s: int
    end_s: int
    type: str
    bytes: int | None


class Recordings(Reply):
    """``missing``: how many the device announced and did not tell of."""

    items: list[Recording]
    complete: bool
    missing: int


class NewPlayback(Request):
    start_s: Annotated[int, Field(ge=1, le=2**40)]
    end_s: Annotated[int, Field(ge=1, le=2**40)]
    download: bool = False  # faster than it was, for a file


class Playback(Reply):
    id: str
    camera: CameraId
    start_s: int
    end_s: int


class PlaybackControl(Request):
    """``seek_s`` counts from the start; ``speed`` 1 is as it was."""

    action: Literal["pause", "play", "seek", "speed"]
    seek_s: Annotated[float, Field(ge=0, le=31 * 86_400)] | None = None
    speed: Annotated[float, Field(ge=0.125, le=16)] | None = None


class AskPictures(Request):
    count: Annotated[int, Field(ge=1, le=10)] = 1
    interval_s: Annotated[int, Field(ge=1, le=60)] = 1


class PicturesAsked(Reply):
    session: str


class PictureTaken(Reply):
    sha256: str
    at: int


class PicturesTaken(Reply):
    items: list[PictureTaken]
