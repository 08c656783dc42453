"""One key frame per interval, kept for the vision workers: a reference goes out, the picture is fetched by HTTP."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from hub.bus.relay_wire import PictureRef
from hub.media.stream import Stream

PER_STREAM: Final = 8
MAX_BYTES: Final = 64 * 2**20  # of all streams together
MAX_PICTURE: Final = 4 * 2**20
QUEUE: Final = 64


class Shelf:
    """The last pictures of every stream, bounded by number and by bytes; the oldest go first."""

    def __init__(self, *, per_stream: int = PER_STREAM, max_bytes: int = MAX_BYTES) -> None:
        self._per_stream = per_stream
        self._max_bytes = max_bytes
        self._pictures: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._of: dict[str, list[str]] = {}
        self._count = 0
        self.bytes = 0

    def put(self, stream: str, data: bytes, at_ms: int) -> str:
        """Keep a picture; returns its id within the stream."""
        self._count += 1
        picture = f"{at_ms:x}-{self._count:x}"
        self._pictures[stream, picture] = data
        self._of.setdefault(stream, []).append(picture)
        self.bytes += len(data)
        while len(self._of[stream]) > self._per_stream:
            self._drop((stream, self._of[stream][0]))
        while self.bytes > self._max_bytes and len(self._pictures) > 1:
            self._drop(next(iter(self._pictures)))
        return picture

    def get(self, stream: str, picture: str) -> bytes | None:
        """The picture, or None when it is gone."""
        return self._pictures.get((stream, picture))

    def forget(self, stream: str) -> None:
        """Drop all of a stream."""
        for picture in tuple(self._of.get(stream, ())):
            self._drop((stream, picture))

    def __len__(self) -> int:
        return len(self._pictures)

    def _drop(self, key: tuple[str, str]) -> None:
        self.bytes -= len(self._pictures.pop(key))
        rest = self._of[key[0]]
        rest.remove(key[1])
        if not rest:
            del self._of[key[0]]


class Cadence:
    """At most one per interval; a key frame that comes a little early counts, else a 2 s GOP would give one per 4 s."""

    def __init__(self, every_ms: int) -> None:
        self._every = every_ms
        self._due: int | None = None

    def takes(self, at_ms: int) -> bool:
        """Whether the key frame of this moment is taken."""
        if self._due is not None and self._due - self._every // 4 > at_ms > self._due - 2 * self._every:
            return False
        late = self._due is None or not (self._due - self._every <= at_ms <= self._due + self._every)
        self._due = at_ms + self._every if late or self._due is None else self._due + self._every
        return True


async def keep_pictures(
    stream: Stream,
    *,
    every_ms: int,
    shelf: Shelf,
    publish: Callable[[PictureRef], Awaitable[None]],
    node: str,
    url: Callable[[str, str], str],
) -> None:
    """Subscribe, and shelve key frames until the stream ends. ``url`` makes the address of (stream, picture)."""
    cadence = Cadence(every_ms)
    async with stream.units("pictures", QUEUE) as reader:
        async for unit in reader:
            codec = unit.codec
            if not unit.keyframe or (codec != "h264" and codec != "h265") or len(unit.data) > MAX_PICTURE:
                continue
            if cadence.takes(unit.at_ms):
                picture = shelf.put(stream.id, unit.data, unit.at_ms)
                address = url(stream.id, picture)
                ref = PictureRef(camera=stream.id, node=node, url=address, at=unit.at_ms, codec=codec)
                await publish(ref)
