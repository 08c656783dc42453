"""A session that we open at another relay: to watch a stream of its (WHEP), or to publish one of ours there (WHIP).

Each has a socket of its own: the other side tells its sessions apart by where they come from. We control ICE, open
DTLS, and are otherwise what a viewer or a publisher of ours is: the same sessions, histories and reports.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias

import structlog
from aiortc.rtcdtlstransport import RTCCertificate

from hub.domain.clock import Clock
from hub.domain.ids import new_id
from hub.media.peer import udp
from hub.media.peer.counters import Counters, Tally
from hub.media.peer.demux import Demux, Directory
from hub.media.peer.dtls import Dtls
from hub.media.peer.fanout import Fanout
from hub.media.peer.lives import steady
from hub.media.peer.negotiate import MAX_LAYERS, Wanted, outgoing, two_ssrcs
from hub.media.peer.publication import Intake, Listener, Publication
from hub.media.peer.publisher import Publisher, Terms
from hub.media.peer.session import Session, State
from hub.media.peer.viewers import Viewers
from hub.media.rtp.track import Packet, Track
from hub.media.rtp.unit import CLOCK_RATE, KIND_OF, Codec, Kind
from signaling.ice import Credentials
from signaling.ice_dial import IceDialing
from signaling.sdp import Format, SdpError
from signaling.whip import LEVEL, MID, TRANSPORT, Section
from signaling.whip_dial import Asked, Said, read_answer, write_offer

TICK_S: Final = 0.02
HANDSHAKE_S: Final = 5.0
CONSENT_MS: Final = 2_400  # eight checks without an answer: the relay is dead, or the way to it
GOODBYE_S: Final = 1.0

log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other relay said to our offer. ``asks``: it can be asked for key frames."""

    sdp: str
    asks: bool = True


Post: TypeAlias = Callable[[str], Awaitable[Reply]]
"""Takes our offer to the other relay."""


class DialFailed(Exception):
    """There is no session: the answer cannot be used, nobody answers at its addresses, or the handshake fails."""


_TYPES: Final[dict[Codec, tuple[int, int | None]]] = {
    "h264": (96, 97), "vp8": (98, 99), "h265": (100, 101), "opus": (111, None), "pcma": (8, None), "pcmu": (0, None),
}  # fmt: skip
_FMTP: Final[dict[Codec, str]] = {
    "h264": "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    "opus": "minptime=10;useinbandfec=1;stereo=1",
}
_REPLIES: Final = ("nack", "nack pli", "ccm fir", "transport-cc")
_IDS: Final[dict[Kind, dict[str, int]]] = {"video": {MID: 4, TRANSPORT: 3}, "audio": {LEVEL: 1, MID: 4, TRANSPORT: 3}}
_VIDEO: Final[tuple[Codec, ...]] = ("h264", "vp8")
KNOWN: Final[tuple[Codec, ...]] = (*_VIDEO, "h265")  # by every relay: what has to be converted, is where it is watched
_AUDIO: Final[tuple[Codec, ...]] = ("opus", "pcma", "pcmu")


def _formats(codec: Codec) -> list[Format]:
    """A codec and what repeats it, by payload types of ours."""
    pt, rtx = _TYPES[codec]
    rate, channels = CLOCK_RATE[codec], 2 if codec == "opus" else 1
    found = [Format(pt, codec, rate, channels, _FMTP.get(codec, ""), _REPLIES)]
    return found if rtx is None else [*found, Format(rtx, "rtx", rate, 1, f"apt={pt}", ())]


def to_watch() -> list[Asked]:
    """Sections for everything that a stream of ours may hold, further layers of its video last."""
    more = [_received("video", _VIDEO)] * (MAX_LAYERS - 1)
    return [_received("video", KNOWN), _received("audio", _AUDIO), *more]


def _received(kind: Kind, codecs: Sequence[Codec]) -> Asked:
    return Asked(kind, "recvonly", [format for codec in codecs for format in _formats(codec)], _IDS[kind])


@dataclass(frozen=True, slots=True)
class Part:
    """A track that we publish: on a section of its own, under SSRCs of its own where it is one of several layers."""

    track: Track  # the first layer
    layer: int | None = None
    ssrcs: tuple[int, int] | None = None
    of: Publication | None = None  # where it is of another rendition


def parts_of(stream: Publication, whole: Publication | None = None) -> list[Part]:
    """Everything that the stream holds, further layers of its video last.

    Of original pictures ``whole`` has the further layers.
    """
    found, more = [], []
    for kind, track in stream.tracks.items():
        layers = (whole or stream).layers(kind)[:MAX_LAYERS]
        if len(layers) < 2:
            found.append(Part(track))
            continue
        found.append(Part(track, 0, two_ssrcs()))
        more += [Part(layers[0], each.layer, two_ssrcs(), whole) for each in layers[1:]]
    return [*found, *more]


def outline(parts: Sequence[Part]) -> list[tuple[Track, int | None]]:
    """What two lists of parts have to agree in to be the same."""
    return [(part.track, part.layer) for part in parts]


def to_publish(parts: Sequence[Part]) -> list[Asked]:
    """A section for each."""
    asked = []
    for track, ssrcs in ((part.track, part.ssrcs or (part.track.ssrc, part.track.rtx_ssrc)) for part in parts):
        repair = ssrcs[1] if track.kind == "video" else None
        asked.append(Asked(track.kind, "sendonly", _formats(track.codec), _IDS[track.kind], ssrcs[0], repair))
    return asked


def terms_of(said: Said) -> Terms:
    """What the other side sends us. Raises DialFailed when that is nothing we know."""
    codecs: dict[int, Codec] = {}
    repairs: dict[int, int] = {}
    pairs: dict[int, int] = {}
    ids: dict[str, int] = {}
    layers: dict[int, int] = {}
    count = 0
    for section in said.sections:
        if not section.usable or section.direction != "sendonly":
            continue
        if section.kind == "video":
            layers |= {ssrc: count for pair in section.repairs.items() for ssrc in pair}
            count += 1
        for format in section.formats:
            codec = next((codec for codec, types in _TYPES.items() if types[0] == format.payload_type), None)
            if codec is None or codec != format.encoding:
                continue
            codecs[format.payload_type] = codec
            if (rtx := section.rtx(format)) is not None:
                repairs[rtx] = format.payload_type
        pairs |= section.repairs
        ids |= {name: id for name, id in section.extensions.items() if name in _IDS["audio"]}
    if not codecs:
        raise DialFailed("the answer sends nothing that we know")
    return Terms(
        codecs, repairs, pairs, transport=ids.get(TRANSPORT, 0), level=ids.get(LEVEL, 0),
        layers=layers if count > 1 else {},
    )  # fmt: skip


class Dialed:
    """One such session; ``watching`` and ``publishing`` make it. ``failed`` waits for its end."""

    def __init__(
        self, stream: Publication, said: Said, near: str, local: Credentials, clock: Clock, tally: Tally | None = None
    ) -> None:
        """``near`` is a further address to try, with the answer's port: that of the other relay's internal HTTP.

        Raises DialFailed.
        """
        self._clock = clock
        self.sends: Sequence[Part] = ()  # what was offered, where we publish
        self.totals = Counters()
        self._tally = tally or Tally()
        self._sock = _bind()
        fd = self._sock.fileno()
        remote = Credentials(said.ufrag, said.pwd)
        ice = IceDialing.to(local, remote, _targets(said, near, self._sock.family), clock())
        if not ice.targets:
            self._sock.close()
            raise DialFailed("no address of the answer can be reached from here")
        self.ice = ice
        self._directory = Directory()
        self._demux = Demux(fd, self._directory, self.totals, clock)
        self._fanout = Fanout(fd, self.totals)
        self._viewers: dict[Track, tuple[Publication, Viewers, Listener]] = {}
        self._stream = stream
        self.session = Session(
            new_id("leg", now_ms=clock()), stream, owner="", label="", ice=ice,
            dtls=Dtls(_certificate(), self._send, active=True), fingerprints=said.fingerprints, clock=clock,
            counters=self.totals, on_end=None,
        )  # fmt: skip
        self.session.early = []
        self._directory.add(self.session)
        for path in ice.targets:
            self._directory.paths[path] = self.session

    def _send(self, data: bytes) -> None:
        if self.ice.selected is not None and udp.send(self._sock.fileno(), data, self.ice.selected):
            self.totals.send_errors += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect and stay connected within the block. Raises DialFailed."""
        loop, session = asyncio.get_running_loop(), self.session
        live = asyncio.Event()
        self._tally.begin(self.totals)

        def on_live(_: Session) -> None:
            self._attach()
            self._demux.replay(session)
            live.set()

        loop.add_reader(self._sock, self._demux.readable)
        life = asyncio.create_task(session.run(HANDSHAKE_S, on_live), name=f"{session.id}/life")
        ticks = asyncio.create_task(self._tick(), name=f"{session.id}/tick")
        waiting = asyncio.create_task(live.wait(), name=f"{session.id}/live")
        try:
            await asyncio.wait((life, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not live.is_set():
                raise DialFailed(f"no session came about: {session.reason}")
            yield
        finally:
            session.finish("left")
            for task in (waiting, ticks):
                task.cancel()
            await asyncio.gather(life, waiting, ticks, return_exceptions=True)
            await self._close()
            self._tally.end(self.totals)

    def _attach(self) -> None:
        """A publisher's tracks begin to flow."""
        session, path = self.session, self.ice.selected
        assert path is not None  # DTLS ran over it
        later = asyncio.get_running_loop().call_later
        for wanted in session.wanted:
            stream = wanted.of or self._stream
            if wanted.track not in self._viewers:
                made = Viewers(
                    stream.layers(wanted.kind), self._fanout, self.totals, later=later, ask=stream.request_keyframe
                )
                listener = _listener(stream, wanted.track, made)
                self._viewers[wanted.track] = stream, made, listener
                stream.listen(wanted.kind, listener)
            viewers = self._viewers[wanted.track][1]
            idle = bool(wanted.layer) and not session.wants_low
            session.attach(stream, wanted, viewers, path, paused=idle, ssrcs=wanted.ssrcs, layer=wanted.layer)

    async def _close(self) -> None:
        for track, (stream, _, listener) in self._viewers.items():
            stream.unlisten(track.kind, listener)
            stream.prefer(self.session.id, low=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self.session.close()
        self._directory.remove(self.session)
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    async def _tick(self) -> None:
        """Checks, reports, NACKs and consent."""
        session = self.session
        while not session.finished.is_set():
            now = self._clock()
            for path, data in self.ice.checks(now):
                if udp.send(self._sock.fileno(), data, path):
                    self.totals.send_errors += 1
            try:
                session.tick(now)
            except Exception:
                self.totals.internal_errors += 1
                log.exception("leg.tick", session=session.id)
            if session.state is State.LIVE and now - self.ice.heard_at > CONSENT_MS:
                session.finish("consent.lost")
            await asyncio.sleep(TICK_S)


@contextlib.asynccontextmanager
async def watching(
    stream: Publication,
    post: Post,
    *,
    near: str,
    clock: Clock,
    on_changed: Callable[[], None] = lambda: None,
    tally: Tally | None = None,
    into: Intake | None = None,
) -> AsyncIterator[Dialed]:
    """Watch the other relay's stream; what it sends is published on ``stream`` under its own numbers and times.

    ``into`` takes the packets in place of the stream.
    ``on_changed`` is called when the codecs are others than the stream had: its viewers have to come again.
    What it counts goes into ``tally``, too. Raises DialFailed, and what ``post`` raises.
    """
    clock = steady(clock)
    local, reply, said = await _agree(to_watch(), post, stream.id)
    terms = terms_of(said)
    dialed = Dialed(stream, said, near, local, clock, tally)
    layers = max(terms.layers.values(), default=0) + 1
    ssrc = secrets.randbelow(0xFFFFFFFE) + 1
    publisher = Publisher(into or stream, terms, ssrc, dialed.totals, lambda: None, reply.asks)
    dialed.session.publisher = publisher
    codecs = list(terms.codecs.values())
    if (into or stream).publisher(codecs, publisher.request_keyframe, layers, asks=reply.asks):
        on_changed()
    try:
        async with dialed.running():
            yield dialed
    finally:
        publisher.leave()


@contextlib.asynccontextmanager
async def publishing(
    stream: Publication,
    post: Post,
    *,
    near: str,
    clock: Clock,
    low: bool = False,
    tally: Tally | None = None,
    whole: Publication | None = None,
) -> AsyncIterator[Dialed]:
    """Publish a stream of ours at the other relay, every layer by a section of its own.

    Those after the first flow at once (``low``), or when the other relay says that it has a use for them. Where the
    stream is original pictures, ``whole`` is that with the further layers.
    Raises DialFailed, and what ``post`` raises.
    """
    clock = steady(clock)
    parts = parts_of(stream, whole)
    if not parts:
        raise DialFailed("there is nothing to publish yet")
    local, _, said = await _agree(to_publish(parts), post, stream.id)
    wanted = [
        found
        for section in said.sections
        if section.usable and section.direction == "recvonly" and section.index < len(parts)
        if (found := _sent(section, parts[section.index])) is not None
    ]
    if not wanted:
        raise DialFailed("the answer takes nothing of the stream")
    dialed = Dialed(stream, said, near, local, clock, tally)
    dialed.sends = parts
    dialed.session.wanted, dialed.session.wants_low = wanted, low
    async with dialed.running():
        yield dialed


async def _agree(asked: Sequence[Asked], post: Post, name: str) -> tuple[Credentials, Reply, Said]:
    local = Credentials.random()
    print_ = next(f for f in _certificate().getFingerprints() if f.algorithm == "sha-256")
    offer = write_offer(
        local.ufrag, local.pwd, (print_.algorithm, print_.value), secrets.randbits(62), asked, name=name
    )
    reply = await post(offer)
    try:
        return local, reply, read_answer(reply.sdp)
    except (SdpError, ValueError, IndexError) as error:
        raise DialFailed(f"the answer cannot be used: {error}"[:200]) from None


def _listener(stream: Publication, track: Track, viewers: Viewers) -> Listener:
    """What is called with the packets of a track, and not with those of another sound under its own numbers."""

    def heard(packets: Sequence[Packet]) -> None:
        if stream.tracks.get("audio") is track:
            viewers.packets(packets)

    return viewers.packets if track.kind == "video" else heard


def _sent(section: Section, part: Part) -> Wanted | None:
    """How a track of ours leaves by an accepted section; ``None`` when its codec was not taken."""
    if (format := section.choose(part.track.codec)) is None:
        return None
    wanted = outgoing(section, format, KIND_OF[part.track.codec], part.track)[0]
    return replace(wanted, layer=part.layer, ssrcs=part.ssrcs, of=part.of)


def _targets(said: Said, near: str, family: int) -> list[bytes]:
    """Addresses to try: where its internal HTTP answers first, then what it announces to everybody."""
    found: list[bytes] = []
    for address, port in ((near, said.candidates[0][1]), *said.candidates):
        with contextlib.suppress(ValueError):
            found.append(udp.path_of(address, port, family))
    return list(dict.fromkeys(found))


def _bind() -> socket.socket:
    """A socket of ours, for both families where the machine has both. Raises DialFailed."""
    for host in ("::", "0.0.0.0"):  # noqa: S104 - which interface leads there only the kernel knows
        with contextlib.suppress(OSError):
            return udp.bind(host, 0)
    raise DialFailed("this machine gives no UDP socket")


@cache
def _certificate() -> RTCCertificate:
    """One for all legs of this process."""
    return RTCCertificate.generateCertificate()
