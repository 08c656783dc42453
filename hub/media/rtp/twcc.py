"""Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): which packet came when."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

from hub.media.rtp.packet import WireError

TICK_US: Final = 250
REFERENCE: Final = 256  # ticks of one step of the reference time, 64 ms
MAX_STATUSES: Final = 1_024  # of one feedback
MAX_PENDING: Final = 1_024  # numbers of ours that may wait for the next feedback
_HEAD: Final = struct.Struct("!HHI")


@dataclass(slots=True)  # not frozen: that would cost as much as the parsing
class Arrivals:
    """One feedback: numbers from ``first`` (16 bit) on; ``times`` in ticks of 250 µs, ``None`` for what is lost."""

    first: int
    times: list[int | None]
    count: int  # of feedbacks, 8 bit


@lru_cache(4_096)
def _symbols(chunk: int) -> bytes:
    """The symbols of one chunk (§3.1.2–3.1.4): 0 not received, 1 small delta, 2 large delta."""
    if not chunk & 0x8000:
        return bytes((chunk >> 13 & 3,)) * (chunk & 0x1FFF)
    if chunk & 0x4000:
        return bytes(chunk >> shift & 3 for shift in range(12, -1, -2))
    return bytes(chunk >> shift & 1 for shift in range(13, -1, -1))


def parse(body: bytes) -> Arrivals:
    """Parse what follows the media SSRC. Raises WireError."""
    if len(body) < 8:
        raise WireError("transport feedback is short", len(body))
    first, count, word = _HEAD.unpack_from(body)
    if count > MAX_STATUSES:
        raise WireError("transport feedback is too long", 2)
    reference = (word >> 8) - (word >> 31 << 24)
    parts, have, at = [], 0, 8
    while have < count:
        if at + 2 > len(body):
            raise WireError("transport feedback ends within its chunks", at)
        parts.append(found := _symbols(body[at] << 8 | body[at + 1]))
        if not found:
            raise WireError("a chunk of transport feedback is empty", at)
        have += len(found)
        at += 2
    symbols = b"".join(parts)[:count]
    now = reference * REFERENCE
    if symbols.count(1) == count:  # the common case, at the speed of C
        if at + count > len(body):
            raise WireError("transport feedback ends within its deltas", len(body))
        return Arrivals(first, list(accumulate(body[at : at + count], initial=now))[1:], word & 0xFF)
    return Arrivals(first, _times(symbols, body, at, now), word & 0xFF)


def _times(symbols: bytes, body: bytes, at: int, now: int) -> list[int | None]:
    times: list[int | None] = []
    size = len(body)
    for symbol in symbols:
        if symbol == 1 and at < size:
            now += body[at]
            at += 1
        elif symbol == 2 and at + 2 <= size:
            now += int.from_bytes(body[at : at + 2], "big", signed=True)
            at += 2
        elif symbol in (0, 3):
            times.append(None)
            continue
        else:
            raise WireError("transport feedback ends within its deltas", at)
        times.append(now)
    return times


class ArrivalLog:
    """The receiving side: what came since the last feedback."""

    def __init__(self) -> None:
        self._came: dict[int, int] = {}  # extended number to µs
        self._base: int | None = None  # the next number to tell of
        self._highest = 0
        self._count = 0

    def packet(self, number: int, now_us: int) -> None:
        """Note one packet by its 16-bit transport-wide number."""
        if self._base is None:
            self._base = self._highest = number + 0x10000
        extended = self._highest + ((number - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if extended < self._base:
            return  # told as lost already
        if extended - self._base >= MAX_PENDING:  # a jump: what lies between is not worth telling
            self._came.clear()
            self._base = extended
        self._highest = max(self._highest, extended)
        self._came.setdefault(extended, now_us)

    def feedback(self) -> bytes:
        """What follows the two SSRCs of the next feedback; empty when nothing came."""
        if not self._came or self._base is None:
            return b""
        ticks = min(self._came.values()) // TICK_US
        reference = ticks // REFERENCE
        symbols, deltas, before = bytearray(), bytearray(), reference * REFERENCE
        number = self._base
        while number <= self._highest:
            if (at := self._came.get(number)) is None:
                symbols.append(0)
            else:
                delta = at // TICK_US - before
                if not -0x8000 <= delta < 0x8000:
                    break  # the rest goes with the next one
                small = 0 <= delta < 256
                symbols.append(1 if small else 2)
                deltas += bytes((delta,)) if small else struct.pack("!h", delta)
                before += delta
            number += 1
        if not symbols:  # the oldest came so late that nothing can be told of it
            number = self._highest + 1
        for told in range(self._base, number):
            self._came.pop(told, None)
        head = _HEAD.pack(self._base & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8 | self._count)
        self._base, self._count = number, (self._count + 1) & 0xFF
        return head + _chunks(bytes(symbols)) + deltas if symbols else b""


def _chunks(symbols: bytes) -> bytes:
    """Runs where they are long, else vectors of seven (§3.1.3, §3.1.4)."""
    made, at = bytearray(), 0
    while at < len(symbols):
        run = at
        while run < len(symbols) and symbols[run] == symbols[at]:
            run += 1
        if run - at >= 7 or run == len(symbols):
            made += struct.pack("!H", symbols[at] << 13 | run - at)
            at = run
            continue
        chunk = 0xC000
        for i, symbol in enumerate(symbols[at : at + 7]):
            chunk |= symbol << 12 - 2 * i
        made += struct.pack("!H", chunk)
        at += 7
    return bytes(made)
