"""RTP packets out of a TCP stream: two bytes of length (RFC 4571), ``$`` framing (RFC 2326 §10.12), or no framing.

A connection may start in the middle of a packet, so the first packet is looked for: a header that makes sense, and
behind its length another of the same source. The same search finds the way back where a length was wrong.
"""

import re
from typing import Final, Literal, TypeAlias

Framing: TypeAlias = Literal["rfc4571", "dollar", "bare"]

MAX_SEARCH: Final = 256 * 1_024  # bytes kept while looking for the first packet
HOPELESS: Final = 2**20  # bytes without any packet: this is no RTP
RTP_HEADER: Final = 12
_LEADING: Final[dict[Framing, int]] = {"rfc4571": 2, "dollar": 4}
# Version 2 without CSRCs; payload types 0, 8, 33 and the dynamic ones, with and without marker.
_CANDIDATE: Final = re.compile(rb"[\x80\x90\xa0\xb0](?=[\x00\x08\x21\x60-\x80\x88\xa1\xe0-\xff])", re.DOTALL)
_PACK: Final = b"\0\0\1\xba"


def frame(packet: bytes) -> bytes:
    """A packet with its length in front (RFC 4571 §2). Raises ValueError over 65,535 bytes."""
    if len(packet) > 0xFFFF:
        raise ValueError("the packet is too long for a frame")
    return len(packet).to_bytes(2, "big") + packet


class Deframer:
    """State of one connection. ``framing`` is known after the first packet; ``skipped`` counts bytes of no packet.

    With ``framing`` "bare" what comes out is the stream itself, in pieces, and no RTP at all.
    """

    def __init__(self) -> None:
        self.framing: Framing | None = None
        self.skipped = 0
        self.searches = 0  # how often the way was lost
        self._buffer = bytearray()
        self._try_at = 0
        self._found = False
        self._vain = 0

    @property
    def hopeless(self) -> bool:
        """Whether so much came without a packet that nothing will."""
        return self._vain > HOPELESS

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; the packets that are complete now."""
        if self.framing == "bare":
            return [data]
        self._buffer += data
        if not self._found and not self._search():
            return []
        return self._packets()

    def _packets(self) -> list[bytes]:
        assert self.framing is not None
        if self.framing == "bare":
            whole = bytes(self._buffer)
            self._buffer.clear()
            return [whole]
        out: list[bytes] = []
        at, size, leading = 0, len(self._buffer), _LEADING[self.framing]
        with memoryview(self._buffer) as view:
            while at + leading <= size:
                length = view[at + leading - 2] << 8 | view[at + leading - 1]
                begin = at + leading
                if length == 0 and leading == 2:
                    at = begin
                    continue
                if length < RTP_HEADER or (begin < size and view[begin] >> 6 != 2) or not self._dollar(view, at):
                    self._found = False
                    break
                if begin + length > size:
                    break
                out.append(bytes(view[begin : begin + length]))
                at = begin + length
        del self._buffer[:at]
        if out:
            self._vain = 0
        if not self._found:
            self.searches += 1
            self._try_at = 0
            if self._search():
                out += self._packets()
        return out

    def _dollar(self, view: memoryview, at: int) -> bool:
        return self.framing != "dollar" or view[at] == 0x24

    def _search(self) -> bool:
        """Look for a packet and one behind it."""
        buffer = self._buffer
        if len(buffer) < self._try_at:
            return False
        self._try_at = min(len(buffer) * 5 // 4 + 64, MAX_SEARCH)  # not at every byte anew
        if self.framing is None and not self.searches and buffer.startswith(_PACK):
            self.framing, self._found = "bare", True
            return True
        for match in _CANDIDATE.finditer(bytes(buffer)):
            for framing, leading in _LEADING.items():
                if self._chained(match.start() - leading, framing, leading):
                    self._skip(match.start() - leading)
                    self.framing, self._found = framing, True
                    return True
        if len(buffer) >= MAX_SEARCH:
            self._skip(len(buffer) // 2)
            self._try_at = 0
        return False

    def _chained(self, at: int, framing: Framing, leading: int) -> bool:
        """Whether a packet stands here, and another of the same source behind it."""
        buffer = self._buffer
        if at < 0 or (framing == "dollar" and buffer[at] != 0x24):
            return False
        begin = at + leading
        length = buffer[begin - 2] << 8 | buffer[begin - 1]
        following = begin + length + leading
        if length < RTP_HEADER or following + RTP_HEADER > len(buffer):
            return False
        if framing == "dollar" and buffer[begin + length] != 0x24:
            return False
        if buffer[following] >> 6 != 2 or (buffer[following - 2] << 8 | buffer[following - 1]) < RTP_HEADER:
            return False
        return buffer[begin + 8 : begin + 12] == buffer[following + 8 : following + 12]

    def _skip(self, count: int) -> None:
        self.skipped += count
        self._vain += count
        del self._buffer[:count]
