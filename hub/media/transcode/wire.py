"""What a relay and its transcoding processes say over a pipe. No I/O.

One message: length of the body (4 bytes), kind, flags, job (4), pts (8), body. To the process: OPEN (the body is a
Plan), UNIT, KEY (a key frame is wanted), CLOSE. From it: UNIT, DONE (one unit was worked off; pts is the processor
time since the last, in microseconds), FAILED (the job is over; the body says why).
"""

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import IntEnum
from json import dumps, loads
from typing import Final, Literal

HEADER: Final = struct.Struct("!IBBIq")
MAX_BODY: Final = 8 * 2**20
KEYFRAME: Final = 1  # flag: decoding can begin here
SKIP: Final = 2  # flag: only decode it, later ones refer to it


class Message(IntEnum):
    """Kinds."""

    OPEN = 1
    UNIT = 2
    KEY = 3
    CLOSE = 4
    DONE = 5
    FAILED = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job makes: pictures that fit into ``width`` x ``height`` lying or standing, ``rate`` a second at most."""

    codec: Literal["h264", "h265", "aac"]
    width: int = 1_280
    height: int = 720
    rate: int = 25
    bitrate: int = 2_000_000

    def to_bytes(self) -> bytes:
        return dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Plan":
        return cls(**loads(data))


def message(kind: Message, job: int, body: bytes = b"", *, flags: int = 0, pts: int = 0) -> bytes:
    """One message, complete."""
    return HEADER.pack(len(body), kind, flags, job, pts) + body


@dataclass(frozen=True, slots=True)
class Received:
    """One message taken apart."""

    kind: Message
    flags: int
    job: int
    pts: int
    body: bytes


class Decoder:
    """Messages out of a byte stream, wherever it was cut. Raises ValueError for what is no message."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Received]:
        """The messages that are complete now."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            size, kind, flags, job, pts = HEADER.unpack_from(self._buffer, at)
            if size > MAX_BODY:
                raise ValueError("the message is too long")
            end = at + HEADER.size + size
            if end > len(self._buffer):
                break
            yield Received(Message(kind), flags, job, pts, bytes(self._buffer[at + HEADER.size : end]))
            at = end
        del self._buffer[:at]
