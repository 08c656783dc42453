"""One UDP socket for every viewer and publisher: WHEP out, WHIP in. The doors; ``hub.media.peer.lives`` is behind."""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hub.domain.errors import Conflict, Invalid, NotFound, Outdated, TooMany
from hub.media.peer import negotiate
from hub.media.peer.lives import Lives
from hub.media.peer.publication import Intake, Publication
from hub.media.peer.publisher import Publisher
from hub.media.peer.session import Session
from hub.media.peer.subscriber import Offered, Subscriber, TrackState, Wish
from signaling.ice import Credentials
from signaling.whip import ANY_TAG, Local, Offer, tag_matches, write_answer, write_fragment
from signaling.whip import Track as AnswerTrack


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client: the SDP answer, and the session's id for DELETE."""

    sdp: str
    session_id: str


class PeerServer(Lives):
    """Everybody's media over one port (ICE-lite, DTLS passive, SRTP).

    ``server = await PeerServer.open("0.0.0.0", 0, announce=["203.0.113.7"])``, and ``await server.close()``.
    """

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
            whole, stream = stream, stream.rendition(negotiate.decodes(offer))
            chosen = negotiate.for_viewer(offer, stream, each_layer=each_layer)
            if each_layer and stream is not whole:
                chosen = negotiate.with_layers(offer, chosen, whole)
        session = self._session(stream, offer.ufrag, offer.fingerprints, owner, label, on_end)
        session.wanted = [wanted for wanted, _ in chosen.values()]
        session.width = width
        session.wants_low = low
        session.takes = negotiate.takes(offer) if each_layer else frozenset()
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
        into: Intake | None = None,
    ) -> Answer:
        """Let a publisher in; a session that published this stream before ends with ``replaced``.

        ``asks`` is false for a relay that passes on a camera: it has no key frame but the next. ``each_layer``: it is
        a relay, and sends every layer by a section of its own. ``into`` takes its packets in place of the stream.

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
        session.publisher = Publisher(into or stream, terms, ssrc, self._totals, started, asks)
        answer = self._answer(session, offer, tracks)
        self._retire(session, stream)
        layers = max(1, len(terms.rids), max(terms.layers.values(), default=0) + 1)
        codecs, ask = list(terms.codecs.values()), session.publisher.request_keyframe
        if (into or stream).publisher(codecs, ask, layers, asks=asks):
            self.call_again(stream)
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

    def _retire(self, session: Session, stream: Publication) -> None:
        """End who published before; viewers stay unless the codec changed."""
        for other in self._sessions.values():
            if other is not session and other.stream is stream and other.publisher is not None:
                other.publisher.retired = True
                other.finish("replaced")

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

    # what a viewer's tile wants ----------------------------------------------------------------------

    def want(self, session_id: str, width: int | None) -> bool:
        """A viewer's tile is so many pixels wide (``None``: as large as can be). False when it is unknown."""
        if (session := self._sessions.get(session_id)) is None:
            return False
        session.width = width
        for seat in session.seats.values():
            seat.width = width
        session.steering.steer(self._clock())
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
