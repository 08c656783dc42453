"""One UDP socket for every viewer and publisher: WHEP out, WHIP in."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import structlog

from hub.domain.clock import Clock, system_clock
from hub.domain.errors import Conflict, Invalid, NotFound, Outdated, TooMany
from hub.domain.ids import new_id
from hub.media.peer import negotiate, selftest, tcp
from hub.media.peer.counters import Counters
from hub.media.peer.demux import Demux, Directory
from hub.media.peer.dtls import Certificate, Dtls
from hub.media.peer.fanout_native import choose as choose_fanout
from hub.media.peer.places import Announce, Ports
from hub.media.peer.publication import Listener, Publication
from hub.media.peer.publisher import Publisher, Terms
from hub.media.peer.session import Session, State
from hub.media.peer.subscriber import Offered, Subscriber, TrackState, Wish
from hub.media.peer.viewers import Viewers
from hub.media.rtp.track import Packet, Track
from signaling.ice import Credentials, IceLite
from signaling.whip import ANY_TAG, Local, Offer, tag_matches, write_answer, write_fragment
from signaling.whip import Track as AnswerTrack

TICK_S: Final = 0.05
CALM_TICK_S: Final = 0.25  # while nobody publishes, probes or shakes hands: waking up costs more than looking
GOODBYE_S: Final = 2.0
COME_AGAIN: Final = frozenset({"codec.changed", "transcode.full"})
SHAKE: Final = 3  # as long as for a path: by the standard's timer a lost flight comes again after 1, 3, 7 and 15 s

log = structlog.get_logger(__name__)


def steady(clock: Clock) -> Clock:
    """A clock that begins with ``clock`` and never jumps: setting the machine's time must not end sessions."""
    ahead = clock() - time.monotonic_ns() // 1_000_000
    return lambda: time.monotonic_ns() // 1_000_000 + ahead


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client: the SDP answer, and the session's id for DELETE."""

    sdp: str
    session_id: str


class PeerServer:
    """Everybody's media over one port (ICE-lite, DTLS passive, SRTP).

    ``server = await PeerServer.open("0.0.0.0", 0, announce=["203.0.113.7"])``, and ``await server.close()``.
    """

    def __init__(
        self,
        ports: Ports,
        announce: Announce,
        clock: Clock,
        max_sessions: int,
        handshake_s: float,
        consent_s: float,
        fanout: str,
    ) -> None:
        self.port = ports.number
        self._ports = ports
        self._sock = ports.udp
        self._fd: int = ports.udp.fileno()
        self._announce = announce
        self._clock = clock = steady(clock)
        self._max_sessions = max_sessions
        self._handshake_s = handshake_s
        self._consent_ms = int(consent_s * 1000)
        self._totals = Counters()
        self._fanout = choose_fanout(fanout, self._fd, self._totals)
        self._certificate = Certificate.generateCertificate()
        self._print = next(f for f in self._certificate.getFingerprints() if f.algorithm == "sha-256")
        self._directory = Directory()
        self._sessions = self._directory.sessions
        self._demux = Demux(self._fd, self._directory, self._totals, clock)
        self._lines = tcp.Lines(self._demux.line, self._demux.lost, self._totals)
        self._viewers: dict[Track, tuple[Publication, Viewers, Listener]] = {}
        self._endings: dict[str, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._group = asyncio.TaskGroup()
        self._closing = asyncio.Event()
        self._came = asyncio.Event()  # a session began
        self._runner: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        announce: Sequence[str],
        zones: Mapping[str, Sequence[str]] | None = None,
        over_tcp: bool = True,
        clock: Clock = system_clock,
        max_sessions: int = 512,
        handshake_s: float = 10.0,
        consent_s: float = 30.0,
        fanout: str = "",
    ) -> Self:
        """Bind and start. ``announce`` are the addresses put into answers (a wildcard: this machine's own).

        ``zones`` are those for the clients of one network zone each, beside ``announce``. ``over_tcp``: on the same
        port number by TCP as well. ``fanout`` is "native" or "python"; empty: the native half where it is built.

        Raises OSError when the port is taken, RuntimeError when a library is not the version it should be, or the
        native half was asked for and is not built.
        """
        selftest.check()
        known = Announce.of(announce or ([] if zones else [host]), zones or {})
        ports = Ports.open(host, port, over_tcp=over_tcp)
        try:
            server = cls(ports, known, clock, max_sessions, handshake_s, consent_s, fanout)
        except BaseException:
            ports.close()
            raise
        ready = asyncio.Event()
        server._runner = asyncio.create_task(server._run(ready), name="peers")
        await ready.wait()
        return server

    @property
    def fanout(self) -> str:
        """Which half of the fan-out sends: "native" or "python"."""
        return self._fanout.half

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start by name, and ``sessions`` as of now."""
        return self._totals.as_dict() | {"sessions": len(self._sessions)}

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions that run: ``id``, ``owner``, ``label``, ``stream_id``, ``publishes``, ``state``."""
        return tuple(self._sessions.values())

    # joining -----------------------------------------------------------------------------------------

    async def whep(
        self,
        stream: Publication,
        offer_sdp: str,
        *,
        owner: str,
        label: str = "",
        width: int | None = None,
        zone: str = "",
        on_end: Callable[[str, str], None] | None = None,
        each_layer: bool = False,
        low: bool = False,
    ) -> Answer:
        """Let a viewer in. Counts as a subscriber from now on, so a pull source opens while ICE and DTLS run.

        ``width`` is that of its tile in pixels, for the choice of a layer; ``want`` changes it. ``zone`` is the network
        that the client sits in: it is told the addresses of that zone, or all of them when it is empty or not known.
        ``each_layer``: it is a relay, and gets every layer by a section of its own; those after the first at
        once (``low``), or when it says that it has a use for them.

        ``on_end(session_id, reason)`` is called once. Raises Invalid ``sdp.invalid`` or ``sdp.no_codec``,
        TooMany ``relay.full``, Conflict ``stream.not_live`` when nothing is or will be published.
        """
        with self._refusing():
            offer = self._admit(offer_sdp)
            stream = stream.rendition(negotiate.decodes(offer))
            chosen = negotiate.for_viewer(offer, stream, each_layer=each_layer)
        session = self._session(stream, offer.ufrag, offer.fingerprints, owner, label, on_end)
        session.wanted = [wanted for wanted, _ in chosen.values()]
        session.width = width
        session.wants_low = low
        session.zone = zone
        answer = self._answer(session, offer, {index: track for index, (_, track) in chosen.items()})
        stream.hold(session.id)
        self._start(session)
        return answer

    async def whip(
        self,
        stream: Publication,
        offer_sdp: str,
        *,
        owner: str,
        label: str = "",
        zone: str = "",
        on_media: Callable[[str], None] | None = None,
        on_end: Callable[[str, str], None] | None = None,
        asks: bool = True,
        each_layer: bool = False,
    ) -> Answer:
        """Let a publisher in; a session that published this stream before ends with ``replaced``.

        ``asks`` is false for a relay that passes on a camera: it has no key frame but the next. ``each_layer``: it is
        a relay, and sends every layer by a section of its own.

        ``on_media(session_id)`` is called at the first RTP packet. Raises as ``whep`` does.
        """
        with self._refusing():
            offer = self._admit(offer_sdp)
            terms, tracks = negotiate.for_publisher(offer, each_layer=each_layer)
        if stream.ended:
            raise Conflict("stream.not_live", "this stream has ended")
        session = self._session(stream, offer.ufrag, offer.fingerprints, owner, label, on_end)
        session.zone = zone
        ssrc = secrets.randbelow(0xFFFFFFFE) + 1
        started = (lambda: on_media(session.id)) if on_media is not None else (lambda: None)
        session.publisher = Publisher(stream, terms, ssrc, self._totals, started, asks)
        answer = self._answer(session, offer, tracks)
        self._take_over(session, stream, session.publisher, terms, asks=asks)
        self._start(session)
        return answer

    def subscribe(
        self,
        *,
        owner: str,
        label: str = "",
        zone: str = "",
        on_change: Callable[[str], None] | None = None,
        on_end: Callable[[str, str], None] | None = None,
    ) -> str:
        """Let a subscriber to any number of streams in; the session's id. It says by ``want`` what it wants.

        ``on_change(session_id)`` is called when a track came, went or changed without its asking: an offer may be due.
        Raises TooMany ``relay.full``.
        """
        self._need_room()
        session = self._session(None, "", (), owner, label, on_end)
        session.zone = zone
        changed = (lambda: on_change(session.id)) if on_change is not None else (lambda: None)
        session.subscriber = Subscriber(
            session, viewers_of=self._viewers_of, local=lambda own: self._local(session, own),
            accepted=lambda: self._directory.reach(session), restarted=lambda: self._restarted(session),
            sweep=self._sweep, on_change=changed, now=self._clock,
        )  # fmt: skip
        self._directory.sessions[session.id] = session
        self._start(session)
        return session.id

    def wish(self, session_id: str, wishes: Sequence[Wish], *, again: bool = False) -> Offered | None:
        """A subscriber wants these streams and no others; the offer that it must answer now, if there is one.

        ``again``: the offer that waits for its answer has been lost.
        Raises NotFound ``session.unknown``, TooMany ``media.too_many_tracks``.
        """
        subscriber = self._subscriber(session_id)
        subscriber.want(wishes)
        if again:
            subscriber.again()
        return subscriber.offer()

    def answer(self, session_id: str, revision: int, sdp: str) -> Offered | None:
        """A subscriber's answer; the next offer, if there is one.

        Raises NotFound ``session.unknown``, Conflict ``media.revision``, Invalid ``sdp.invalid``.
        """
        subscriber = self._subscriber(session_id)
        with self._refusing():
            subscriber.answer(revision, sdp)
        return subscriber.offer()

    def restart(self, session_id: str) -> Offered | None:
        """A subscriber has lost its path, or our last offer: it gets one that begins ICE anew. Raises NotFound."""
        subscriber = self._subscriber(session_id)
        subscriber.restart()
        return subscriber.offer()

    def drop(self, session_id: str, stream: str) -> None:
        """Take one stream of a subscriber away, at once. Raises NotFound ``session.unknown``."""
        self._subscriber(session_id).drop(stream)

    def track_states(self, session_id: str) -> dict[str, TrackState]:
        """State by stream of a subscriber. Raises NotFound ``session.unknown``."""
        return self._subscriber(session_id).states()

    def track_layers(self, session_id: str) -> dict[str, tuple[int, int]]:
        """Which layer of how many a subscriber gets, by stream. Raises NotFound ``session.unknown``."""
        return self._subscriber(session_id).layers()

    def _subscriber(self, session_id: str) -> Subscriber:
        session = self._sessions.get(session_id)
        if session is None or session.subscriber is None:
            raise NotFound("session.unknown", "there is no such session")
        return session.subscriber

    def _restarted(self, session: Session) -> None:
        self._directory.restarted(session)
        self._totals.ice_restarts += 1

    def _need_room(self) -> None:
        if len(self._sessions) >= self._max_sessions or self._closing.is_set():
            self._totals.sessions_refused += 1
            raise TooMany("relay.full", "this relay serves as many sessions as it may")

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Count a description that cannot be used."""
        try:
            yield
        except Invalid:
            self._totals.sdp_refused += 1
            raise

    def _admit(self, offer_sdp: str) -> Offer:
        self._need_room()
        return negotiate.offer_of(offer_sdp)

    def _take_over(
        self, session: Session, stream: Publication, publisher: Publisher, terms: Terms, *, asks: bool
    ) -> None:
        """End who published before; viewers stay unless the codec changed."""
        for other in self._sessions.values():
            if other is not session and other.stream is stream and other.publisher is not None:
                other.publisher.retired = True
                other.finish("replaced")
        layers = max(1, len(terms.rids), max(terms.layers.values(), default=0) + 1)
        if stream.publisher(list(terms.codecs.values()), publisher.request_keyframe, layers, asks=asks):
            self.call_again(stream)

    def look_again(self, stream_id: str) -> None:
        """It became known what a stream carries, or that is another thing than before.

        Subscribers are offered it, viewers whose track is another one now have to come again.
        """
        for session in tuple(self._sessions.values()):
            if session.subscriber is not None:
                session.subscriber.learned(stream_id)
            elif session.stream_id == stream_id and session.stale:
                session.turn_away("codec.changed")

    def call_again(self, stream: Publication) -> None:
        """The codec of a stream changed: its viewers have to come again, subscribers are offered its new tracks."""
        for other in tuple(self._sessions.values()):
            if other.stream is stream and other.publisher is None:
                other.finish("codec.changed")
            elif other.subscriber is not None:
                other.subscriber.look()

    def _session(
        self,
        stream: Publication | None,
        ufrag: str,
        fingerprints: tuple[tuple[str, str], ...],
        owner: str,
        label: str,
        on_end: Callable[[str, str], None] | None,
    ) -> Session:
        ice = IceLite(Credentials.random(), ufrag, self._clock())
        session: Session
        dtls = Dtls(self._certificate, lambda data: self._send(session, data))
        session = Session(
            new_id("ses", now_ms=self._clock()), stream, owner=owner, label=label, ice=ice, dtls=dtls,
            fingerprints=fingerprints, clock=self._clock, counters=self._totals, on_end=on_end,
        )  # fmt: skip
        return session

    def _local(self, session: Session, local: Credentials | None = None) -> Local:
        local = local or session.ice.local
        return Local(
            session=secrets.randbits(62), ufrag=local.ufrag, pwd=local.pwd,
            fingerprint=(self._print.algorithm, self._print.value), port=self.port,
            addresses=self._announce.to(session.zone), tcp=self._ports.tcp is not None,
            cname=session.stream_id or session.id, stream=session.stream_id,
        )  # fmt: skip

    def _answer(self, session: Session, offer: Offer, tracks: dict[int, AnswerTrack]) -> Answer:
        session.mid = next((s.mid for s in offer.sections if s.index in tracks), "")
        return Answer(write_answer(offer, self._local(session), tracks), session.id)

    def patch(self, session_id: str, fragment: str, *, match: str = ANY_TAG) -> str:
        """Take a trickled fragment (RFC 8840): our fragment when it restarts ICE, empty when there is nothing to say.

        ``match`` names the ICE session that is meant, as If-Match does: what was gathered before a restart must not
        end up in what came after it, or begin ICE once more (RFC 9725 §4.3.1).
        Raises Invalid ``sdp.invalid``, NotFound ``session.unknown``, Outdated ``media.outdated``.
        """
        if (session := self._sessions.get(session_id)) is None or session.subscriber is not None:
            raise NotFound("session.unknown", "there is no such session")
        with self._refusing():
            ufrag = negotiate.fragment_of(fragment)
        if not tag_matches(match, session.ice.local.ufrag):
            raise Outdated("media.outdated", "ICE has begun anew since: this is not its entity tag")
        if ufrag is None or ufrag == session.ice.remote_ufrag:
            return ""
        session.ice.restart(ufrag)
        self._restarted(session)
        return write_fragment(self._local(session), session.mid)

    def _start(self, session: Session) -> None:
        self._totals.sessions_opened += 1
        self._came.set()
        if session.stream is not None:
            self._directory.add(session)

            def ended() -> None:
                reason = session.stream.ending if session.stream is not None else "stream.ended"
                if reason in COME_AGAIN:
                    session.turn_away(reason)
                else:
                    session.finish(reason)

            self._endings[session.id] = ended
            session.stream.on_end(ended)
        self._group.create_task(self._live_and_die(session), name=f"peer/{session.id}")

    # the life of a session ---------------------------------------------------------------------------

    async def _live_and_die(self, session: Session) -> None:
        try:
            await session.run(self._handshake_s, self._on_live, shake_s=SHAKE * self._handshake_s)
        finally:
            try:
                await self._remove(session)
            except Exception:  # a caller's callback must not take the other sessions along
                self._totals.internal_errors += 1
                log.exception("peer.remove", session=session.id)
            log.info("peer.ended", session=session.id, stream=session.stream_id, reason=session.reason)

    def _on_live(self, session: Session) -> None:
        """Keys are there: a viewer joins its tracks."""
        path = session.ice.selected
        if path is None:
            session.finish("ice.timeout")
            return
        if session.subscriber is not None:
            session.subscriber.live()
            return
        if session.turned_away or session.stale:
            session.finish(session.turned_away or "codec.changed")
            return
        for wanted in session.wanted:
            stream = session.stream
            if stream is None or wanted.kind not in stream.tracks:
                continue  # sound that ceased meanwhile
            viewers = self._viewers_of(stream, wanted.track)
            idle = session.paused or (bool(wanted.layer) and not session.wants_low)
            session.attach(
                stream, wanted, viewers, path,
                width=session.width, paused=idle, ssrcs=wanted.ssrcs, layer=wanted.layer,
            )  # fmt: skip

    def _viewers_of(self, stream: Publication, track: Track) -> Viewers:
        if (found := self._viewers.get(track)) is not None:
            return found[1]
        viewers = Viewers(
            stream.layers(track.kind), self._fanout, self._totals,
            later=self._loop.call_later, ask=stream.request_keyframe, now=lambda: stream.layers(track.kind),
        )  # fmt: skip

        def heard(packets: Sequence[Packet]) -> None:
            if stream.tracks.get("audio") is track:  # not what another sound has under its own numbers
                viewers.packets(packets)

        listener = viewers.packets if track.kind == "video" else heard
        self._viewers[track] = (stream, viewers, listener)
        stream.listen(track.kind, listener)
        return viewers

    async def _remove(self, session: Session) -> None:
        """Take a session off every table, then say goodbye."""
        self._directory.remove(session)
        stream = session.stream
        if stream is not None:
            stream.forget_end(self._endings.pop(session.id))
        if session.publisher is not None and stream is not None:
            session.publisher.retired = True
            stream.unpublish(session.publisher.request_keyframe)
        await session.close()
        for path in session.ice.paths:
            if isinstance(path, tcp.Line):
                path.hang_up()
        if session.subscriber is not None:
            session.subscriber.close()
        self._sweep()
        if stream is not None:
            stream.release(session.id)
        session.tell_end()

    def _sweep(self) -> None:
        """Forget tracks that nobody views any more."""
        for track, (stream, viewers, listener) in list(self._viewers.items()):
            if not viewers:
                stream.unlisten(track.kind, listener)
                del self._viewers[track]

    # what a viewer's tile wants ----------------------------------------------------------------------

    def want(self, session_id: str, width: int | None) -> bool:
        """A viewer's tile is so many pixels wide (``None``: as large as can be). False when it is unknown."""
        if (session := self._sessions.get(session_id)) is None:
            return False
        session.width = width
        for seat in session.seats.values():
            seat.width = width
        session.steer(self._clock())
        return True

    def pause(self, session_id: str) -> bool:
        """Nobody looks at a viewer's tile: its video costs nothing until ``resume``. False when it is unknown."""
        return self._look(session_id, paused=True)

    def resume(self, session_id: str) -> bool:
        """Somebody looks again; begins with a key frame. False when it is unknown."""
        return self._look(session_id, paused=False)

    def _look(self, session_id: str, *, paused: bool) -> bool:
        if (session := self._sessions.get(session_id)) is None:
            return False
        session.look(paused=paused, now_ms=self._clock())
        return True

    async def end(self, session_id: str, reason: str) -> bool:
        """End one session (RTCP BYE, DTLS close_notify). False when it is unknown."""
        session = self._sessions.get(session_id)
        if session is None:
            return False
        session.finish(reason)
        await self._goodbye([session])
        return True

    async def end_owner(self, owner: str, reason: str = "withdrawn") -> int:
        """End every session of a person; returns how many there were."""
        theirs = [session for session in self._sessions.values() if session.owner == owner]
        for session in theirs:
            session.finish(reason)
        await self._goodbye(theirs)
        return len(theirs)

    async def _goodbye(self, sessions: Sequence[Session]) -> None:
        try:
            async with asyncio.timeout(GOODBYE_S):
                for session in sessions:
                    await session.gone.wait()
        except TimeoutError:
            log.warning("peer.slow_goodbye", sessions=len(sessions))

    async def close(self) -> None:
        """End everything and give the port back. May be called twice."""
        self._closing.set()
        self._came.set()
        for session in self._sessions.values():
            session.finish("relay.closing")
        if self._runner is not None:
            await self._runner

    async def _run(self, ready: asyncio.Event) -> None:
        """Own every task of this server until it closes."""
        self._loop.add_reader(self._fd, self._demux.readable)
        try:
            if self._ports.tcp is not None:
                await self._lines.listen(self._ports.tcp)
            async with self._group:
                self._group.create_task(self._tick(), name="peer/tick")
                ready.set()
                await self._closing.wait()
        finally:
            self._loop.remove_reader(self._fd)
            self._sock.close()
            await self._lines.close()

    async def _tick(self) -> None:
        """Reports, NACKs and consent, until the server closes."""
        busy = True
        while not self._closing.is_set():
            await self._pause(busy)
            now, busy = self._clock(), False
            for session in tuple(self._sessions.values()):
                try:
                    busy = session.tick(now) or busy
                    if session.subscriber is not None:
                        session.subscriber.tick(now)
                except Exception:
                    self._totals.internal_errors += 1
                    log.exception("peer.tick", session=session.id)
                if session.state is State.LIVE and now - session.ice.heard_at > self._consent_ms:
                    session.finish("consent.lost")

    async def _pause(self, busy: bool) -> None:
        """Until the next tick; somebody who comes does not wait for a calm one."""
        if busy:
            await asyncio.sleep(TICK_S)
            return
        self._came.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALM_TICK_S):
                await self._came.wait()

    def _send(self, session: Session, data: bytes) -> None:
        path = session.ice.selected
        if path is not None and self._sock.fileno() >= 0 and tcp.send(self._fd, data, path):
            self._totals.send_errors += 1
