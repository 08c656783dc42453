"""The client of one RTSP session: bytes and times in, events and bytes out, no sockets (RFC 2326).

    client.start(now); send(client.data_to_send())
    for event in client.receive(data, now): ...      # and client.tick(now) at client.deadline
    Described -> client.setup(tracks, now) -> Playing -> frames -> client.teardown(now) -> Ended

Times are seconds of any clock that only goes forward.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from signaling.rtsp.auth import Authenticator, Credentials
from signaling.rtsp.describe import Offered, Presentation, join, presentation
from signaling.rtsp.events import Described, Ended, Event, Failed, Playing, Redirected, SetUp, TransportRefused, Why
from signaling.rtsp.message import (
    Decoder,
    Headers,
    Interleaved,
    Request,
    Response,
    RtspError,
    encode_interleaved,
    encode_request,
    encode_response,
)
from signaling.rtsp.quirks import TOLERANT, Quirk
from signaling.rtsp.session import Move, Phase, move
from signaling.rtsp.transport import Transport, parse_transports

ANSWER_S: Final = 8.0
USUAL_TIMEOUT_S: Final = 60.0  # RFC 2326 §12.37
MOST_KEEPALIVE_S: Final = 30.0
REDIRECTS: Final = frozenset({300, 301, 302, 303, 305, 307, 308})
MAX_SESSION: Final = 256
KNOWN: Final = frozenset({"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE"})  # answered with 200


@dataclass(slots=True)
class _Pending:
    method: str
    url: str
    headers: Mapping[str, str]
    due: float
    proofs: int = 0  # how often it was sent with credentials
    stale: bool = False


@dataclass(slots=True)
class _Session:
    id: str = ""
    timeout: float = USUAL_TIMEOUT_S
    tracks: list[SetUp] = field(default_factory=list)
    waiting: list[tuple[Offered, tuple[int, int] | None]] = field(default_factory=list)


class RtspClient:
    """One session. ``url`` is without user information; ``noticed`` collects the quirks that showed."""

    def __init__(
        self,
        url: str,
        credentials: Credentials | None = None,
        *,
        policy: frozenset[Quirk] = TOLERANT,
        answer_s: float = ANSWER_S,
        agent: str = "sharpeyes",
    ) -> None:
        self.url = url
        self.phase = Phase.START
        self.noticed: set[Quirk] = set()
        self.server = ""  # what it calls itself
        self._auth = None if credentials is None else Authenticator(credentials)
        self._policy = policy
        self._answer_s = answer_s
        self._agent = agent
        self._decoder = Decoder()
        self._out = bytearray()
        self._pending: dict[int, _Pending] = {}
        self._sequence = 0
        self._public: frozenset[str] = frozenset()
        self._presentation: Presentation | None = None
        self._session = _Session()
        self._keepalive_at: float | None = None
        self._range = True

    # what drives it ---------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """The connection stands: ask."""
        self.phase = move(self.phase, Move.BEGUN)
        self._ask("OPTIONS", self.url, now)

    def setup(self, tracks: Sequence[Offered], now: float, ports: Sequence[tuple[int, int]] = ()) -> None:
        """Set these tracks up, interleaved, or over UDP where ``ports`` gives a pair of our own for each."""
        if not tracks or (ports and len(ports) != len(tracks)):
            raise ValueError("no tracks, or ports that do not match")
        self.phase = move(self.phase, Move.CHOSEN)
        pairs: Sequence[tuple[int, int] | None] = ports or [None] * len(tracks)
        self._session = _Session(waiting=list(zip(tracks, pairs, strict=True)))
        self._next_setup(now)

    def teardown(self, now: float) -> None:
        """Leave. Before SETUP there is nothing to take down; after the end it does nothing."""
        if self.phase in (Phase.ENDED, Phase.LEAVING):
            return
        self.phase = move(self.phase, Move.LEFT)
        self._pending.clear()
        self._keepalive_at = None
        if self.phase is Phase.LEAVING and self._presentation is not None:
            self._ask("TEARDOWN", self._presentation.url, now)

    def send_frame(self, channel: int, payload: bytes) -> None:
        """An interleaved frame of ours, like a receiver report."""
        self._out += encode_interleaved(channel, payload)

    def data_to_send(self) -> bytes:
        """What is to be sent now, once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    @property
    def deadline(self) -> float | None:
        """When ``tick`` must be called, if nothing happens before."""
        times = [pending.due for pending in self._pending.values()]
        if self._keepalive_at is not None:
            times.append(self._keepalive_at)
        return min(times, default=None)

    @property
    def tracks(self) -> Sequence[SetUp]:
        """What is set up so far."""
        return self._session.tracks

    @property
    def skipped(self) -> int:
        """Bytes that were neither message nor frame."""
        return self._decoder.skipped

    @property
    def over(self) -> bool:
        """Nothing more will be said or heard."""
        return self.phase is Phase.ENDED

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Bytes of the server; after the end they mean nothing."""
        events: list[Event] = []
        if self.over:
            return events
        try:
            for message in self._decoder.feed(data):
                if type(message) is Interleaved:
                    events.append(message)
                elif isinstance(message, Response):
                    events += self._answered(message, now)
                elif isinstance(message, Request):
                    events += self._asked(message)
                if self.over:
                    break
        except RtspError as error:
            events.append(self._fail(Why.NOT_RTSP, str(error)))
        if self._decoder.skipped:
            self.noticed.add(Quirk.RESYNC)
        return events

    def closed(self) -> list[Event]:
        """The server closed the connection."""
        if self.phase is Phase.ENDED:
            return []
        if self.phase is Phase.LEAVING:
            self.phase = move(self.phase, Move.ANSWERED)
            return [Ended()]
        return [self._fail(Why.CLOSED, "the device closed the connection")]

    def tick(self, now: float) -> list[Event]:
        """Time passed: an answer is overdue, or the session wants to be kept alive."""
        if self.phase is Phase.ENDED:
            return []
        late = [number for number, pending in self._pending.items() if now >= pending.due]
        for number in late:
            pending = self._pending.pop(number)
            if self.phase is Phase.LEAVING:
                self.phase = move(self.phase, Move.ANSWERED)
                return [Ended()]
            if self.phase is not Phase.PLAYING:  # while pictures flow nobody needs the answer to a keep-alive
                return [self._fail(Why.NO_ANSWER, f"no answer to {pending.method}")]
        if self._keepalive_at is not None and now >= self._keepalive_at and self._presentation is not None:
            self._keepalive_at = now + self._keepalive_s
            self._ask("GET_PARAMETER" if "GET_PARAMETER" in self._public else "OPTIONS", self._presentation.url, now)
        return []

    # requests ---------------------------------------------------------------------------------------

    @property
    def _keepalive_s(self) -> float:
        return min(max(self._session.timeout / 2, 1.0), MOST_KEEPALIVE_S)

    def _ask(self, method: str, url: str, now: float, headers: Mapping[str, str] | None = None) -> None:
        self._send(_Pending(method, url, headers or {}, now + self._answer_s))

    def _send(self, pending: _Pending) -> None:
        self._sequence += 1
        items = [("CSeq", str(self._sequence)), ("User-Agent", self._agent)]
        if self._auth is not None and (proof := self._auth.header(pending.method, pending.url)) is not None:
            items.append(("Authorization", proof))
            pending.proofs += 1
        if self._session.id:
            items.append(("Session", self._session.id))
        items += pending.headers.items()
        self._pending[self._sequence] = pending
        self._out += encode_request(Request(pending.method, pending.url, Headers(items)))

    def _next_setup(self, now: float) -> None:
        track, ports = self._session.waiting[0]
        if ports is None:
            low = 2 * len(self._session.tracks)
            wanted = f"RTP/AVP/TCP;unicast;interleaved={low}-{low + 1}"
        else:
            wanted = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]}"
        self._ask("SETUP", track.url, now, {"Transport": wanted})

    def _play(self, now: float) -> None:
        assert self._presentation is not None
        self._ask("PLAY", self._presentation.url, now, {"Range": "npt=0.000-"} if self._range else None)

    # answers ----------------------------------------------------------------------------------------

    def _answered(self, response: Response, now: float) -> list[Event]:
        if response.status < 200 or (pending := self._request_of(response)) is None:
            return []
        self.server = self.server or (response.headers.get("Server") or "")[:80]
        if response.status == 401:
            return self._unauthorized(pending, response, now)
        if response.status in REDIRECTS and self.phase is not Phase.PLAYING and pending.method != "TEARDOWN":
            return self._redirected(response.headers.get("Location"))
        return self._HANDLERS[pending.method](self, pending, response, now)

    def _request_of(self, response: Response) -> _Pending | None:
        text = (response.headers.get("CSeq") or "").strip()
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if number not in self._pending:
            if not self._pending or not self._tolerates(Quirk.NO_CSEQ):
                return None
            number = next(iter(self._pending))
        return self._pending.pop(number)

    def _unauthorized(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        """One try a challenge, and one more where the nonce was only too old: cameras lock accounts after a few."""
        challenge = None if self._auth is None else self._auth.challenged(response.headers.all("WWW-Authenticate"))
        if challenge is None:
            return [self._fail(Why.UNAUTHORIZED, "401")]
        fresh = pending.proofs == 0 or (self.phase is Phase.PLAYING and pending.proofs == 1)
        if not fresh and (not challenge.stale or pending.stale):
            return [self._fail(Why.UNAUTHORIZED, "401")]
        pending.stale = pending.stale or not fresh
        pending.due = now + self._answer_s
        self._send(pending)
        return []

    def _on_options(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        if response.status == 200:
            listed = ",".join(response.headers.all("Public")) + "," + ",".join(response.headers.all("Allow"))
            self._public = frozenset(name.strip().upper() for name in listed.split(",")[:32])
        elif self.phase is Phase.PLAYING:
            return self._kept_alive(response)
        elif not self._tolerates(Quirk.NO_OPTIONS):
            return [self._refused(response)]
        if self.phase is Phase.ASKING:
            self.phase = move(self.phase, Move.ANSWERED)
            self._ask("DESCRIBE", self.url, now, {"Accept": "application/sdp"})
        return []

    def _on_describe(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        if response.status != 200:
            return [self._refused(response)]
        try:
            base = self._base(response.headers)
            self._presentation = presentation(response.body, base, self._note)
        except ValueError as error:  # SdpError is one
            return [self._fail(Why.NOT_DESCRIBED, str(error))]
        self.phase = move(self.phase, Move.ANSWERED)
        return [Described(self._presentation)]

    def _on_setup(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        if response.status == 461:
            return self._transport_refused()
        if response.status != 200:
            return [self._refused(response)]
        track, ports = self._session.waiting.pop(0)
        chosen = next(iter(parse_transports(response.headers.get("Transport") or "")), None)
        if chosen is not None and ports is None and not chosen.tcp and chosen.channels is not None:
            self._note(Quirk.TCP_ON_UDP_LINE)
        elif chosen is None or chosen.tcp is not (ports is None):
            return self._transport_refused()
        if ports is None:
            asked = 2 * len(self._session.tracks)
            channels = chosen.channels or (asked, asked + 1)
            if channels[0] != asked:
                self._note(Quirk.OTHER_CHANNELS)
            chosen = Transport(True, True, channels, ssrc=chosen.ssrc)
            self._decoder.channels |= frozenset(channels) if self._tolerates(Quirk.RESYNC) else frozenset()
        self._take_session(response.headers.get("Session"))
        self._session.tracks.append(SetUp(track, chosen))
        if self._session.waiting:
            self._next_setup(now)
        else:
            self.phase = move(self.phase, Move.ANSWERED)
            self._play(now)
        return []

    def _on_play(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        if response.status in (400, 451, 457, 501, 551) and self._range and self._tolerates(Quirk.NO_RANGE):
            self._range = False
            self._note(Quirk.NO_RANGE)
            self._play(now)
            return []
        if response.status != 200:
            return [self._refused(response)]
        self.phase = move(self.phase, Move.ANSWERED)
        self._keepalive_at = now + self._keepalive_s
        return [Playing(tuple(self._session.tracks))]

    def _on_keepalive(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        return self._kept_alive(response)

    def _on_teardown(self, pending: _Pending, response: Response, now: float) -> list[Event]:
        self.phase = move(self.phase, Move.ANSWERED)
        return [Ended()]

    _HANDLERS: Final[Mapping[str, "Callable[[RtspClient, _Pending, Response, float], list[Event]]"]] = {
        "OPTIONS": _on_options,
        "DESCRIBE": _on_describe,
        "SETUP": _on_setup,
        "PLAY": _on_play,
        "GET_PARAMETER": _on_keepalive,
        "TEARDOWN": _on_teardown,
    }

    def _kept_alive(self, response: Response) -> list[Event]:
        if response.status == 454:
            return [self._fail(Why.SESSION_LOST, "the device has forgotten the session")]
        if response.status >= 400 and "GET_PARAMETER" in self._public:
            self._note(Quirk.NO_GET_PARAMETER)
            self._public -= {"GET_PARAMETER"}
        return []

    def _transport_refused(self) -> list[Event]:
        if self._session.tracks:  # one track came this way and another will not: there is no mixing
            return [self._fail(Why.TRANSPORT, "its tracks want different transports")]
        self.phase = move(self.phase, Move.TRANSPORT_REFUSED)
        return [TransportRefused()]

    def _redirected(self, location: str | None) -> list[Event]:
        if not location:
            return [self._fail(Why.REFUSED, "it redirects to nowhere")]
        self._end()
        return [Redirected(location[:2_000])]

    def _refused(self, response: Response) -> Failed:
        detail = f"the device answers {response.status} {response.reason[:60]}".rstrip()
        if response.status == 404:
            return self._fail(Why.NOT_FOUND, detail)
        return self._fail(Why.UNAUTHORIZED if response.status == 403 else Why.REFUSED, detail)

    # the server's requests --------------------------------------------------------------------------

    def _asked(self, request: Request) -> list[Event]:
        numbered = Headers({"CSeq": (request.headers.get("CSeq") or "0")[:16]})
        known = request.method in KNOWN or request.method in ("REDIRECT", "TEARDOWN")
        status, reason = (200, "OK") if known else (501, "Not Implemented")
        self._out += encode_response(Response(status, reason, numbered))
        if request.method == "REDIRECT":
            return self._redirected(request.headers.get("Location"))
        if request.method == "TEARDOWN":
            return [self._fail(Why.CLOSED, "the device ended the session")]
        return []

    # small things -----------------------------------------------------------------------------------

    def _base(self, headers: Headers) -> str:
        """Content-Base, Content-Location or our own address (RFC 2326 §C.1.1), with our own host. Raises ValueError."""
        for name in ("Content-Base", "Content-Location"):
            if value := headers.get(name):
                return join(self.url, value, self._note) if "://" in value[:8] or value[0] == "/" else self.url
        return self.url

    def _take_session(self, value: str | None) -> None:
        if not value:
            if not self._session.id:
                self._note(Quirk.NO_SESSION)
            return
        id, *parameters = (part.strip() for part in value.split(";"))
        self._session.id = id[:MAX_SESSION]
        for parameter in parameters:
            name, _, text = parameter.partition("=")
            if name.strip().lower() == "timeout" and text.isascii() and text.isdigit() and len(text) < 6:
                self._session.timeout = float(max(2, int(text)))

    def _tolerates(self, quirk: Quirk) -> bool:
        """Whether the policy holds it; it is noted then."""
        if quirk in self._policy:
            if quirk is not Quirk.RESYNC:
                self.noticed.add(quirk)
            return True
        return False

    def _note(self, quirk: Quirk) -> None:
        self.noticed.add(quirk)

    def _fail(self, why: Why, detail: str) -> Failed:
        self._end()
        return Failed(why, detail)

    def _end(self) -> None:
        self.phase = move(self.phase, Move.FAILED)
        self._pending.clear()
        self._keepalive_at = None
