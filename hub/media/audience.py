"""Who watches a stream: viewers by what they need, taps, and who is told when it ends."""

from collections.abc import Callable

from hub.media.reader import Reader


class Audience:
    """A stream's subscribers. ``on_change`` is called after each change of them."""

    def __init__(self, on_change: Callable[[], None] | None) -> None:
        self.ended = False
        self.ending = "stream.ended"
        self._on_change = on_change
        self._readers: list[Reader] = []
        self._viewers: set[str] = set()
        self._needing: set[str] = set()  # viewers of what every browser decodes
        self._hearing: set[str] = set()  # who would hear converted sound
        self._low: set[str] = set()  # viewers with small tiles, or narrow paths
        self._endings: list[Callable[[], None]] = []

    @property
    def subscribers(self) -> int:
        """Viewers and taps."""
        return len(self._viewers) + len(self._readers)

    @property
    def viewers(self) -> int:
        """WHEP sessions only."""
        return len(self._viewers)

    @property
    def needs_sound(self) -> bool:
        """Whether anybody would hear converted sound."""
        return bool(self._hearing)

    def units(self, name: str, maxlen: int = 64, *, whole: bool = False) -> Reader:
        """Subscribe a tap now; it starts at the next key frame. ``whole``: it ends when a recording was played out."""
        reader = Reader(self, name, maxlen, whole=whole)
        if self.ended:
            reader.finish()
            return reader
        self._readers.append(reader)
        self._changed()
        return reader

    def forget(self, reader: Reader) -> None:
        """A reader closed."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._changed()

    # viewers (hub.media.peer.publication) --------------------------------------------------------------

    def hold(self, viewer: str) -> None:
        """A viewer counts as a subscriber from now on."""
        self._viewers.add(viewer)
        self._needing.add(viewer)
        self._hearing.add(viewer)
        self._changed()

    def watch(self, viewer: str, *, hears: bool = True) -> None:
        """The same of one who takes the pictures as the source brings them; without ``hears`` the sound, too."""
        self._viewers.add(viewer)
        if hears:
            self._hearing.add(viewer)
        self._changed()

    def release(self, viewer: str) -> None:
        """And no more."""
        if viewer in self._viewers:
            self._viewers.remove(viewer)
            self._needing.discard(viewer)
            self._hearing.discard(viewer)
            self._low.discard(viewer)
            self._changed()

    def prefer(self, viewer: str, *, low: bool) -> None:
        """A smaller picture would do for a viewer, or no more: where the source has one, it is opened for that."""
        before = bool(self._low)
        (self._low.add if low else self._low.discard)(viewer)
        if before != bool(self._low):
            self._changed()

    @property
    def low_wanted(self) -> bool:
        """Whether a smaller picture would do for somebody."""
        return bool(self._low)

    def on_end(self, ending: Callable[[], None]) -> None:
        """Call it once when the stream ends."""
        self._endings.append(ending)

    def forget_end(self, ending: Callable[[], None]) -> None:
        """Do not call it."""
        if ending in self._endings:
            self._endings.remove(ending)

    def turn_away(self, reason: str) -> None:
        """End the sessions of everybody who needs converted pictures."""
        self.ending = reason
        self._tell_end()
        self.ending = "stream.ended"

    def played_out(self) -> None:
        """A recording came to its end: who keeps it as a file has all of it, viewers keep the last picture."""
        for reader in self._readers:
            if reader.whole:
                reader.finish()

    def _dismiss(self) -> None:
        """It is over for everybody."""
        for reader in self._readers:
            reader.finish()
        self._tell_end()

    def _tell_end(self) -> None:
        endings, self._endings = self._endings, []
        for ending in endings:
            ending()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()
