"""What the peer half needs of a stream. ``hub.media.stream.Stream`` is one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.track import Packet, Track
from hub.media.rtp.unit import Codec, Kind

Listener: TypeAlias = Callable[[Sequence[Packet]], None]
Asking: TypeAlias = Callable[[int], None]
"""Asks a publisher for a key frame of a layer."""


class Intake(Protocol):
    """Where a publisher's packets go: a stream, or what makes units of them first."""

    @property
    def low_wanted(self) -> bool:
        """Whether a smaller picture would do for somebody."""

    def publisher(
        self, codecs: Sequence[Codec], request_keyframe: Asking, layers: int = 1, *, asks: bool = True
    ) -> bool:
        """A publisher takes over, with so many layers of video; ``asks``: it can be asked for key frames.

        True when a track's codec changed or layers were added, so that viewers must come again.
        """

    def unpublish(self, request_keyframe: Asking) -> None:
        """That publisher left."""

    def publish_rtp(self, kind: Kind, packets: Sequence[RtpPacket], at_ms: int, layer: int = 0) -> None:
        """Packets of the publisher, in the order they came."""

    def sync(self, kind: Kind, layer: int, ssrc: int, timestamp: int, ms: float) -> None:
        """A sender report of the publisher: its ``timestamp`` was sampled at ``ms`` by our clock."""

    def rest(self, layer: int) -> None:
        """The publisher says that it sends this layer of video no more, until packets come again."""


class Publication(Intake, Protocol):
    """One stream, seen from the peers."""

    @property
    def id(self) -> str: ...
    @property
    def ended(self) -> bool: ...
    @property
    def ending(self) -> str:
        """Why its viewers' sessions end, when they are told by ``on_end``."""

    @property
    def known(self) -> bool:
        """Whether it is known what it carries; else its tracks are those that such a source usually has."""

    @property
    def tracks(self) -> Mapping[Kind, Track]: ...

    def rendition(self, codecs: Collection[str]) -> "Publication":
        """What a viewer gets who decodes these codecs of video: the original, or what every browser decodes.

        Raises Unavailable ``transcode.full``.
        """

    def layers(self, kind: Kind) -> Sequence[Track]:
        """The track of a kind and its further layers, by ``Track.layer``; empty when there is none."""

    def listen(self, kind: Kind, listener: Listener) -> None:
        """Call the listener with each batch of new packets of a track; a batch is of one layer."""

    def unlisten(self, kind: Kind, listener: Listener) -> None:
        """The opposite; harmless when it does not listen."""

    def hold(self, viewer: str) -> None:
        """A viewer of this rendition counts as a subscriber from now on."""

    def watch(self, viewer: str) -> None:
        """The same of a viewer who takes the source's own units, or its original pictures."""

    def release(self, viewer: str) -> None:
        """And no more."""

    def prefer(self, viewer: str, *, low: bool) -> None:
        """A smaller picture would do for a viewer, or no more."""

    def on_end(self, ending: Callable[[], None]) -> None:
        """Call it once when the stream ends."""

    def forget_end(self, ending: Callable[[], None]) -> None:
        """Do not call it."""

    def request_keyframe(self, layer: int = 0) -> None:
        """Ask the publisher, when there is one."""
