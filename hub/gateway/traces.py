"""The last messages to and from each device, to find out why a camera won't play.

Kept as they came and masked when somebody reads them: keepalives of twenty thousand devices must cost nothing. Of these
only the newest is kept, or two hundred of them would push out what one looks for.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from hub.bus.gateway_wire import TRACE_KEPT, TraceEntry
from hub.domain.clock import Clock
from signaling.sip.layer import Flow

MAX_BYTES: Final = 64 * 2**20  # of all devices together
MAX_ONE: Final = 16 * 1024
MAX_PEERS: Final = 50_000
MAX_SAID: Final = 4_096
OVERHEAD: Final = 300  # bytes that a kept message costs beside its own
_FROM: Final = re.compile(rb"(?im)^(?:From|f)\s*:[^\r\n]{0,80}?sip:([0-9A-Za-z]{1,32})@")
_CMD: Final = re.compile(rb"<CmdType>\s*(\w{1,40})")
_KEEPALIVE: Final = b"<CmdType>Keepalive"
_CSEQ: Final = re.compile(rb"(?im)^CSeq\s*:\s*\d+\s+(\w+)")


@dataclass(frozen=True, slots=True)
class _Kept:
    at: int
    direction: Literal["in", "out"]
    flow: Flow
    data: bytes
    beat: bool


class Traces:
    """One per gateway. ``claim`` says whose a flow is; before that the From of a request from it counts.

    ``knows`` says of which names anything is kept: those that somebody made up are endless.
    """

    def __init__(self, clock: Clock, knows: Callable[[str], bool] = lambda device: True) -> None:
        self._clock = clock
        self._knows = knows
        self._of: OrderedDict[str, deque[_Kept]] = OrderedDict()
        self._said_by: dict[tuple[str, str, int], str] = {}  # by From alone, until a claim
        self._peers: OrderedDict[tuple[str, str, int], str] = OrderedDict()
        self._beating: set[str] = set()  # the next answer out belongs to a keepalive
        self.bytes = 0

    def claim(self, flow: Flow, device: str) -> None:
        """Messages of this flow are this device's from now on."""
        key = (flow.transport, flow.host, flow.port)
        self._said_by.pop(key, None)
        if self._peers.get(key) != device:
            self._peers[key] = device
            if len(self._peers) > MAX_PEERS:
                self._peers.popitem(last=False)

    def owner(self, flow: Flow) -> str | None:
        """Whose a flow is, as was claimed for it."""
        return self._peers.get((flow.transport, flow.host, flow.port))

    def note(self, direction: Literal["in", "out"], flow: Flow, data: bytes) -> None:
        """A message passed; the hook of ``SipNode``."""
        key = (flow.transport, flow.host, flow.port)
        device = self._peers.get(key) or self._said_by.get(key)
        if device is None:
            found = _FROM.search(data[:4_096]) if direction == "in" else None
            if found is None or not self._knows(name := found[1].decode()):
                return
            device = self._said_by[key] = name
            if len(self._said_by) > MAX_SAID:
                del self._said_by[next(iter(self._said_by))]
        beat = self._is_beat(device, direction, data)
        kept = self._of.setdefault(device, deque())
        if beat:
            for old in [each for each in kept if each.beat and each.direction == direction]:
                kept.remove(old)
                self.bytes -= len(old.data) + OVERHEAD
        kept.append(_Kept(self._clock(), direction, flow, bytes(data[:MAX_ONE]), beat))
        self.bytes += min(len(data), MAX_ONE) + OVERHEAD
        if len(kept) > TRACE_KEPT:
            self.bytes -= len(kept.popleft().data) + OVERHEAD
        if not beat:
            self._of.move_to_end(device)
        while self.bytes > MAX_BYTES and self._of:
            _, oldest = self._of.popitem(last=False)
            self.bytes -= sum(len(each.data) + OVERHEAD for each in oldest)

    def _is_beat(self, device: str, direction: str, data: bytes) -> bool:
        if direction == "in":
            beat = _KEEPALIVE in data and data.startswith(b"MESSAGE")
            if beat:
                self._beating.add(device)
            return beat
        if device in self._beating and data.startswith(b"SIP/2.0"):
            self._beating.discard(device)
            return b"MESSAGE" in data
        return False

    def of(self, device: str) -> list[TraceEntry]:
        """Oldest first; credentials masked."""
        from signaling.transport.sip import masked  # the transport is needed by whoever reads, not by the tests of this

        return [
            TraceEntry(
                at=each.at,
                direction=each.direction,
                transport=each.flow.transport,
                peer=f"{each.flow.host}:{each.flow.port}",
                summary=summary(each.data),
                text=masked(each.data),
            )
            for each in self._of.get(device, ())
        ]


def summary(data: bytes) -> str:
    """ "MESSAGE Catalog", "401 Unauthorized (REGISTER)"."""
    first = data.split(b"\r\n", 1)[0].decode("utf-8", "replace")[:200]
    if first.startswith("SIP/2.0 "):
        method = _CSEQ.search(data[:4_096])
        return f"{first[8:88]}" + (f" ({method[1].decode()})" if method else "")
    command = _CMD.search(data)
    return first.partition(" ")[0] + (f" {command[1].decode()}" if command else "")
