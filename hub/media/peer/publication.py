"""What the peer half needs of a stream. ``hub.media.stream.Stream`` is one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from hub.media.rtp.packet import RtpPacket
from hub.media.rtp.track import Packet, Track
from hub.media.rtp.unit import Codec, Kind

Listener: TypeAlias = Callable[[Sequence[Packet]], None]


class Publication(Protocol):
    """One stream, seen from the peers."""

    @property
    def id(self) -> str: ...
    @property
    def ended(self) -> bool: ...
    @property
    def tracks(self) -> Mapping[Kind, Track]: ...

    def listen(self, kind: Kind, listener: Listener) -> None:
        """Call the listener with each batch of new packets of a track."""

    def unlisten(self, kind: Kind, listener: Listener) -> None:
        """The opposite; harmless when it does not listen."""

    def hold(self, viewer: str) -> None:
        """A viewer counts as a subscriber from now on."""

    def release(self, viewer: str) -> None:
        """And no more."""

    def on_end(self, ending: Callable[[], None]) -> None:
        """Call it once when the stream ends."""

    def forget_end(self, ending: Callable[[], None]) -> None:
        """Do not call it."""

    def publisher(self, codecs: Sequence[Codec], request_keyframe: Callable[[], None]) -> bool:
        """A publisher takes over. True when a track's codec changed, so that viewers must come again."""

    def unpublish(self, request_keyframe: Callable[[], None]) -> None:
        """That publisher left."""

    def publish_rtp(self, kind: Kind, packets: Sequence[RtpPacket], at_ms: int) -> None:
        """Packets of the publisher, in the order they came."""

    def request_keyframe(self) -> None:
        """Ask the publisher, when there is one."""
