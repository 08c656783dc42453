"""A stream's pictures as they came, beside the ones that every browser decodes: for viewers who know their codec."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from hub.media.peer.publication import Asking, Listener, Publication
from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.track import Track
from hub.media.rtp.unit import AccessUnit, Codec, Kind

MAX_BACKLOG: Final = 512  # units since the last key frame that a converter may begin with
MAX_BACKLOG_BYTES: Final = 16 * 1024 * 1024


class Converter(Protocol):
    """Makes what viewers can play of what they cannot. It gives back by ``Stream.publish_converted``."""

    @property
    def active(self) -> bool:
        """Whether pictures are being transcoded."""

    def need_room(self) -> None:
        """Raises Unavailable ``transcode.full`` when a viewer who needs transcoded pictures could not get them."""

    def look(self) -> None:
        """Viewers came or went, or the source's codec became known."""

    def unit(self, unit: AccessUnit) -> None:
        """One unit that viewers cannot play as it is."""

    def want_key(self) -> None:
        """A viewer needs a key frame."""

    def restart(self) -> None:
        """The source begins anew."""


class Backlog:
    """Pictures that have to be converted, from the last key frame on; empty where they became too many."""

    def __init__(self) -> None:
        self.units: list[AccessUnit] = []
        self._octets = 0

    def take(self, unit: AccessUnit) -> None:
        """The next one."""
        if unit.keyframe:
            self.clear()
        if unit.keyframe or self.units:
            self.units.append(unit)
            self._octets += len(unit.data)
            if len(self.units) > MAX_BACKLOG or self._octets > MAX_BACKLOG_BYTES:
                self.clear()

    def clear(self) -> None:
        """What was is past."""
        self.units, self._octets = [], 0


class Native:
    """The original pictures of a stream as a Publication of their own; sound, life and id are the stream's."""

    def __init__(self, whole: Publication, codec: Codec) -> None:
        self.track = Track(codec)
        self.ending = "stream.ended"
        self._whole = whole
        self._listeners: list[Listener] = []
        self._endings: list[Callable[[], None]] = []
        self._ended = False

    @property
    def id(self) -> str:
        return self._whole.id

    @property
    def ended(self) -> bool:
        return self._ended or self._whole.ended

    @property
    def known(self) -> bool:
        return True

    @property
    def tracks(self) -> Mapping[Kind, Track]:
        sound = self._whole.tracks.get("audio")
        return {"video": self.track} if sound is None else {"video": self.track, "audio": sound}

    def rendition(self, codecs: Collection[str]) -> Publication:
        return self._whole.rendition(codecs)

    def layers(self, kind: Kind) -> Sequence[Track]:
        return (self.track,) if kind == "video" else self._whole.layers(kind)

    def publish(self, unit: AccessUnit) -> None:
        """One unit as it came."""
        if packets := self.track.append_unit(unit):
            for listener in self._listeners:
                listener(packets)

    def listen(self, kind: Kind, listener: Listener) -> None:
        if kind == "audio":
            self._whole.listen(kind, listener)
        else:
            self._listeners = [*self._listeners, listener]

    def unlisten(self, kind: Kind, listener: Listener) -> None:
        self._whole.unlisten(kind, listener)
        if kind == "video":
            self._listeners = [other for other in self._listeners if other != listener]

    def hold(self, viewer: str) -> None:
        self._whole.watch(viewer)

    def watch(self, viewer: str) -> None:
        self._whole.watch(viewer)

    def release(self, viewer: str) -> None:
        self._whole.release(viewer)

    def prefer(self, viewer: str, *, low: bool) -> None:
        """It has one layer alone."""

    @property
    def low_wanted(self) -> bool:
        return False

    def on_end(self, ending: Callable[[], None]) -> None:
        self._endings.append(ending)

    def forget_end(self, ending: Callable[[], None]) -> None:
        if ending in self._endings:
            self._endings.remove(ending)

    def end(self, reason: str) -> None:
        """These pictures come no more: who watches them comes again. May be called twice."""
        self._ended, self.ending = True, reason
        endings, self._endings = self._endings, []
        for ending in endings:
            ending()

    def publisher(
        self, codecs: Sequence[Codec], request_keyframe: Asking, layers: int = 1, *, asks: bool = True
    ) -> bool:
        return self._whole.publisher(codecs, request_keyframe, layers, asks=asks)

    def unpublish(self, request_keyframe: Asking) -> None:
        self._whole.unpublish(request_keyframe)

    def publish_rtp(self, kind: Kind, packets: Sequence[RtpPacket], at_ms: int, layer: int = 0) -> None:
        self._whole.publish_rtp(kind, packets, at_ms, layer)

    def sync(self, kind: Kind, layer: int, ssrc: int, timestamp: int, ms: float) -> None:
        self._whole.sync(kind, layer, ssrc, timestamp, ms)

    def rest(self, layer: int) -> None:
        self._whole.rest(layer)

    def request_keyframe(self, layer: int = 0) -> None:
        """A camera cannot be asked."""
