"""Internal HTTP between api and relay, and what travels over Redis. Both sides import these models.

Every internal request carries ``Authorization: Bearer <per-installation token>``. Relay routes:

    PUT    /streams/{stream}                  StreamConfig -> 204   desired state, idempotent
    DELETE /streams/{stream}                  -> 204                forget it, end its sessions
    GET    /streams                           -> StreamStates
    GET    /streams/{stream}                  -> StreamState
    POST   /streams/{stream}/whep             OfferIn -> 201 AnswerOut | 4xx ErrorOut
    POST   /streams/{stream}/whip             OfferIn -> 201 AnswerOut   (the stream comes into being)
    PATCH  /sessions/{session}                FragmentIn -> FragmentOut   trickle (RFC 8840); ICE anew
    POST   /subscribers                       SubscribeIn -> 201 SubscriberOut   one connection for many streams
    PUT    /subscribers/{session}/tracks      TracksIn -> SubscriberOut   what it wants now, and nothing else
    POST   /subscribers/{session}/answer      SubscriberAnswer -> SubscriberOut
    POST   /subscribers/{session}/restart     -> SubscriberOut      an offer that begins ICE anew
    DELETE /subscribers/{session}/grants?key= -> 204                what hangs on this alone is taken away at once
    DELETE /subscribers/{session}             -> 204
    PUT    /streams/{stream}/pushes/{node}    PushIn -> 204         publish it there until nobody wants it there
    DELETE /streams/{stream}/pushes/{node}    -> 204
    PUT    /talks/{talk}                      TalkConfig -> 204     a stream's sound to a device; ends with the stream
    DELETE /talks/{talk}                      -> 204
    POST   /streams/{stream}/ps               PsOutIn -> 200 application/x-ndjson: PsOutState, then empty lines; as PS
                                              to an upper platform until either side closes the connection
    DELETE /sessions/{session}                -> 204
    DELETE /sessions?owner={user}             -> 204                a right was withdrawn
    GET    /streams/{stream}.ts?owner={user}  -> 200 video/mp2t without end; its session is in SESSION_HEADER
    GET    /streams/{stream}/snapshot?owner=  -> 200 image/jpeg     the newest key frame; the source is opened for it
    GET    /streams/{stream}/pictures/{id}    -> 200 video/h264 or video/h265, Annex B: one key frame
    PUT    /drain                             DrainIn -> 204        take nothing new, or again
    GET    /alive                             -> 200 text/plain without end: a byte every half second
    GET    /healthz, /metrics

A relay's owner at another relay is LEG_OWNER and its id. What it has by a leg it gives to no relay.

A camera's stream id is the camera's id. A conference member's stream id is the member's id.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PICTURES_STREAM: Final = "pictures"  # Redis stream: relay -> vision (group "vision"), maxlen 4096
REPORTS_STREAM: Final = "reports"  # Redis stream: relay, vision -> api (group "api"), maxlen 16384
LIVE_CHANNEL: Final = "live"  # pub/sub: api -> every api process: {"seq":..}, conference changes
STATES_CHANNEL: Final = "states"  # pub/sub: relay -> api: StreamState JSON on each change and every 5 s
NODES_KEY: Final = "node:{id}"  # string with TTL 6 s, JSON NodeInfo, written every 2 s
LEASE_KEY: Final = "lease:{name}"
LEG_OWNER: Final = "leg-"
ALIVE_EVERY_S: Final = 0.5
SESSION_HEADER: Final = "X-Session"


class Internal(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NodeInfo(Internal):
    id: str
    role: Literal["api", "relay", "gateway", "vision"]
    url: str  # base of its internal HTTP
    since: int
    seen_at: int
    load: float = 0.0
    facts: dict[str, str] = Field(default_factory=dict)


class StreamConfig(Internal):
    """``pull``: a camera's URL. ``gb28181``: ``gb28181://<device>/<channel>?stream=0`` (``?start=…&end=…`` for
    playback), asked for at ``gateway``. ``leg``: the stream of that id on the relay whose internal URL this is, or
    ``push:<node>``: that relay publishes it here."""

    kind: Literal["pull", "gb28181", "leg"] = "pull"
    url: str = Field(max_length=1_000)  # with user and password: never logged, never answered
    sub_url: str | None = Field(default=None, max_length=1_000)  # the sub stream: a further layer of the same picture
    gateway: str | None = Field(default=None, max_length=200)  # internal URL, for gb28181
    media: Literal["auto", "udp", "tcp_passive", "tcp_active"] = "auto"  # gb28181: how media comes
    pictures_every_ms: int | None = None  # keep one keyframe per interval for vision: a subscriber of its own
    keep_open: bool = False


class StreamState(Internal):
    stream: str
    node: str
    state: Literal["idle", "connecting", "live", "frozen", "failed"]
    reason: str | None = None
    detail: str | None = None  # for the administrator, password masked
    retry_at: int | None = None
    codec: str | None = None  # what comes in: "h264", "vp8+opus", "h265+aac"
    transcoded: bool = False  # somebody watches who cannot decode it as it comes
    width: int | None = None
    height: int | None = None
    viewers: int = 0
    since: int = 0
    origin: str | None = None  # of a leg: its StreamConfig.url
    call: str | None = None  # gb28181: the call at the gateway, for playback controls
    gateway: str | None = None  # and that gateway's internal URL
    facts: dict[str, str] = Field(default_factory=dict)  # gb28181: transport, form, quirks, left_out, end


class StreamStates(Internal):
    items: list[StreamState]


class OfferIn(Internal):
    sdp: str = Field(min_length=1, max_length=65_536)
    owner: str  # user id, for withdrawal
    label: str = ""
    width: int | None = Field(default=None, ge=1, le=16_384)  # of a viewer's tile, in pixels
    zone: str = Field(default="", max_length=40)  # network that the client sits in; "": not known
    asks: bool = True  # WHIP: the publisher can be asked for key frames


class FragmentIn(Internal):
    sdp: str = Field(min_length=1, max_length=16_384)
    owner: str
    match: str = Field(min_length=1, max_length=1_024)  # If-Match: the ICE session that is meant


class FragmentOut(Internal):
    sdp: str  # empty: there is nothing to say


MAX_TRACKS: Final = 64
Key = Annotated[str, Field(min_length=1, max_length=80)]


class SubscribeIn(Internal):
    owner: str = Field(min_length=1, max_length=80)
    label: str = Field(default="", max_length=80)
    zone: str = Field(default="", max_length=40)


class TrackWish(Internal):
    """``grants``: why the client may have it, each a list of what that hangs on. When none holds, the track goes."""

    stream: str = Field(max_length=80)
    width: int | None = Field(default=None, ge=1, le=16_384)
    visible: bool = True
    audio: bool = False
    grants: list[Annotated[list[Key], Field(max_length=8)]] = Field(default_factory=list, max_length=MAX_TRACKS)


class TracksIn(Internal):
    """``again``: an offer that waits for its answer may have been lost; make it once more."""

    tracks: list[TrackWish] = Field(max_length=MAX_TRACKS)
    again: bool = False
    h265: bool = False  # the client decodes it


class SubscriberAnswer(Internal):
    revision: int = Field(ge=0, le=2**53)
    sdp: str = Field(max_length=131_072)


class OfferedTrack(Internal):
    mid: str
    stream: str
    kind: Literal["video", "audio"]


class SubscriberOffer(Internal):
    revision: int
    sdp: str
    tracks: list[OfferedTrack]


class SubscriberOut(Internal):
    """``offer`` is to be answered; ``states`` are by stream, "unknown" where the relay has no such stream."""

    session: str
    offer: SubscriberOffer | None = None
    states: dict[str, Literal["live", "waiting", "refused", "ended", "unknown"]] = Field(default_factory=dict)
    layers: dict[str, tuple[int, int]] = Field(default_factory=dict)  # which layer, 1 the smallest, of how many


class AnswerOut(Internal):
    sdp: str
    session: str
    asks: bool = True  # WHEP: the stream's publisher can be asked for key frames


class PushIn(Internal):
    url: str = Field(max_length=200)  # base of the other relay's internal HTTP


class TalkConfig(Internal):
    """The sound of ``stream`` (a commander who publishes it) to one channel, asked for at ``gateway``."""

    stream: str = Field(max_length=80)
    gateway: str = Field(max_length=200)  # internal URL
    device: str = Field(pattern=r"^[0-9A-Za-z]{1,32}$")
    channel: str = Field(pattern=r"^[0-9A-Za-z]{1,32}$")
    mode: Literal["udp", "tcp_passive", "tcp_active"] = "udp"
    kind: Literal["broadcast", "talk"] = "broadcast"
    owner: str = Field(min_length=1, max_length=80)


class PsOutIn(Internal):
    """Where a platform above us wants a stream. ``tcp_passive``: we listen and it dials; ``tcp_active``: we dial."""

    host: str = Field(max_length=64)
    port: int = Field(ge=0, le=65_535)
    mode: Literal["udp", "tcp_passive", "tcp_active"] = "udp"
    ssrc: int = Field(ge=0, lt=2**32)
    payload_type: int = Field(default=96, ge=0, le=127)
    owner: str = Field(min_length=1, max_length=80)
    peer_host: str = Field(default="", max_length=64)  # where its signalling comes from: ``host`` is what it says
    hold: bool = False  # send nothing before ``POST /ps/{session}``: anybody may have said where to


class PsOutState(Internal):
    """What to say in the answer to the platform's INVITE."""

    session: str
    host: str
    port: int


class DrainIn(Internal):
    draining: bool


class ErrorOut(Internal):
    error: str  # stable id: sdp.invalid, sdp.no_codec, stream.unknown, relay.full, source.*
    message: str


class PictureRef(Internal):
    """One entry of PICTURES_STREAM, as a flat field ``json``."""

    camera: str
    node: str
    url: str  # GET with the token
    at: int  # when the relay received it
    codec: Literal["h264", "h265"] = "h264"


class BoxOut(Internal):
    x1: float
    y1: float
    x2: float
    y2: float
    label: str
    score: float


class AnomalyReport(Internal):
    """One entry of REPORTS_STREAM, type "anomaly". ``picture`` is a JPEG with boxes on the worker's HTTP."""

    type: Literal["anomaly"] = "anomaly"
    camera: str
    rule: str
    kind: Literal["crowd", "intrusion"]
    at: int = Field(ge=0, le=2**53)
    score: float
    count: int = Field(ge=0, le=10_000)
    boxes: list[BoxOut] = Field(max_length=1_000)
    picture: str | None
    model: str
    demonstration: bool


class SessionReport(Internal):
    """REPORTS_STREAM, type "session": a publisher's first media packet, the end of a session, or that a subscriber's
    tracks changed without its asking (``stream`` is then empty)."""

    type: Literal["session"] = "session"
    stream: str
    session: str
    owner: str
    what: Literal["media", "ended", "changed"]
    reason: str = ""
    at: int


class RuleSpec(Internal):
    """What a worker needs to know of a rule; api writes all enabled ones to the Redis hash ``rules``:
    field = camera id, value = JSON list of RuleSpec. The channel ``rules`` says that it changed."""

    id: str
    kind: Literal["crowd", "intrusion"]
    params: dict[str, object]
