"""From datagrams to sessions: what arrives is sorted by its first byte and by where it comes from."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from hub.domain.clock import Clock
from hub.media.peer import tcp, udp
from hub.media.peer.counters import Counters
from hub.media.peer.intake import PUBLISHED, VIEWED
from hub.media.peer.publisher import Publisher
from hub.media.peer.session import Session, State
from hub.media.rtp.packet import WireError, parse_rtp
from signaling.ice import BINDING_REQUEST, BINDING_SUCCESS, StunError, StunMessage, parse_stun
from signaling.ice_dial import IceDialing

TURNS: Final = 8  # batches read in one go, so that the loop gets its turn
LONG_US: Final = 5_000
EARLY: Final = 512  # packets kept while the last flight of a handshake of ours is worked off

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Directory:
    """The sessions of one server by id, by our ICE fragment, and by remote address."""

    sessions: dict[str, Session] = field(default_factory=dict)
    fragments: dict[str, Session] = field(default_factory=dict)
    paths: dict[bytes, Session] = field(default_factory=dict)

    def add(self, session: Session) -> None:
        """It is known, and its checks are answered."""
        self.sessions[session.id] = session
        self.reach(session)

    def reach(self, session: Session) -> None:
        """Answer its checks from now on."""
        self.fragments[session.ice.local.ufrag] = session

    def restarted(self, session: Session) -> None:
        """Its ICE credentials are new; checks with the former ones are still answered, those before them no more."""
        keep = [session.ice.local.ufrag, *([session.ice.before[0].ufrag] if session.ice.before else [])]
        for ufrag in [ufrag for ufrag, other in self.fragments.items() if other is session and ufrag not in keep]:
            del self.fragments[ufrag]
        self.fragments[session.ice.local.ufrag] = session

    def remove(self, session: Session) -> None:
        """From now on nothing reaches it."""
        self.sessions.pop(session.id, None)
        for ufrag in [ufrag for ufrag, other in self.fragments.items() if other is session]:
            del self.fragments[ufrag]
        for path in [path for path, other in self.paths.items() if other is session]:
            del self.paths[path]


class Demux:
    """Reads the socket. ``readable`` is for ``loop.add_reader``."""

    def __init__(self, fd: int, directory: Directory, counters: Counters, clock: Clock) -> None:
        self._fd = fd
        self._inlet = udp.Inlet(fd)
        self._directory = directory
        self._totals = counters
        self._clock = clock
        self._now_us = 0
        self._dirty: set[Publisher] = set()

    def readable(self) -> None:
        """Drain the socket. Nothing that arrives can raise out of here."""
        now, began = self._clock(), time.monotonic_ns() // 1_000
        for _ in range(TURNS):
            count, self._now_us = 0, time.monotonic_ns() // 1_000
            if self._now_us - began > LONG_US:  # costly packets: others have their turn in between
                break
            for slot, size, path in self._inlet.receive():
                count += 1
                self._take(slot, size, path, now)
            if count < udp.BATCH:
                break
        self._flush(now)

    def line(self, line: tcp.Line, packets: Sequence[bytes]) -> bool:
        """Packets of a TCP connection; sets ``line.known`` once a session has it.

        False when it is not worth keeping: what came first was no check with the right password.
        """
        now, self._now_us = self._clock(), time.monotonic_ns() // 1_000
        for data in packets:
            if not line.known and data[0] >= 4:
                return False
            self._take(self._inlet.put(data), len(data), line, now)
            line.known = line.known or line in self._directory.paths
            if not line.known:
                return False
        self._flush(now)
        return True

    def lost(self, line: tcp.Line) -> None:
        """A TCP connection has ended; its session waits for a check by another path."""
        if (session := self._directory.paths.pop(line, None)) is not None:
            session.ice.forget(line)

    def _take(self, slot: int, size: int, path: bytes, now: int) -> None:
        try:
            self._datagram(slot, size, path, now)
        except WireError:
            self._totals.malformed += 1
        except StunError:
            self._totals.stun_bad += 1
        except Exception:
            self._totals.internal_errors += 1
            log.exception("peer.datagram")

    def _datagram(self, slot: int, size: int, path: bytes, now: int) -> None:
        """Sort one datagram by its first byte (RFC 7983 §7) and by where it comes from."""
        at = slot * udp.SLOT
        if size < 2:
            raise WireError("datagram is too short or too long", size)
        head = self._inlet.buffer[at : at + 2]
        if head[0] < 4:
            self._stun(self._inlet.buffer[at : at + size], path, now)
            return
        session = self._directory.paths.get(path)
        if session is None:
            self._totals.unknown_path += 1
        elif not session.intake.takes(now, PUBLISHED if session.publisher is not None else VIEWED):
            self._totals.flooded += 1
        elif 20 <= head[0] <= 63:
            if not session.dtls.feed(self._inlet.buffer[at : at + size]):
                self._totals.dtls_dropped += 1
        elif 128 <= head[0] <= 191:
            self._media(session, slot, size, 192 <= head[1] <= 223, now)
        else:
            raise WireError("first byte belongs to no protocol of ours")

    def _stun(self, data: bytes, path: bytes, now: int) -> None:
        self._totals.stun_in += 1
        message = parse_stun(data)
        if message.kind == BINDING_SUCCESS:
            self._answered(message, path, now)
        if message.kind != BINDING_REQUEST:
            return
        session = self._directory.fragments.get((message.username or "").partition(":")[0])
        if session is None:
            raise StunError("username")
        before = session.ice.selected
        reply = session.ice.request(message, path, tcp.address_of(path), now)
        for gone in session.ice.dropped:
            if self._directory.paths.get(gone) is session:
                del self._directory.paths[gone]
            if isinstance(gone, tcp.Line):
                gone.hang_up()
        session.ice.dropped.clear()
        if path in session.ice.paths:
            self._directory.paths[path] = session
        tcp.send(self._fd, reply, path)
        selected = session.ice.selected
        if selected is not None and selected != before:
            session.move(selected)
            session.checked.set()

    def _answered(self, message: StunMessage, path: bytes, now: int) -> None:
        """The answer to a check of ours: only a session that dials sends any."""
        session = self._directory.paths.get(path)
        if session is None or not isinstance(session.ice, IceDialing):
            raise StunError("transaction")
        session.ice.response(message, path, now)
        session.checked.set()

    def replay(self, session: Session) -> None:
        """Take what came behind the last DTLS flight, before that was worked off. Not to be called by a datagram."""
        early, session.early = session.early or [], None
        now, self._now_us = self._clock(), time.monotonic_ns() // 1_000
        for data in early:
            self._inlet.buffer[: len(data)] = data
            try:
                self._media(session, 0, len(data), 192 <= data[1] <= 223, now)
            except WireError:
                self._totals.malformed += 1
        self._flush(now)

    def _flush(self, now: int) -> None:
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, set()
        for publisher in dirty:
            try:
                publisher.flush(now)
            except Exception:  # what one publisher sent must not keep the others' packets
                self._totals.internal_errors += 1
                log.exception("peer.publisher")

    def _media(self, session: Session, slot: int, size: int, control: bool, now: int) -> None:
        """SRTP or SRTCP of a known peer, decrypted where it lies."""
        if session.state is not State.LIVE:
            if session.early is not None and len(session.early) < EARLY:
                session.early.append(bytes(self._inlet.buffer[slot * udp.SLOT : slot * udp.SLOT + size]))
            return
        plain = session.dtls.unprotect(self._inlet.slots[slot], size, control=control)
        if plain < 0:
            self._totals.srtp_bad += 1
            return
        data = self._inlet.buffer[slot * udp.SLOT : slot * udp.SLOT + plain]
        if control:
            session.feedback(data, now)
        elif session.publisher is not None:
            self._totals.packets_in += 1
            self._totals.bytes_in += size
            session.publisher.packet(parse_rtp(data), now, self._now_us)
            self._dirty.add(session.publisher)
        else:
            self._totals.malformed += 1
