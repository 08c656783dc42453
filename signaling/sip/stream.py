"""Cuts a TCP stream into SIP messages (RFC 3261 §18.3), wherever TCP splits it, and counts keep-alives (RFC 5626).

Size is bounded here, time by whoever owns the connection: ``unfinished`` says whether a message has begun.
"""

import re
from typing import Final

from signaling.sip.address import SipError
from signaling.sip.message import MAX_HEAD, MAX_MESSAGE, content_length

_BREAK: Final = re.compile(rb"\r?\n\r?\n")
_LENGTH: Final = re.compile(rb"^(?:content-length|l)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_FOLD: Final = re.compile(rb"\s+")
PONG: Final = b"\r\n"


class Framer:
    """One connection's inbound bytes. ``broken`` is set, once and for all, when the stream lost its frames."""

    def __init__(self) -> None:
        self.pings = 0
        """Double line breaks between messages that want a single one back; whoever answers sets it to 0."""
        self.broken: SipError | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._whole: int | None = None  # length of the message at the buffer's start, once that is known
        self._breaks = 0
        self._offset = 0

    @property
    def unfinished(self) -> bool:
        """Whether part of a message waits for the rest."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Every message that is whole now.

        When the length makes no sense the head alone comes, so that it can be refused, and ``broken`` is set; nothing
        comes after that. A message that is too long sets ``broken``, and does not come.
        """
        found: list[bytes] = []
        if self.broken is not None:
            return found
        self._buffer += data
        while self.broken is None and (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> bytes | None:
        if self._whole is None:
            self._skip_breaks()
            if not self._buffer or not self._measure():
                return None
        assert self._whole is not None
        if len(self._buffer) < self._whole:
            return None
        message = bytes(self._buffer[: self._whole])
        del self._buffer[: self._whole]
        self._offset += self._whole
        self._whole, self._searched = None, 0
        return message

    def _skip_breaks(self) -> None:
        buffer = self._buffer
        if buffer and buffer[0] not in b"\r\n":
            self._breaks = 0
            return
        at = len(buffer) - len(buffer.lstrip(b"\r\n"))
        breaks = self._breaks % 2 + buffer.count(b"\n", 0, at)
        self.pings += breaks // 2
        self._breaks = breaks % 2
        if at < len(buffer):
            self._breaks = 0
        if at:
            del buffer[:at]
            self._offset += at

    def _measure(self) -> bool:
        """Find the end of the headers and with it the length of the message."""
        match = _BREAK.search(self._buffer, max(0, self._searched - 3))
        if match is None:
            self._searched = len(self._buffer)
            if self._searched > MAX_HEAD:
                self._break("headers are too long")
            return False
        head = bytes(self._buffer[: match.start() + 1])
        try:
            self._whole = match.end() + self._body(head)
        except SipError as error:
            self._whole = match.end()
            self.broken = error
            return True
        if self._whole > MAX_MESSAGE:
            self._break("message is too long")
            return False
        return True

    def _body(self, head: bytes) -> int:
        values = {_FOLD.sub(b" ", value).strip() for value in _LENGTH.findall(head)}
        if len(values) > 1:
            raise SipError("two lengths", offset=self._offset)
        # Without the field the body is empty: a stream has no other end (RFC 3261 §18.3), and devices leave it out.
        return content_length(values.pop().decode("latin-1")) or 0 if values else 0

    def _break(self, message: str) -> None:
        self.broken = SipError(message, offset=self._offset, status=513)
        self._buffer.clear()
