"""Subscribers of one relay: their wishes by stream id, and what each track hangs on."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hub.bus.relay_wire import (
    OfferedTrack,
    SubscribeIn,
    SubscriberAnswer,
    SubscriberOffer,
    SubscriberOut,
    TracksIn,
)
from hub.domain.errors import NotFound, Unavailable
from hub.media.peer.server import PeerServer
from hub.media.peer.subscriber import Offered, Wish
from hub.media.stream import Stream


@dataclass
class _Held:
    """What a subscriber was granted: by stream, the keys of each reason."""

    grants: dict[str, list[set[str]]] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)  # wished for and not to be had here: state by stream


class Subscribers:
    """``find`` knows the relay's streams; ``report(session, owner, what, reason)`` tells the api."""

    def __init__(
        self, peers: PeerServer, find: Callable[[str], Stream | None], report: Callable[[str, str, str, str], None]
    ) -> None:
        self._peers = peers
        self._find = find
        self._report = report
        self._held: dict[str, _Held] = {}

    def open(self, body: SubscribeIn) -> SubscriberOut:
        """Let one in. Raises TooMany ``relay.full``."""
        owner = body.owner

        def ended(session: str, reason: str) -> None:
            self._held.pop(session, None)
            self._report(session, owner, "ended", reason)

        session = self._peers.subscribe(
            owner=owner,
            label=body.label,
            zone=body.zone,
            on_end=ended,
            on_change=lambda id: self._report(id, owner, "changed", ""),
        )
        self._held[session] = _Held()
        return SubscriberOut(session=session)

    def wish(self, session: str, body: TracksIn) -> SubscriberOut:
        """Take the whole list anew. Raises NotFound ``session.unknown``, TooMany."""
        held = self._of(session)
        known: list[Wish] = []
        grants: dict[str, list[set[str]]] = {}
        held.lacking = {}
        decodes = ("h264", "vp8", *(("h265",) if body.h265 else ()))
        for track in body.tracks:
            if (stream := self._find(track.stream)) is None:
                held.lacking[track.stream] = "unknown"
                continue
            try:
                wanted = stream.rendition(decodes)
                known.append(Wish(wanted, track.width, track.visible, track.audio, waits=body.h265))
                grants[track.stream] = [set(keys) for keys in track.grants]
            except Unavailable:  # it would have to be converted, and there is no room for that
                held.lacking[track.stream] = "refused"
        held.grants = grants
        return self._out(session, self._peers.wish(session, known, again=body.again))

    def answer(self, session: str, body: SubscriberAnswer) -> SubscriberOut:
        """Take an answer. Raises NotFound, Conflict ``media.revision``, Invalid ``sdp.invalid``."""
        self._of(session)
        return self._out(session, self._peers.answer(session, body.revision, body.sdp))

    def restart(self, session: str) -> SubscriberOut:
        """Offer anew, beginning ICE anew. Raises NotFound."""
        self._of(session)
        return self._out(session, self._peers.restart(session))

    def withdraw(self, session: str, key: str) -> None:
        """A right is gone: what nothing else grants is taken away at once. Raises NotFound."""
        held = self._of(session)
        for stream, reasons in list(held.grants.items()):
            left = [keys for keys in reasons if key not in keys]
            if reasons and not left:
                del held.grants[stream]
                self._peers.drop(session, stream)
            else:
                held.grants[stream] = left

    def _of(self, session: str) -> _Held:
        if (held := self._held.get(session)) is None:
            raise NotFound("session.unknown", "there is no such session")
        return held

    def _out(self, session: str, offered: Offered | None) -> SubscriberOut:
        states = self._peers.track_states(session) | self._of(session).lacking
        offer = None
        if offered is not None:
            tracks = [OfferedTrack(mid=mid, stream=stream, kind=kind) for mid, stream, kind in offered.tracks]
            offer = SubscriberOffer(revision=offered.revision, sdp=offered.sdp, tracks=tracks)
        layers = self._peers.track_layers(session)
        return SubscriberOut.model_validate({"session": session, "offer": offer, "states": states, "layers": layers})
