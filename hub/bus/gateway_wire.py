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

Bodies of calls stand in ``call_wire``, those of commands and record lists in ``command_wire``, all others here.
"""

from typing import Final, Literal, TypeAlias

from pydantic import Field

from hub.bus.relay_wire import Internal
from hub.domain.ids import GbId

TRACE_KEPT: Final = 200
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
