"""RTSP 1.0 messages and interleaved frames: bytes in, events out, no sockets (RFC 2326).

The same decoder reads requests and responses, since both ends of this project use it. Every size is
bounded: a camera, or somebody who says that he is one, decides what arrives here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

MAX_HEAD: Final = 16_384  # bytes of start line and headers
MAX_HEADERS: Final = 64
MAX_BODY: Final = 65_536
MAX_SKIPPED: Final = 2**18  # bytes of one connection that are neither message nor frame
DOLLAR: Final = 0x24
# What may follow a frame when a client reads: a response, or a request of the server (RFC 2326 §10).
STARTS: Final = (
    b"RTSP/", b"OPTIONS ", b"GET_PARAMETER ", b"SET_PARAMETER ", b"ANNOUNCE ", b"REDIRECT ", b"TEARDOWN ", b"PAUSE ",
    b"PLAY ",
)  # fmt: skip

_FIRST: Final = re.compile(rb"[$ROGSATP]")  # what any of them, or a frame, begins with

REASONS: Final[Mapping[int, str]] = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Request Entity Too Large",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    457: "Invalid Range",
    461: "Unsupported Transport",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
}


class RtspError(ValueError):
    """The peer does not speak RTSP. ``offset`` is the byte in the connection at which that shows."""

    def __init__(self, message: str, *, offset: int) -> None:
        super().__init__(f"{message} (byte {offset})")
        self.offset = offset


class Headers:
    """Header fields in order; names compare without case (RFC 2326 §4.2, RFC 2616 §4.2)."""

    def __init__(self, items: Mapping[str, str] | list[tuple[str, str]] | None = None) -> None:
        self.items: list[tuple[str, str]] = list(items.items()) if isinstance(items, Mapping) else list(items or [])

    def get(self, name: str) -> str | None:
        """The first value of a field, or None."""
        wanted = name.lower()
        return next((value for key, value in self.items if key.lower() == wanted), None)

    def all(self, name: str) -> list[str]:
        """Every value of a field (a 401 may carry several challenges)."""
        wanted = name.lower()
        return [value for key, value in self.items if key.lower() == wanted]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and other.items == self.items

    def __repr__(self) -> str:
        # Values may hold credentials: names only, so that a logged message gives nothing away.
        return f"Headers({[name for name, _ in self.items]})"


@dataclass(frozen=True)
class Request:
    """A request (RFC 2326 §6)."""

    method: str
    url: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """A response (RFC 2326 §7)."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


class Interleaved(NamedTuple):
    """A binary frame between messages (RFC 2326 §10.12). A tuple, since thousands come in a second."""

    channel: int
    payload: bytes


Event: TypeAlias = Request | Response | Interleaved


def encode_request(request: Request) -> bytes:
    """Serialize; Content-Length is set from the body. Raises RtspError when a line break hides in a field."""
    return _encode(f"{request.method} {request.url} RTSP/1.0", request.headers, request.body)


def encode_response(response: Response) -> bytes:
    """Serialize; Content-Length is set from the body. Raises RtspError when a line break hides in a field."""
    return _encode(f"RTSP/1.0 {response.status} {response.reason}", response.headers, response.body)


def encode_interleaved(channel: int, payload: bytes) -> bytes:
    """A frame of at most 65,535 bytes (RFC 2326 §10.12)."""
    if not 0 <= channel <= 255 or len(payload) > 0xFFFF:
        raise RtspError("interleaved frame out of range", offset=0)
    return b"$" + bytes((channel,)) + len(payload).to_bytes(2, "big") + payload


def _encode(start: str, headers: Headers, body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers.items if name.lower() != "content-length")]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise RtspError("line break inside a field", offset=0)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Decoder:
    """Cuts a byte stream into messages and frames, wherever TCP splits it.

    Once ``channels`` names the channels in use, bytes that belong to nothing are skipped up to the next frame of
    such a channel or the next message, and counted in ``skipped``: some cameras lose their place in the stream.
    """

    def __init__(self) -> None:
        self.channels: frozenset[int] = frozenset()
        self.skipped = 0
        self._buffer = b""
        self._at = 0  # where in the buffer the next event begins
        self._offset = 0  # of the buffer's first byte in the connection
        self._lost = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield every event that is complete now. Raises RtspError; the connection is then beyond repair."""
        self._offset += self._at
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        while (event := self._next()) is not None:
            yield event

    def _next(self) -> Event | None:
        buffer = self._buffer
        # Stray line breaks between messages are skipped (RFC 2326 §4.1 by RFC 2616 §4.1).
        while self._at < len(buffer) and buffer[self._at] in b"\r\n":
            self._at += 1
        if self._at >= len(buffer):
            return None
        if self.channels and (self._lost or buffer[self._at] != DOLLAR) and not self._found():
            return None
        return self._frame() if buffer[self._at] == DOLLAR else self._message()

    def _frame(self) -> Interleaved | None:
        buffer, at = self._buffer, self._at
        if len(buffer) < at + 4:
            return None
        end = at + 4 + (buffer[at + 2] << 8 | buffer[at + 3])
        if len(buffer) < end:
            return None
        self._at = end
        return Interleaved(buffer[at + 1], buffer[at + 4 : end])

    def _found(self) -> bool:
        """Stand at something that makes sense, skipping what does not; False: more bytes are needed."""
        at, buffer = self._at, self._buffer
        while at < len(buffer):
            verdict = self._plausible(at)
            if verdict is None:
                break
            if verdict:
                self._lost = False
                break
            self._lost = True
            following = _FIRST.search(buffer, at + 1)
            at = len(buffer) if following is None else following.start()
        self._skip(at - self._at)
        return at < len(buffer) and not self._lost

    def _skip(self, count: int) -> None:
        self._at += count
        self.skipped += count
        if self.skipped > MAX_SKIPPED:
            raise RtspError("too much that is neither message nor frame", offset=self._offset + self._at)

    def _plausible(self, at: int) -> bool | None:
        """Whether an event may begin there; None while that cannot be told."""
        buffer = self._buffer
        if buffer[at] != DOLLAR:
            head = buffer[at : at + 14]
            if any(head.startswith(start) for start in STARTS):
                return True
            return None if any(start.startswith(head) for start in STARTS) else False
        if len(buffer) < at + 2:
            return None
        if not self._lost:  # an unknown channel is the camera's own business, a lost place is looked for with care
            return True
        if buffer[at + 1] not in self.channels:
            return False
        return None if len(buffer) < at + 5 else buffer[at + 4] >> 6 == 2  # RTP and RTCP are version 2

    def _message(self) -> Request | Response | None:
        at = self._at
        end = self._buffer.find(b"\r\n\r\n", at, at + MAX_HEAD + 4)
        if end < 0:
            if len(self._buffer) - at > MAX_HEAD:
                raise RtspError("head is too long", offset=self._offset + at + MAX_HEAD)
            return None
        try:
            start, *lines = self._buffer[at:end].decode("utf-8").split("\r\n")
        except UnicodeDecodeError as error:
            raise RtspError("head is not UTF-8", offset=self._offset + at + error.start) from None
        headers = self._headers(lines)
        length = self._content_length(headers)
        if len(self._buffer) < end + 4 + length:
            return None
        message = self._start(start, headers, self._buffer[end + 4 : end + 4 + length])
        self._at = end + 4 + length
        return message

    def _headers(self, lines: list[str]) -> Headers:
        if len(lines) > MAX_HEADERS:
            raise RtspError("too many headers", offset=self._offset + self._at)
        items: list[tuple[str, str]] = []
        for line in lines:
            if line[:1] in (" ", "\t") and items:  # folded (RFC 2616 §2.2)
                items[-1] = (items[-1][0], f"{items[-1][1]} {line.strip()}")
                continue
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise RtspError("header without a name", offset=self._offset + self._at)
            items.append((name, value.strip()))
        return Headers(items)

    def _content_length(self, headers: Headers) -> int:
        values = set(headers.all("Content-Length"))
        if not values:
            return 0
        text = values.pop()
        if values or not (text.isascii() and text.isdigit()):
            raise RtspError("bad Content-Length", offset=self._offset + self._at)
        if len(text) > 8 or int(text) > MAX_BODY:
            raise RtspError("body is too long", offset=self._offset + self._at)
        return int(text)

    def _start(self, line: str, headers: Headers, body: bytes) -> Request | Response:
        first, _, rest = line.partition(" ")
        if first.startswith("RTSP/"):
            status, _, reason = rest.partition(" ")
            if first != "RTSP/1.0" or len(status) != 3 or not (status.isascii() and status.isdigit()):
                raise RtspError("bad status line", offset=self._offset + self._at)
            return Response(int(status), reason, headers, body)
        url, _, version = rest.rpartition(" ")
        if version != "RTSP/1.0" or not url or " " in url or not (first.isascii() and first.isprintable()):
            raise RtspError("bad request line", offset=self._offset + self._at)
        return Request(first, url, headers, body)
