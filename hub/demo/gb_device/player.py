"""Which picture is due when: live, or a recording with pause, seek and speed. Pure; the clock is an argument."""

from dataclasses import dataclass

from hub.demo.gb_device.film import Film, Shot

ONLY_KEYS = 8.0  # from this speed on only key frames are sent, as devices do


@dataclass(frozen=True, slots=True)
class Cue:
    """One picture and its media time in 90 kHz; ``index`` counts from the beginning of what is played."""

    shot: Shot
    pts: int
    index: int


class Player:
    """``length_s`` None: live, without an end."""

    def __init__(self, film: Film, now: float, *, length_s: float | None = None, scale: float = 1.0) -> None:
        self._film = film
        self._last = None if length_s is None else int(length_s * film.fps)
        self._index = 0
        self._shift = 0  # of the loop against the index, after jumps to a key frame
        self._view = -1
        self._anchor = (now, 0)
        self._jump = True
        self.scale = scale
        self.paused = False

    @property
    def position_s(self) -> float:
        """Media time of the next picture."""
        return self._index / self._film.fps

    @property
    def finished(self) -> bool:
        """The recording is over."""
        return self._last is not None and self._index >= self._last

    def due(self) -> float | None:
        """When the next picture is to go out; None: paused or over."""
        if self.paused or self.finished:
            return None
        at, index = self._anchor
        return at + (self._index - index) / (self._film.fps * self.scale)

    def take(self, view: int = 0) -> Cue:
        """The next picture. Another view, a jump or a wish for a key frame makes it one."""
        film = self._film
        if view != self._view or self._jump:
            self._view, self._jump = view, False
            self._shift += film.key_before(self._index + self._shift) - (self._index + self._shift) % film.pictures
        shots = film.views[view]
        while self.scale >= ONLY_KEYS and not shots[(self._index + self._shift) % len(shots)].key:
            self._index += 1
        index = self._index
        shot = shots[(index + self._shift) % len(shots)]
        self._index += 1
        return Cue(shot, index * 90_000 // film.fps, index)

    def want_key(self) -> None:
        """The next picture shall be a key frame."""
        self._jump = True

    def pause(self) -> None:
        """Stand still."""
        self.paused = True

    def go(self, now: float, *, seek_s: float | None = None, scale: float | None = None) -> None:
        """Go on, from another place or at another speed."""
        if seek_s is not None:
            self._index, self._jump = max(0, int(seek_s * self._film.fps)), True
        if scale is not None:
            self.scale = min(max(scale, 0.125), 32.0)
        self.paused = False
        self._anchor = (now, self._index)
