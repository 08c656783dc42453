"""Internal HTTP of the gateway (SIP, GB/T 28181), and what travels over Redis to and from it.

Every request carries the installation's token, as in ``relay_wire``. Signalling is the gateway's, media the relay's:
the relay opens a port and asks the gateway for an INVITE; the gateway never touches a media packet.

    PUT    /config                          GatewayConfig -> 204   desired state, idempotent; told again by api
    GET    /devices                         -> DeviceStates
    GET    /devices/{device}/trace          -> Trace               last 200 messages, passwords masked
    POST   /devices/{device}/commands       CommandIn -> CommandOut
    POST   /devices/{device}/catalog        -> 202                 progress and result come as reports
    POST   /devices/{device}/records        RecordsIn -> RecordsOut
    POST   /calls                           CallIn -> 200 application/x-ndjson, see below
    POST   /calls/{call}/control            ControlIn -> 204       playback: pause, go on, seek, speed
    POST   /calls/{call}/keyframe           -> 204                 IFameCmd
    POST   /talks                           TalkIn -> 200 application/x-ndjson: TalkOut, then CallEvent lines
    POST   /cascade/{call}/media            CascadeMedia -> 204    api found a relay for an upper platform's INVITE
    GET    /healthz, /metrics

``POST /calls`` and ``/talks`` answer with lines that go on as long as the call lives: first ``CallOut`` (``TalkOut``),
then a ``CallEvent`` whenever something happens; an empty line every 5 s. Whoever asked ends the call by closing the
connection (the gateway sends BYE); the gateway ends it by a ``CallEvent`` of type ``ended`` and the end of the body.
A relay that dies leaves no call behind, and a gateway that restarts is asked again by relays that still want pictures.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from hub.bus.relay_wire import Internal
from hub.domain.ids import GbId

TRACE_KEPT: Final = 200
MediaMode: TypeAlias = Literal["udp", "tcp_passive", "tcp_active"]
"""As the hub sees it: ``tcp_passive``: we listen and the device dials; ``tcp_active``: we dial."""
MediaPolicy: TypeAlias = Literal["auto", "udp", "tcp_passive", "tcp_active"]
Subscription: TypeAlias = Literal["catalog", "position", "alarm"]


# desired state ------------------------------------------------------------------------------------


class DomainConfig(Internal):
    """Who may register without being listed: whoever knows the domain's password. Empty: nobody."""

    password: str = Field(default="", max_length=64, repr=False)
    accept_unknown: bool = True


class DeviceConfig(Internal):
    """One device as the administrator wants it. An empty password means the domain's."""

    id: GbId
    password: str = Field(default="", max_length=64, repr=False)
    enabled: bool = True
    media: MediaPolicy = "auto"
    charset: Literal["auto", "gb18030", "utf-8"] = "auto"
    send_date: bool = True  # correct the device's clock by our Date header
    subscriptions: tuple[Subscription, ...] = ()
    heartbeat_s: int = Field(default=60, ge=5, le=3_600)
    heartbeat_misses: int = Field(default=3, ge=1, le=20)


class SharedChannel(Internal):
    """A camera of ours as an upper platform sees it."""

    id: GbId  # the identifier up there
    camera: str
    name: str = Field(max_length=200)
    parent: str = ""
    civil_code: str = ""
    ptz: int = Field(default=0, ge=0, le=7)
    device: GbId | None = None  # where PTZ, records and talk go when it is a GB camera itself
    channel: GbId | None = None
    longitude: float | None = None
    latitude: float | None = None
    online: bool = True


class UpperConfig(Internal):
    """One upper platform to register with (级联)."""

    id: GbId  # its SIP server id
    domain: str = Field(max_length=32)
    host: str = Field(max_length=255)
    port: int = Field(ge=1, le=65_535)
    transport: Literal["udp", "tcp"] = "udp"
    local_id: GbId  # who we are there
    username: str = Field(default="", max_length=64)
    password: str = Field(default="", max_length=64, repr=False)
    expires_s: int = Field(default=3_600, ge=60, le=86_400)
    heartbeat_s: int = Field(default=60, ge=5, le=3_600)
    charset: Literal["gb18030", "utf-8"] = "gb18030"
    channels: tuple[SharedChannel, ...] = ()


class GatewayConfig(Internal):
    """Everything; replaces what was told before. ``version`` is the api's hash of the rest; NodeInfo.facts says it."""

    version: str = Field(max_length=64)
    domain: DomainConfig = Field(default_factory=DomainConfig)
    devices: tuple[DeviceConfig, ...] = ()
    uppers: tuple[UpperConfig, ...] = ()


# devices ------------------------------------------------------------------------------------------


class DeviceState(Internal):
    """What the gateway knows of a device now. Times in ms."""

    device: str
    state: Literal["online", "offline", "unknown"]
    reason: str | None = None  # stable id, like gb28181.heartbeat_lost
    detail: str | None = None
    address: str | None = None  # "10.1.2.3:5060"
    transport: Literal["udp", "tcp"] | None = None
    registered_at: int | None = None
    expires_at: int | None = None
    keepalive_at: int | None = None
    edition: Literal["2011", "2016", "2022"] | None = None
    user_agent: str | None = None
    calls: int = 0
    failed_at: int | None = None  # last refused REGISTER and why
    failure: str | None = None


class UpperState(Internal):
    """Our registration with a platform above us."""

    upper: str
    state: Literal["online", "offline", "registering", "refused"]
    reason: str | None = None
    registered_at: int | None = None
    keepalive_at: int | None = None
    calls: int = 0


class DeviceStates(Internal):
    items: list[DeviceState]
    uppers: list[UpperState] = Field(default_factory=list)


class TraceEntry(Internal):
    at: int
    direction: Literal["in", "out"]
    transport: Literal["udp", "tcp"]
    peer: str
    summary: str  # "REGISTER", "401 Unauthorized", "MESSAGE Catalog"
    text: str  # masked, at most 16 KiB


class Trace(Internal):
    items: list[TraceEntry]


# reports: REPORTS_STREAM, gateway -> api -----------------------------------------------------------


class DeviceReport(Internal):
    """A device registered, went offline or was refused. Keepalives are not reported, they stand in DeviceState."""

    type: Literal["device"] = "device"
    state: DeviceState
    at: int


class DeviceInfoReport(Internal):
    type: Literal["device_info"] = "device_info"
    device: str
    name: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    channels: int | None = None
    at: int


class CatalogItem(Internal):
    """One entry as the device said it, mended but not judged. ``kind`` follows from id and Parental."""

    id: GbId
    name: str = Field(default="", max_length=200)
    kind: Literal["channel", "alarm", "audio", "civil_code", "business_group", "virtual_organisation", "device"] = (
        "channel"
    )
    parents: tuple[str, ...] = Field(default=(), max_length=16)
    civil_code: str = Field(default="", max_length=32)
    manufacturer: str = Field(default="", max_length=80)
    model: str = Field(default="", max_length=80)
    address: str = Field(default="", max_length=200)
    status: Literal["on", "off", "unknown"] = "unknown"
    ptz: int = Field(default=0, ge=0, le=7)
    longitude: float | None = None
    latitude: float | None = None


class CatalogReport(Internal):
    """Pages as they come; the last has ``done``. ``event`` when the device notified of a change by itself."""

    type: Literal["catalog"] = "catalog"
    device: str
    sn: int
    items: list[CatalogItem] = Field(max_length=500)
    received: int
    expected: int | None
    done: bool
    missing: int = 0
    event: Literal["ADD", "DEL", "UPDATE", "ON", "OFF", "VLOST", "DEFECT"] | None = None
    at: int


class PositionReport(Internal):
    type: Literal["position"] = "position"
    device: str
    channel: str
    longitude: float
    latitude: float
    speed: float | None = None
    direction: float | None = None
    altitude: float | None = None
    at: int  # when we received it
    device_time: str | None = None


class AlarmReport(Internal):
    """An alarm of the device (GB/T 28181-2016 9.4, A.2.5)."""

    type: Literal["gb_alarm"] = "gb_alarm"
    device: str
    channel: str
    priority: int = Field(ge=0, le=4)
    method: int = Field(ge=0, le=9)
    alarm_type: int | None = None
    description: str = Field(default="", max_length=500)
    at: int
    device_time: str | None = None


class CascadeInvite(Internal):
    """An upper platform wants a picture; api opens the camera and answers by POST /cascade/{call}/media."""

    type: Literal["cascade_invite"] = "cascade_invite"
    node: str  # gateway node that asks
    call: str
    upper: str
    camera: str
    purpose: Literal["play", "playback"] = "play"
    start_s: int = 0
    end_s: int = 0
    speed: int = Field(default=1, ge=1, le=16)
    at: int


class CascadeTalk(Internal):
    """An upper platform wants to speak to a camera: api has a relay take its sound (``gb28181://<upper>/<channel>
    ?listen=1``: the gateway calls it there) and send it to the device."""

    type: Literal["cascade_talk"] = "cascade_talk"
    node: str
    upper: GbId
    channel: GbId  # by its identifier up there
    camera: str
    at: int


class CascadeEnd(Internal):
    """A stream that was opened for an upper platform alone is not needed any more."""

    type: Literal["cascade_end"] = "cascade_end"
    stream: str = Field(max_length=80)
    at: int


class CascadeMedia(Internal):
    """``relay`` is the internal URL of the relay that has the stream; ``error`` when there is none."""

    relay: str | None = None
    stream: str | None = None
    error: str | None = None


# calls ---------------------------------------------------------------------------------------------


class CallIn(Internal):
    """A relay's wish: INVITE this channel and have media sent to ``host:port``."""

    device: GbId
    channel: GbId
    purpose: Literal["play", "playback", "download", "listen"] = "play"  # listen: ``device`` is a platform above us
    stream: Literal[0, 1] = 0  # main or sub stream
    mode: MediaMode
    host: str = Field(max_length=64)  # an address of the relay that the device can reach
    port: int = Field(ge=0, le=65_535)
    start_s: int = 0  # playback and download: Unix seconds
    end_s: int = 0
    speed: int = Field(default=1, ge=1, le=16)  # download speed
    owner: str = Field(default="", max_length=80)


class CallOut(Internal):
    """The device's answer. For tcp_active ``remote_host:remote_port`` is where the relay must dial."""

    call: str
    ssrc: int | None  # what we asked for in y=; the device may send another
    answered_ssrc: int | None = None
    remote_host: str
    remote_port: int
    mode: MediaMode
    payload_type: int = 96
    encoding: str = "PS"
    device_host: str = ""  # where its signalling comes from: ``remote_host`` is only what it says
    answered_after_ms: int
    edition: str | None = None


class CallEvent(Internal):
    """``file_end``: MediaStatus 121. ``paused``, ``resumed``: a playback stands still by wish. ``ended``: nothing
    follows; ``reason`` is a stable id."""

    event: Literal["file_end", "paused", "resumed", "ended", "alive"]
    reason: str = ""


class ControlIn(Internal):
    """MANSRTSP: exactly one."""

    action: Literal["pause", "play", "seek", "speed"]
    seek_s: float | None = Field(default=None, ge=0, le=31 * 86_400)
    speed: float | None = Field(default=None, ge=0.125, le=16)


class TalkIn(Internal):
    """A relay wants to send sound: voice broadcast (语音广播) or talk (语音对讲) to one channel."""

    device: GbId
    channel: GbId
    host: str = Field(max_length=64)
    port: int = Field(ge=0, le=65_535)
    mode: MediaMode = "udp"
    kind: Literal["broadcast", "talk"] = "broadcast"
    owner: str = Field(default="", max_length=80)


class TalkOut(Internal):
    call: str
    ssrc: int
    remote_host: str
    remote_port: int
    mode: MediaMode
    payload_type: int = 8
    device_host: str = ""  # as in CallOut
    framed: bool = True  # TCP: RFC 4571 length in front; some devices want none


# commands -----------------------------------------------------------------------------------------


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
