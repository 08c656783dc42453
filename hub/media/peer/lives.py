"""The life of every session of one port: it begins, is found by its packets, ticks, ends and leaves nothing."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

import structlog

from hub.domain.clock import Clock, system_clock
from hub.domain.ids import new_id
from hub.media.peer import selftest, tcp
from hub.media.peer.counters import Counters
from hub.media.peer.demux import Demux, Directory
from hub.media.peer.dtls import Certificate, Dtls
from hub.media.peer.fanout_native import choose as choose_fanout
from hub.media.peer.places import Announce, Ports
from hub.media.peer.publication import Listener, Publication
from hub.media.peer.session import Session, State
from hub.media.peer.viewers import Viewers
from hub.media.rtp.track import Packet, Track
from signaling.ice import Credentials, IceLite

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


class Lives:
    """All sessions of one port, and the tasks that own them. ``hub.media.peer.server`` has the doors."""

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

    # a session begins --------------------------------------------------------------------------------

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

    # its stream is another one now -------------------------------------------------------------------

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
                other.turn_away("codec.changed")
            elif other.subscriber is not None:
                other.subscriber.look()

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
            stream = wanted.of or session.stream
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
            session.publisher.leave()
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

    # the end -----------------------------------------------------------------------------------------

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
