"""Messages of ``/ws``: two closed unions, one a direction. Frozen, unknown fields refused, strings bounded.

``docs/protocol.md`` says the same in words. Sizes: a client message is at most 16 KiB, an answer to an offer of
media 192 KiB.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

MAX_CLIENT_BYTES: Final = 16_384
MAX_ANSWER_BYTES: Final = 196_608  # media.answer: 64 tracks of picture and sound
MAX_SDP: Final = 131_072
MAX_TRACKS: Final = 64
Id: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WireError(ValueError):
    """A message that is none: too long, no JSON, unknown type or field. ``id`` is stable."""

    def __init__(self, id: str, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.message = message
        self.offset = offset


# client -> hub ------------------------------------------------------------------------------------


class Ping(Wire):
    type: Literal["ping"] = "ping"
    n: int = Field(ge=0, le=2**53)


class WatchCameras(Wire):
    """Asks for ``camera.state`` of these cameras and no others; replaces the earlier list."""

    type: Literal["cameras.watch"] = "cameras.watch"
    cameras: tuple[Id, ...] = Field(max_length=256)


class CallRinging(Wire):
    """This terminal rings."""

    type: Literal["call.ringing"] = "call.ringing"
    conference: Id


class CallAnswer(Wire):
    type: Literal["call.answer"] = "call.answer"
    conference: Id
    accept: bool


class ConferenceLeave(Wire):
    type: Literal["conference.leave"] = "conference.leave"
    conference: Id


class ConferenceEnd(Wire):
    type: Literal["conference.end"] = "conference.end"
    conference: Id


class ConferenceStage(Wire):
    """Puts a camera on the stage for all, or clears it."""

    type: Literal["conference.stage"] = "conference.stage"
    conference: Id
    camera: Id | None


class ConferenceInvite(Wire):
    type: Literal["conference.invite"] = "conference.invite"
    conference: Id
    units: tuple[Id, ...] = Field(min_length=1, max_length=32)


class ConferenceDevices(Wire):
    """What this member sends now."""

    type: Literal["conference.devices"] = "conference.devices"
    conference: Id
    audio: bool
    video: bool


class OrderReceived(Wire):
    """This terminal shows the order: the receipt 送达."""

    type: Literal["order.received"] = "order.received"
    order: Id


class WantedTrack(Wire):
    """One picture of a page, under a name of its own choice: a camera, a member, or the stage of a conference."""

    key: str = Field(min_length=1, max_length=100)
    camera: Id | None = None
    conference: Id | None = None
    member: Id | None = None  # of the conference; without one its stage
    width: int | None = Field(default=None, ge=1, le=16_384)  # of the tile, in device pixels; None: as large as can be
    visible: bool = True  # nobody looks at the picture: it costs nothing
    audio: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "WantedTrack":
        if (self.camera is None) == (self.conference is None) or (self.member is not None and self.camera is not None):
            raise ValueError("a track is a camera, a member of a conference, or the stage of one")
        return self


class MediaSubscribe(Wire):
    """All that this page wants to see over its one connection, and nothing else; replaces the earlier list.

    ``session`` is that of an earlier offer whose connection is still up: it goes on after the socket was lost.
    ``anew``: the connection is lost to the page, and another is to be opened.
    """

    type: Literal["media.subscribe"] = "media.subscribe"
    session: Id | None = None
    anew: bool = False
    h265: bool = False  # this browser decodes it
    tracks: tuple[WantedTrack, ...] = Field(max_length=MAX_TRACKS)


class MediaAnswer(Wire):
    """The answer to the offer of this revision."""

    type: Literal["media.answer"] = "media.answer"
    session: Id
    revision: int = Field(ge=0, le=2**53)
    sdp: str = Field(max_length=MAX_SDP)


class MediaRestart(Wire):
    """Nothing comes any more, or an offer could not be used: offer anew, with ICE from the beginning."""

    type: Literal["media.restart"] = "media.restart"


ClientMessage: TypeAlias = Annotated[
    Ping
    | WatchCameras
    | CallRinging
    | CallAnswer
    | ConferenceLeave
    | ConferenceEnd
    | ConferenceStage
    | ConferenceInvite
    | ConferenceDevices
    | OrderReceived
    | MediaSubscribe
    | MediaAnswer
    | MediaRestart,
    Field(discriminator="type"),
]


# hub -> client ------------------------------------------------------------------------------------


class Hello(Wire):
    type: Literal["hello"] = "hello"
    now: int
    seq: int  # last event of the log
    user: dict[str, Any]  # schemas.Me


class Pong(Wire):
    type: Literal["pong"] = "pong"
    n: int
    now: int


class Event(Wire):
    """One event of the log that this user may see, as it happens. ``data`` never holds a secret."""

    type: Literal["event"] = "event"
    seq: int
    kind: str
    at: int
    unit: str
    ref: str
    data: dict[str, Any] | None


class CameraStateChanged(Wire):
    type: Literal["camera.state"] = "camera.state"
    camera: str
    state: str
    reason: str | None = None
    retry_at: int | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    viewers: int = 0
    transcoded: bool = False
    talking: str | None = None  # name of the person who speaks to it now


class Ring(Wire):
    """Rings until answered, declined, missed or ended (叫应)."""

    type: Literal["ring"] = "ring"
    conference: str
    member: str
    title: str
    caller: str
    caller_unit: str
    incident: str | None
    run: str | None
    until: int


class RingEnded(Wire):
    type: Literal["ring.ended"] = "ring.ended"
    conference: str
    reason: Literal["answered", "answered_elsewhere", "declined", "missed", "ended"]


class ConferenceState(Wire):
    """The whole conference, after each change, to its members."""

    type: Literal["conference.state"] = "conference.state"
    conference: dict[str, Any]  # schemas.Conference


class Presence(Wire):
    """People connected, by unit."""

    type: Literal["presence"] = "presence"
    units: dict[str, int]


class OfferedTrack(Wire):
    mid: str
    key: str
    kind: Literal["video", "audio"]


class MediaOffer(Wire):
    """An offer to answer. Another ``session`` than before is another connection; ``tracks`` are all that flow then.

    Two keys may share a section: the same picture is sent once.
    """

    type: Literal["media.offer"] = "media.offer"
    session: str
    revision: int
    sdp: str
    tracks: tuple[OfferedTrack, ...]


class MediaTrack(Wire):
    """How a wanted track stands. ``error`` is a stable id, of what refused it."""

    type: Literal["media.track"] = "media.track"
    key: str
    state: Literal["live", "waiting", "refused", "ended"]
    error: str | None = None
    layer: int | None = None  # that is sent, 1 being the smallest
    layers: int | None = None  # that there are


class MediaEnded(Wire):
    """The connection is over; ask again by ``media.subscribe``."""

    type: Literal["media.ended"] = "media.ended"
    session: str
    reason: str


class MediaMove(Wire):
    """The relay of this media session is dead, or is about to stop. Ask for the same again where the session came
    from, and end this one once the new one shows pictures."""

    type: Literal["media.move"] = "media.move"
    session: str  # the last part of its Location
    reason: Literal["drain", "lost"]


class Failed(Wire):
    type: Literal["error"] = "error"
    error: str  # stable id
    message: str
    re: str | None = None  # type of the message that failed


class Bye(Wire):
    """The session ended; the socket closes after this."""

    type: Literal["bye"] = "bye"
    reason: Literal["signed_out", "expired", "revoked", "shutting_down", "too_slow"]


ServerMessage: TypeAlias = Annotated[
    Hello
    | Pong
    | Event
    | CameraStateChanged
    | Ring
    | RingEnded
    | ConferenceState
    | Presence
    | MediaMove
    | MediaOffer
    | MediaTrack
    | MediaEnded
    | Failed
    | Bye,
    Field(discriminator="type"),
]

M = TypeVar("M")

_client: Final[TypeAdapter[ClientMessage]] = TypeAdapter(ClientMessage)
_answer: Final[TypeAdapter[MediaAnswer]] = TypeAdapter(MediaAnswer)
_server: Final[TypeAdapter[ServerMessage]] = TypeAdapter(ServerMessage)


def parse_client(text: str | bytes) -> ClientMessage:
    """Parse one client message. Raises WireError (``ws.too_long``, ``ws.not_understood``)."""
    size = len(text.encode()) if isinstance(text, str) else len(text)
    if size > MAX_ANSWER_BYTES:
        raise _too_long(size)
    return _parse(_client, text) if size <= MAX_CLIENT_BYTES else _answer_alone(text, size)


def _answer_alone(text: str | bytes, size: int) -> MediaAnswer:
    """A long message can only be an answer; anything else is not looked at further."""
    try:
        return _answer.validate_json(text)
    except ValidationError:
        raise _too_long(size) from None


def _too_long(size: int) -> WireError:
    return WireError("ws.too_long", f"a message has at most {MAX_CLIENT_BYTES} bytes, this has {size}")


def parse_server(text: str | bytes) -> ServerMessage:
    """Parse one hub message (for Python clients). Raises WireError."""
    return _parse(_server, text)


def _parse(adapter: TypeAdapter[M], text: str | bytes) -> M:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise WireError("ws.not_understood", f"{where}: {first['msg']}") from None
