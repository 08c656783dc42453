"""Publish and subscribe of one stream. Publishing never waits; whoever is slow loses units, and they are counted."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Final, Self, cast

from hub.domain.clock import Clock
from hub.media.audience import Audience
from hub.media.peer.publication import Asking, Listener, Publication
from hub.media.rendition import Backlog, Converter, Native
from hub.media.rtp import h264, h265
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.track import Track
from hub.media.rtp.unit import KIND_OF, AccessUnit, Codec, Description, Kind, UnitCodec

MAX_UNIT: Final = 8 * 1024 * 1024  # bytes of one access unit
MAX_LAYERS: Final = 4
SOUND_CHANGES_MS: Final = 5_000  # between changes of the coding of sound that only its units tell of
_PLAYED: Final[Mapping[UnitCodec, Codec]] = {"h265": "h264", "aac": "opus"}  # what viewers get of it


def _played(codec: UnitCodec) -> Codec:
    """What viewers get of a source's codec."""
    return _PLAYED.get(codec) or cast(Codec, codec)


@dataclass(slots=True)
class StreamCounters:
    """Totals of one stream since it came into being."""

    units: int = 0
    bytes: int = 0
    refused: int = 0  # too large, or of a codec that the track does not have
    reader_drops: int = 0
    restarts: int = 0


class Stream(Audience):
    """One camera or one conference member: RTP made once, a GOP cache, a history for NACK, any number of readers.

    ``expects`` are the codecs a pull source will bring ("h264" for a camera), so that a viewer can be answered
    before the source is open; ``guessed``: that is only what such a source usually brings, and ``described`` waits for
    the source's own word. ``layers``: how many of video it brings (main and sub stream).
    ``on_change`` is called after each change of ``subscribers`` (viewers and taps), ``on_described`` when it became
    known what it carries, or turned out to be something else than before.
    ``last_unit_at`` is in ms by the hub's clock; ``last_keyframe`` the newest key frame of a pull source, its
    parameter sets in front. Pictures that no browser decodes as they are, and AAC, go to ``converter``, and what it
    makes of them to the viewers; taps read the original. Viewers who decode the original can have it by ``rendition``.
    """

    def __init__(
        self,
        id: str,
        *,
        clock: Clock,
        expects: Sequence[Codec] = (),
        guessed: bool = False,
        layers: int = 1,
        on_change: Callable[[], None] | None = None,
        on_described: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(on_change)
        self.id = id
        self.counters = StreamCounters()
        self.last_unit_at: int | None = None
        self.last_keyframe: AccessUnit | None = None
        self._clock = clock
        self._on_described = on_described
        self._guessed = guessed
        self._tracks: dict[Kind, Track] = {KIND_OF[codec]: Track(codec) for codec in expects}
        self._more: list[Track] = []  # further layers of video
        self._grow(layers)
        self.converter: Converter | None = None
        self._native: Native | None = None
        self._brings: dict[Kind, UnitCodec] = {}  # a pull source's own codecs
        self._foreign = False  # its pictures have to be converted
        self._backlog = Backlog()
        self._sound_changed_at: int | None = None
        self._sets = h264.ParameterSets()
        self._sets_h265 = h265.ParameterSets()
        self._seen: set[Kind] = set()
        self._listeners: dict[Kind, list[Listener]] = {"video": [], "audio": []}
        self._ask: Asking | None = None
        self.described = asyncio.Event()  # it is known what it carries
        if self._tracks and not guessed:
            self.described.set()

    @property
    def codec(self) -> str | None:
        """What comes in, like "h265+aac" or "vp8+opus"; ``None`` before the first unit."""
        kinds: tuple[Kind, ...] = ("video", "audio")
        found = [self._brings.get(kind) or self._tracks[kind].codec for kind in kinds if kind in self._seen]
        return "+".join(found) or None

    @property
    def known(self) -> bool:
        """Whether it is known what it carries; else its tracks are those that such a source usually has."""
        return self.described.is_set()

    @property
    def tracks(self) -> Mapping[Kind, Track]:
        """The outgoing tracks, also those that are only expected."""
        return MappingProxyType(self._tracks)

    def layers(self, kind: Kind) -> Sequence[Track]:
        """The track of a kind and its further layers, by ``Track.layer``; empty when there is none."""
        track = self._tracks.get(kind)
        return () if track is None else (track, *self._more) if kind == "video" else (track,)

    def grow(self, layers: int) -> None:
        """Have at least so many layers of video; who watches already has them to choose from, too."""
        if len(self._more) + 1 < layers:
            self._grow(layers)

    def _grow(self, layers: int) -> None:
        """Have at least so many layers of video, all of one codec and time line."""
        video = self._tracks.get("video")
        if video is None or any(track.codec != video.codec or track.ssrc != video.ssrc for track in self._more):
            self._more = []
        while video is not None and len(self._more) + 1 < min(layers, MAX_LAYERS):
            self._more.append(Track(video.codec, video, len(self._more) + 1))

    # what a pull source brings ----------------------------------------------------------------------

    def describe(self, found: Description) -> None:
        """The source's own word, each time it is opened and before its units: the tracks are those from now on.

        Sound that a whole description does not name is none; pictures that it does not name are as they were.
        """
        if self.ended:
            return
        video = next((codec for codec in found.codecs if KIND_OF[codec] == "video"), None)
        sound = next((codec for codec in found.codecs if KIND_OF[codec] == "audio"), None)
        news = not self.known
        if video is not None:
            news = self._expect_picture(video, found.passes) or news
        if sound is not None or found.whole:
            news = self._expect_sound(sound) or news
        if news:
            self._learned()

    def forget_description(self) -> None:
        """Another source will bring this stream: what was known of the last one is only a guess now."""
        if self._guessed:
            self.described.clear()

    def _learned(self) -> None:
        self.described.set()
        if self._on_described is not None:
            self._on_described()

    def _expect_picture(self, codec: UnitCodec, passes: bool) -> bool:
        """Whether there is more, or less, to be had than before."""
        before, self._brings["video"] = self._brings.get("video"), codec
        native = self._native
        self._track_for(codec)
        if codec == "h265":
            if not self._foreign:
                self._be_foreign(True)
            if passes:
                self._need_native()
            else:
                self._drop_native()
        elif self._foreign and before != codec:  # else it is H.264 that has to be converted
            self._be_foreign(False)
        return native is not self._native

    def _expect_sound(self, codec: UnitCodec | None) -> bool:
        """Whether the sound is another one than before."""
        track = self._tracks.get("audio")
        played = None if codec is None else _played(codec)
        if played == (None if track is None else track.codec):
            return False
        if codec is None:
            del self._tracks["audio"]
            self._brings.pop("audio", None)
            self._seen.discard("audio")
        else:
            self._tracks["audio"] = Track(_played(codec))
        return True

    # units of a pull source ------------------------------------------------------------------------

    def publish(self, unit: AccessUnit, layer: int = 0) -> None:
        """Hand one unit to every subscriber. Never waits, never raises for what a subscriber does.

        Taps read layer 0, the main stream; units of further layers go to viewers only.
        """
        if self.ended:
            return
        if layer:
            self._publish_layer(unit, layer)
            return
        if len(unit.data) > MAX_UNIT or not self._take(unit):
            self.counters.refused += 1
            return
        self.counters.units += 1
        self.counters.bytes += len(unit.data)
        self.last_unit_at = unit.at_ms
        self._seen.add(unit.kind)
        self._brings[unit.kind] = unit.codec
        if unit.kind == "video":
            if unit.keyframe and not self.known:  # a source that says nothing of itself
                self._learned()
            unit = self._remember(unit)
        for reader in self._readers:
            if not reader.offer(unit):
                self.counters.reader_drops += 1

    def _take(self, unit: AccessUnit) -> bool:
        """Hand a unit to viewers, or to who converts it for them; False when its codec is not that of its track."""
        if unit.kind == "video" and not (unit.codec == "h264" and unit.passes):
            self._take_foreign(unit)
            return True
        if unit.kind == "audio" and not self._sounds(unit):
            return False
        if unit.codec == "aac":
            if self.converter is not None:
                self.converter.unit(unit)
            return True
        if unit.kind == "video" and self._foreign:
            self._be_foreign(False)
        if self._track_for(unit.codec).codec != unit.codec:
            return False
        self.publish_converted(unit)
        return True

    def _sounds(self, unit: AccessUnit) -> bool:
        """Whether sound of this coding has its track; it may be the first of it, or of another coding than before."""
        track = self._tracks.get("audio")
        if track is not None and track.codec == _played(unit.codec):
            return True
        last = self._sound_changed_at
        if track is not None and last is not None and unit.at_ms - last < SOUND_CHANGES_MS:
            return False  # a source that says this and that makes nobody come again and again
        self._sound_changed_at = unit.at_ms
        self._expect_sound(unit.codec)
        if not self._guessed:
            self.described.set()
        if self.known:
            self._learned()
        return True

    def _track_for(self, codec: UnitCodec) -> Track:
        track = self._tracks.get(KIND_OF[codec])
        if track is None:
            track = self._tracks[KIND_OF[codec]] = Track(_played(codec))
            if not self._guessed:
                self.described.set()
        return track

    def publish_converted(self, unit: AccessUnit) -> None:
        """One unit that every browser decodes, to viewers alone."""
        track = self._tracks.get(unit.kind)
        if self.ended or track is None or track.codec != unit.codec:
            return  # a converter may still bring what the source has ceased to send
        if packets := track.append_unit(unit):
            for listener in self._listeners[unit.kind]:
                listener(packets)

    # pictures that not everybody decodes ------------------------------------------------------------

    def _take_foreign(self, unit: AccessUnit) -> None:
        self._track_for(unit.codec)
        if not self._foreign:
            self._be_foreign(True)
        if unit.codec == "h265" and unit.passes:
            fresh = self._native is None
            self._need_native().publish(unit)
            if fresh and self.known:
                self._learned()
        else:
            self._drop_native()
        self._backlog.take(unit)
        if self.converter is not None:
            self.converter.unit(unit)

    def foresee(self, codec: UnitCodec | None) -> None:
        """A publisher's pictures come as units of this codec, which not everybody decodes; ``None``: as packets."""
        if codec is not None:
            self._expect_picture(codec, passes=True)
            return
        self._brings.pop("video", None)
        if self._foreign:
            self._be_foreign(False)

    def _be_foreign(self, foreign: bool) -> None:
        """From here on the source's pictures have to be converted, or no more."""
        self._foreign = foreign
        self._backlog.clear()
        self._tracks["video"].restart()
        if not foreign:
            self._drop_native()
            if self.converter is not None:
                self.converter.restart()

    def _need_native(self) -> Native:
        if self._native is None:
            self._native = Native(self, "h265")
        return self._native

    def _drop_native(self) -> None:
        native, self._native = self._native, None
        if native is not None:
            native.end("codec.changed")

    @property
    def backlog(self) -> Sequence[AccessUnit]:
        """Pictures that have to be converted, from the last key frame on."""
        return tuple(self._backlog.units)

    @property
    def needs_conversion(self) -> bool:
        """Whether somebody watches who cannot decode what the source brings."""
        return self._foreign and bool(self._needing)

    def rendition(self, codecs: Collection[str]) -> Publication:
        """See Publication. Raises Unavailable ``transcode.full``."""
        if self._native is not None and self._native.track.codec in codecs:
            return self._native
        if self._foreign and self.converter is not None and not self.ended:
            self.converter.need_room()
        return self

    def conversion_over(self) -> None:
        """What was converted is past: nobody who comes later may be shown it."""
        if (track := self._tracks.get("video")) is not None and self._foreign:
            track.restart()

    def _publish_layer(self, unit: AccessUnit, layer: int) -> None:
        tracks = self.layers(unit.kind)
        if layer >= len(tracks) or tracks[layer].codec != unit.codec or len(unit.data) > MAX_UNIT:
            self.counters.refused += 1
        elif packets := tracks[layer].append_unit(unit):
            for listener in self._listeners[unit.kind]:
                listener(packets)

    def _remember(self, unit: AccessUnit) -> AccessUnit:
        """Keep the last key frame decodable on its own: with parameter sets."""
        nals = h264.split(unit.data) if unit.keyframe or self.last_keyframe is None else []
        sets = self._sets_h265 if unit.codec == "h265" else self._sets
        complete = sets.complete(nals)
        if h265.is_irap(complete) if unit.codec == "h265" else h264.is_idr(complete):
            unit = replace(unit, data=b"".join(b"\0\0\0\1" + nal for nal in complete), keyframe=True)
            self.last_keyframe = unit
        return unit

    def restart(self) -> None:
        """The source begins anew (reconnected): empty the GOP cache and wait for a key frame.

        Sequence numbers and timestamps towards viewers continue without a break.
        """
        self.counters.restarts += 1
        self._sets.clear()
        self._sets_h265.clear()
        self.last_keyframe = None
        self._backlog.clear()
        if self._native is not None:
            self._native.track.restart()
        for track in (*self._tracks.values(), *self._more):
            track.restart()
        if self.converter is not None:
            self.converter.restart()

    # the peers' side (hub.media.peer.publication) ----------------------------------------------------

    def listen(self, kind: Kind, listener: Listener) -> None:
        """Call the listener with each batch of new packets of a track."""
        self._listeners[kind] = [*self._listeners[kind], listener]

    def unlisten(self, kind: Kind, listener: Listener) -> None:
        """The opposite; harmless when it does not listen."""
        self._listeners[kind] = [other for other in self._listeners[kind] if other != listener]

    def publisher(
        self, codecs: Sequence[Codec], request_keyframe: Asking, layers: int = 1, *, asks: bool = True
    ) -> bool:
        """A publisher takes over, with so many layers of video; ``asks``: it can be asked for key frames.

        True when a track's codec changed or layers were added, so that viewers must come again.
        """
        wanted = {KIND_OF[codec]: codec for codec in codecs}
        changed = any(kind not in wanted or wanted[kind] != track.codec for kind, track in self._tracks.items())
        changed = changed or (bool(self._tracks) and wanted.keys() != self._tracks.keys())
        changed = changed or ("video" in self._tracks and layers > len(self._more) + 1)
        self._tracks = {
            kind: track
            if (track := self._tracks.get(kind)) is not None and track.codec == codec
            else Track(codec)
            for kind, codec in wanted.items()
        }  # fmt: skip
        self._grow(layers)
        for track in (*self._tracks.values(), *self._more):
            track.asks = asks
        self._seen.clear()
        self._ask = request_keyframe
        self.described.set()
        self.restart()
        return changed

    def unpublish(self, request_keyframe: Asking) -> None:
        """That publisher left."""
        if self._ask == request_keyframe:
            self._ask = None
            self.restart()

    def publish_rtp(self, kind: Kind, packets: Sequence[RtpPacket], at_ms: int, layer: int = 0) -> None:
        """Packets of the publisher, in the order they came."""
        tracks = self.layers(kind)
        if self.ended or layer >= len(tracks):
            return
        track = tracks[layer]
        self.counters.units += len(packets)
        self.last_unit_at = at_ms
        self._seen.add(kind)
        if stored := track.append_rtp(packets, at_ms):
            for listener in self._listeners[kind]:
                listener(stored)

    def sync(self, kind: Kind, layer: int, ssrc: int, timestamp: int, ms: float) -> None:
        """A sender report of the publisher: its ``timestamp`` was sampled at ``ms`` by our clock."""
        tracks = self.layers(kind)
        if layer < len(tracks):
            tracks[layer].sync(ssrc, timestamp, ms)

    def rest(self, layer: int) -> None:
        """The publisher sends this layer of video no more, until packets come again."""
        tracks = self.layers("video")
        if layer < len(tracks):
            tracks[layer].resting = True
        if layer == 0 and len(tracks) > 1:  # who watches the originals comes again, and gets a smaller picture
            self._drop_native()

    def source_asks(self, ask: Asking | None) -> None:
        """How a pull source is asked for a key frame; ``None`` where it cannot be."""
        self._ask = ask

    def request_keyframe(self, layer: int = 0) -> None:
        """Ask the publisher, or the encoder, when there is one."""
        video = self._tracks.get("video")
        if self._ask is not None:
            if video is None or video.asks:
                self._ask(layer)
        elif self.converter is not None:
            self.converter.want_key()

    # the end ----------------------------------------------------------------------------------------

    def end(self) -> None:
        """End for good: readers finish, viewers' sessions end. May be called twice."""
        if self.ended:
            return
        self.ended = True
        if self._native is not None:
            self._native.end("stream.ended")
        self._dismiss()
        if self.converter is not None:
            self.converter.restart()

    def _changed(self) -> None:
        if self.converter is not None:
            self.converter.look()
        super()._changed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
