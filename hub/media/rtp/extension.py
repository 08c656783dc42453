"""RTP header extensions (RFC 8285): reading both forms, and the fixed block that each of a viewer's packets carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.media.rtp.packet import HEADER

ONE_BYTE: Final = 0xBEDE
TWO_BYTE: Final = 0x1000  # the low four bits are the application's
MAX_ELEMENTS: Final = 32


def elements(profile: int, data: bytes) -> dict[int, bytes]:
    """Id to value; the first of an id counts. What is cut off ends the reading, as RFC 8285 §4.1.2 would have it."""
    found: dict[int, bytes] = {}
    one = profile == ONE_BYTE
    if not one and profile & 0xFFF0 != TWO_BYTE:
        return found
    at, end = 0, len(data)
    while at < end and len(found) < MAX_ELEMENTS:
        head = data[at]
        if head == 0:  # padding
            at += 1
            continue
        if one:
            id, size, at = head >> 4, (head & 15) + 1, at + 1
            if id == 15:
                break
        elif at + 2 > end:
            break
        else:
            id, size, at = head, data[at + 1], at + 2
        if at + size > end:
            break
        if id:  # 0 with a length is padding of a broken sender (RFC 8285 §4.2)
            found.setdefault(id, data[at : at + size])
        at += size
    return found


@dataclass(frozen=True, slots=True)
class Layout:
    """The header extension of one viewer's packets: the same bytes in each, but for what is written at the offsets.

    Offsets are from the packet's first byte, 0 where there is none; ``transport_at`` is even. The number and the
    time are new in each datagram, so a packet that carries one is never sent twice: it is repeated by RTX only.
    """

    block: bytes = b""
    transport_at: int = 0  # transport-cc's number, two bytes
    time_at: int = 0  # abs-send-time, three bytes
    level_at: int = 0  # the audio level's element, head and value
    level_id: int = 0

    @property
    def varies(self) -> bool:
        """Whether a packet differs each time it is sent."""
        return bool(self.transport_at or self.time_at)


PLAIN: Final = Layout()


def layout(mid: tuple[int, str] | None, level: int = 0, time: int = 0, transport: int = 0) -> Layout:
    """The layout for these ids (0: none) in the one-byte form, padded to whole words (RFC 8285 §4.2)."""
    body, at = b"", HEADER + 4
    level_at = time_at = transport_at = 0
    if mid is not None:
        body += _element(mid[0], mid[1].encode())
    if level:
        level_at = at + len(body)
        body += bytes(2)  # padding, until a packet has a level
    if time:
        time_at = at + len(body) + 1
        body += _element(time, bytes(3))
    if transport:
        body += bytes(1 - len(body) % 2)  # the number where one 16-bit store reaches it
        transport_at = at + len(body) + 1
        body += _element(transport, bytes(2))
    if not body:
        return PLAIN
    body += bytes(-len(body) % 4)
    head = ONE_BYTE.to_bytes(2, "big") + (len(body) // 4).to_bytes(2, "big")
    return Layout(head + body, transport_at, time_at, level_at, level)


def _element(id: int, value: bytes) -> bytes:
    if not 0 < id < 15 or not 0 < len(value) <= 16:
        raise ValueError("does not fit the one-byte form")
    return bytes((id << 4 | len(value) - 1,)) + value


def send_time(now_us: int) -> bytes:
    """abs-send-time: 24 bits of seconds, 18 of them behind the point."""
    return ((now_us << 18) // 1_000_000 & 0xFFFFFF).to_bytes(3, "big")


def number(found: Mapping[int, bytes], id: int) -> int | None:
    """A 16-bit value, ``None`` when it is not there or of another size."""
    value = found.get(id)
    return int.from_bytes(value, "big") if value is not None and len(value) == 2 else None


def text(found: Mapping[int, bytes], id: int) -> str:
    """A short name as in mid and rid; empty when it is not there or not ASCII."""
    value = found.get(id, b"")
    return value.decode("ascii") if value.isascii() and len(value) <= 16 else ""
