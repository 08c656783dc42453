"""One connection with as many tracks as a client wants: what it asks for, what was offered, what it took.

The server offers and the client answers, one offer at a time. Each stretch of a track has SSRCs of its own that
never come back on the connection: a browser that stopped receiving one has forgotten how often its numbers rolled
over, and so has libsrtp once it was told to.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from hub.domain.errors import Conflict, Invalid, TooMany
from hub.media.peer import negotiate
from hub.media.peer.negotiate import Wanted
from hub.media.peer.publication import Publication
from hub.media.peer.session import Session, State
from hub.media.peer.steering import Seat
from hub.media.peer.viewers import Viewers
from hub.media.rtp.track import Track
from hub.media.rtp.unit import Kind
from signaling import subscribe
from signaling.ice import Credentials
from signaling.whip import Local

MAX_TRACKS: Final = 64
LAYERS_EVERY_MS: Final = 1_000
KNOWN_MS: Final = 2_500  # that a stream may take to say what it carries, before what is usual is offered
REMIND_MS: Final = 1_000
MAX_NUMBERS: Final = 65_536  # SSRCs that one connection may use up; then the client comes again
KINDS: Final[tuple[Kind, ...]] = ("video", "audio")

TrackState: TypeAlias = Literal["live", "waiting", "refused", "ended"]


@dataclass(frozen=True, slots=True)
class Wish:
    """A stream that the client wants. ``width`` is that of its tile; nobody looks at what is not ``visible``.

    ``waits``: what the client gets depends on what the stream carries, so it is offered once that is known.
    """

    stream: Publication
    width: int | None = None
    visible: bool = True
    audio: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer to answer. ``tracks``: mid, stream, kind."""

    revision: int
    sdp: str
    tracks: tuple[tuple[str, str, Kind], ...]


@dataclass(slots=True, eq=False)
class _Place:
    """A track on a section."""

    watch: "_Watch"
    track: Track
    ssrcs: tuple[int, int]
    agreed: Wanted | None = None
    seat: Seat | None = None
    refused: bool = False


@dataclass(slots=True, eq=False)
class _Line:
    mid: str
    kind: Kind
    codec: str
    place: _Place | None = None
    dead: bool = False  # the client refused the section: it cannot be used again


@dataclass(slots=True, eq=False)
class _Watch:
    stream: Publication
    ending: Callable[[], None]
    width: int | None = None
    visible: bool = True
    audio: bool = False
    held: Literal["", "watch", "hold"] = ""
    ended: bool = False
    settled: bool = True  # it may be offered; else its source is opened, and it is told at last at ``until``
    until: int = 0
    remind_at: int = 0
    lines: dict[Kind, _Line] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Pending:
    revision: int
    places: tuple[tuple[_Line, _Place | None], ...]
    restart: Credentials | None


class Subscriber:
    """The tracks of one session. Not thread-safe; every call returns at once.

    ``viewers_of`` finds the viewers of a track, ``local`` what we say of ourselves under given credentials,
    ``accepted`` is called when the first answer made the session reachable, ``restarted`` when ICE begins anew,
    ``sweep`` after a track left, ``on_change`` when something must be told to the client that it did not ask for.
    """

    def __init__(
        self,
        session: Session,
        *,
        viewers_of: Callable[[Publication, Track], Viewers],
        local: Callable[[Credentials], Local],
        accepted: Callable[[], None],
        restarted: Callable[[], None],
        sweep: Callable[[], None],
        on_change: Callable[[], None],
        now: Callable[[], int],
    ) -> None:
        self.revision = 0
        self._session = session
        self._viewers_of = viewers_of
        self._local = local
        self._accepted = accepted
        self._restarted = restarted
        self._sweep = sweep
        self._on_change = on_change
        self._now = now
        self._watches: dict[str, _Watch] = {}
        self._lines: list[_Line] = []
        self._told: list[tuple[str, int]] = []  # mid, SSRC of the last offer that was made
        self._pending: _Pending | None = None
        self._answered = False
        self._anew = False  # the next offer restarts ICE
        self._numbers: set[int] = set()
        self._layers_told: dict[str, tuple[int, int]] = {}
        self._layers_at = now()

    # what the client wants ---------------------------------------------------------------------------

    def want(self, wishes: Sequence[Wish]) -> None:
        """Take the whole list anew; equal ones change nothing. Raises TooMany ``media.too_many_tracks``."""
        wanted = {wish.stream.id: wish for wish in wishes}
        if len(wanted) > MAX_TRACKS:
            raise TooMany("media.too_many_tracks", f"a connection has at most {MAX_TRACKS} tracks")
        for id, watch in list(self._watches.items()):
            if id not in wanted or wanted[id].stream is not watch.stream or watch.ended:
                self._leave(watch)
        for wish in wanted.values():
            watch = self._watches.get(wish.stream.id) or self._enter(wish.stream, waits=wish.waits)
            watch.width, watch.visible, watch.audio = wish.width, wish.visible, wish.audio
            watch.settled = watch.settled or not wish.waits or self._may_settle(watch)
            self._fit(watch)
            self._show(watch)
        self._session.steering.steer(self._now())
        self._sweep()

    def drop(self, stream: str) -> None:
        """Take one stream away at once; the client learns by the next offer."""
        if (watch := self._watches.get(stream)) is not None:
            self._leave(watch)
            self._sweep()

    def states(self) -> dict[str, TrackState]:
        """State by stream."""
        return {id: self._state(watch) for id, watch in self._watches.items()}

    def layers(self) -> dict[str, tuple[int, int]]:
        """By stream whose picture is sent: which of its layers that live, 1 being the smallest, and of how many."""
        self._layers_told = self._layers()
        return self._layers_told

    def _layers(self) -> dict[str, tuple[int, int]]:
        found = {}
        for id, watch in self._watches.items():
            line = watch.lines.get("video")
            seat = line.place.seat if line is not None and line.place is not None else None
            if seat is None or seat.paused or len(watch.stream.layers("video")) < 2:
                continue  # nothing is sent, or there is nothing to choose
            alive = [layer for layer in seat.viewers.layers(self._now()) if layer.alive]
            order = [layer.index for layer in sorted(alive, key=lambda layer: (layer.width, layer.index))]
            if seat.sender.layer in order:
                found[id] = (order.index(seat.sender.layer) + 1, len(order))
        return found

    def tick(self, now_ms: int) -> None:
        """Say that another layer is sent than was told, not more often than people can follow.

        Before the first answer, too, a stream may become known: of a leg that is only just being opened.
        """
        if not self._answered:
            self.look()
        if now_ms - self._layers_at >= LAYERS_EVERY_MS:
            self._layers_at = now_ms
            if self._layers() != self._layers_told:
                self._on_change()

    def _state(self, watch: _Watch) -> TrackState:
        if watch.ended:
            return "ended"
        video = watch.lines.get("video") or watch.lines.get("audio")
        place = None if video is None else video.place
        if place is None or (place.agreed is None and not place.refused):
            return "waiting"
        return "refused" if place.refused else "live"

    def _enter(self, stream: Publication, *, waits: bool) -> _Watch:
        def ended() -> None:
            watch.ended = True
            self._vacate_all(watch)
            self._on_change()

        watch = self._watches[stream.id] = _Watch(stream, ended, settled=stream.known or not waits)
        watch.until = self._now() + KNOWN_MS
        if stream.ended:
            watch.ended = True
        else:
            stream.on_end(ended)
        return watch

    def _leave(self, watch: _Watch) -> None:
        self._watches.pop(watch.stream.id, None)
        watch.stream.forget_end(watch.ending)
        self._vacate_all(watch)
        self._hold(watch, wanted=False)

    def _vacate_all(self, watch: _Watch) -> None:
        for line in watch.lines.values():
            self._vacate(line)
        watch.lines.clear()

    def _vacate(self, line: _Line) -> None:
        place, line.place = line.place, None
        if place is not None and place.seat is not None:
            self._session.detach(place.seat)
            place.seat = None

    def _may_settle(self, watch: _Watch) -> bool:
        return watch.stream.known or self._now() >= watch.until

    def learned(self, stream_id: str) -> None:
        """It became known what a stream carries, or that is another thing: the client has to be offered it."""
        if stream_id in self._watches:
            self._on_change()

    def _hold(self, watch: _Watch, *, wanted: bool) -> None:
        """A stream is subscribed to as long as somebody looks or listens: an invisible tile keeps no camera open.

        Before it is known what it carries nobody needs its pictures converted.
        """
        held: Literal["", "watch", "hold"] = "" if not wanted else "hold" if watch.settled else "watch"
        if held != watch.held:
            watch.held = held
            calls = {"": watch.stream.release, "watch": watch.stream.watch, "hold": watch.stream.hold}
            calls[held](self._session.id)

    def _fit(self, watch: _Watch) -> bool:
        """Have the tracks that the stream has now on sections; whether something moved."""
        if watch.ended or not watch.settled:
            return False
        moved = False
        for kind in KINDS:
            track = watch.stream.tracks.get(kind) if kind == "video" or watch.audio else None
            line = watch.lines.get(kind)
            if line is not None and (line.place is None or line.place.track is not track):
                self._vacate(line)
                del watch.lines[kind]
                moved = True
            if track is not None and kind not in watch.lines:
                watch.lines[kind] = self._seat(watch, kind, track)
                moved = True
        return moved

    def _seat(self, watch: _Watch, kind: Kind, track: Track) -> _Line:
        line = next((x for x in self._lines if x.kind == kind and x.place is None and not x.dead), None)
        if line is None:
            if len(self._lines) >= subscribe.MAX_SECTIONS:
                self._session.finish("renew")
                raise TooMany("media.too_many_tracks", "this connection has no section left; come again")
            line = _Line(str(len(self._lines)), kind, track.codec)
            self._lines.append(line)
        line.codec, line.place = track.codec, _Place(watch, track, (self._number(), self._number()))
        return line

    def _number(self) -> int:
        """An SSRC that this connection has never used."""
        if len(self._numbers) >= MAX_NUMBERS:
            self._session.finish("renew")
        while (number := secrets.randbelow(0xFFFFFFFE) + 1) in self._numbers:
            pass
        self._numbers.add(number)
        return number

    def _show(self, watch: _Watch) -> None:
        """Width and visibility reach the stream and the track that runs."""
        self._hold(watch, wanted=not watch.ended and (watch.visible or watch.audio))
        line = watch.lines.get("video")
        if line is not None and line.place is not None and line.place.seat is not None:
            self._session.steering.show(line.place.seat, watch.width, paused=not watch.visible, now_ms=self._now())

    def look(self) -> None:
        """A publisher may have come with other codecs: move to its tracks, and have the client told."""
        moved = [self._fit(watch) for watch in self._watches.values()]  # all of them
        if any(moved):
            self._sweep()
        if any(moved) or self._late():
            self._on_change()

    def _late(self) -> bool:
        """Whether a stream has waited for long enough, and has to be offered as it is."""
        now = self._now()
        waiting = [watch for watch in self._watches.values() if not watch.settled and self._may_settle(watch)]
        late = [watch for watch in waiting if now >= watch.remind_at]
        for watch in late:
            watch.remind_at = now + REMIND_MS  # its client's wishes come again, and settle it
        return bool(late)

    # offers and answers ------------------------------------------------------------------------------

    def restart(self) -> None:
        """The client has lost its path: the next offer begins ICE anew, also where one is not answered yet."""
        self._anew, self._pending = self._answered, None
        self._told = []

    def again(self) -> None:
        """The offer that is out was lost: make it once more."""
        if self._pending is not None:
            self._anew = self._pending.restart is not None
            self._pending, self._told = None, []

    def offer(self) -> Offered | None:
        """The offer that is to be made now; ``None`` while one is not answered or nothing has changed."""
        now = [(line.mid, line.place.ssrcs[0] if line.place else 0) for line in self._lines]
        if self._pending is not None or not now or (now == self._told and not self._anew):
            return None
        self.revision += 1
        ice = self._session.ice
        fresh = Credentials.random() if self._anew else None
        self._anew, self._told = False, now
        self._pending = _Pending(self.revision, tuple((line, line.place) for line in self._lines), fresh)
        lines = [
            subscribe.Line(
                line.mid, line.kind, line.codec, *(line.place.ssrcs if line.place else (0, 0)),
                line.place.watch.stream.id if line.place else "",
            )
            for line in self._lines
        ]  # fmt: skip
        tracks = tuple(
            (line.mid, line.place.watch.stream.id, line.kind) for line in self._lines if line.place is not None
        )
        return Offered(
            self.revision, subscribe.write_offer(self._local(fresh or ice.local), self.revision, lines), tracks
        )

    def answer(self, revision: int, sdp: str) -> None:
        """Take the answer to the offer that is out. Raises Conflict ``media.revision``, Invalid ``sdp.invalid``."""
        pending = self._pending
        if pending is None or pending.revision != revision:
            raise Conflict("media.revision", "this is not the offer that waits for an answer")
        answer = negotiate.answer_of(sdp, [line.mid for line, _ in pending.places])
        session = self._session
        if self._answered and answer.fingerprints != session.fingerprints:
            raise Invalid("sdp.invalid", "another certificate than before")
        if self._answered and pending.restart is None and answer.ufrag != session.ice.remote_ufrag:
            raise Invalid("sdp.invalid", "ICE was not to begin anew")
        self._pending = None
        if not self._answered:
            self._answered = True
            session.ice.remote_ufrag, session.fingerprints = answer.ufrag, answer.fingerprints
            self._accepted()
        elif pending.restart is not None:
            session.ice.restart(answer.ufrag, pending.restart)
            self._restarted()
        for (line, place), section in zip(pending.places, answer.sections, strict=True):
            line.dead = line.dead or section.index in answer.dead
            if place is not None and line.place is place and place.seat is None:
                place.agreed = negotiate.for_subscriber(section, line.kind, place.track)
                place.refused = place.agreed is None
        self.live()

    def live(self) -> None:
        """Begin every track that was agreed on, as soon as there are keys and a path."""
        path = self._session.ice.selected
        if self._session.state is not State.LIVE or path is None:
            return
        for line in self._lines:
            place = line.place
            if place is None or place.agreed is None or place.seat is not None:
                continue
            watch = place.watch
            viewers = self._viewers_of(watch.stream, place.track)
            place.seat = self._session.attach(
                watch.stream, place.agreed, viewers, path,
                width=watch.width, paused=not watch.visible, ssrcs=place.ssrcs,
            )  # fmt: skip

    def close(self) -> None:
        """The session is over: hold nothing any more."""
        for watch in list(self._watches.values()):
            self._watches.pop(watch.stream.id, None)
            watch.stream.forget_end(watch.ending)
            self._hold(watch, wanted=False)
            for line in watch.lines.values():
                line.place = None
