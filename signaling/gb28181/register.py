"""Registrations and heartbeats of many devices, without a task or a timer for each (GB/T 28181-2016 9.1, 9.6).

All times are milliseconds of the caller's clock. A keepalive changes three numbers; who is due is found by a heap that
is corrected when an entry comes up, so 20,000 devices cost no more than their messages.
"""

import heapq
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Final, Literal

from signaling.gb28181.edition import Edition
from signaling.gb28181.errors import GbError

MIN_EXPIRES_S: Final = 60
MAX_EXPIRES_S: Final = 7 * 86_400
DEFAULT_EXPIRES_S: Final = 3_600
EXPIRY_GRACE_MS: Final = 60_000  # devices renew just at the end
SENSIBLE_HEARTBEAT_S: Final = (5, 3_600)
DEFAULT_HEARTBEAT_S: Final = 60
MIN_SILENCE_MS: Final = 30_000  # no device is offline sooner, whatever was configured
UNSEEN_SILENCE_MS: Final = 180_000  # nor sooner than this while its rhythm is not known
MAX_GAP_MS: Final = 3_600_000
FLOOD_MS: Final = 10_000  # REGISTERs closer than this are one


class Phase(StrEnum):
    """How a device stands."""

    UNKNOWN = "unknown"
    ONLINE = "online"
    OFFLINE = "offline"


class Event(StrEnum):
    """What happens to it."""

    REGISTERED = "registered"
    KEPT_ALIVE = "kept_alive"
    DEREGISTERED = "deregistered"
    HEARTBEAT_LOST = "gb28181.heartbeat_lost"
    EXPIRED = "gb28181.registration_expired"


# A keepalive of a device that is not online changes nothing: it must register, so that its password is asked for.
NEXT: Final[Mapping[tuple[Phase, Event], Phase]] = {
    (Phase.UNKNOWN, Event.REGISTERED): Phase.ONLINE,
    (Phase.OFFLINE, Event.REGISTERED): Phase.ONLINE,
    (Phase.ONLINE, Event.REGISTERED): Phase.ONLINE,
    (Phase.ONLINE, Event.KEPT_ALIVE): Phase.ONLINE,
    (Phase.ONLINE, Event.DEREGISTERED): Phase.OFFLINE,
    (Phase.OFFLINE, Event.DEREGISTERED): Phase.OFFLINE,
    (Phase.UNKNOWN, Event.DEREGISTERED): Phase.UNKNOWN,
    (Phase.ONLINE, Event.HEARTBEAT_LOST): Phase.OFFLINE,
    (Phase.ONLINE, Event.EXPIRED): Phase.OFFLINE,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is reached: what we saw, not what its Contact says. ``connection``: the TCP one's number."""

    host: str
    port: int
    transport: Literal["udp", "tcp"] = "udp"
    connection: int | None = None


@dataclass(slots=True)
class Registration:
    """One device. Mutable, owned by ``Registrations``; give out copies."""

    device: str
    phase: Phase = Phase.UNKNOWN
    address: Address | None = None
    contact: str = ""
    registered_at: int = 0
    expires_at: int = 0
    heard_at: int = 0  # REGISTER or keepalive, whichever was later
    keepalive_at: int = 0
    gap_ms: int = 0  # the longest distance of two keepalives lately
    heartbeat_s: int = DEFAULT_HEARTBEAT_S
    misses: int = 3
    call_id: str = ""
    edition: Edition | None = None
    user_agent: str = ""
    maker: str = ""  # as its DeviceInfo says
    reason: str = ""
    due: int = field(default=0, repr=False)  # of its entry in the heap; 0: it has none


_values: Final = attrgetter(*(each.name for each in fields(Registration)))


def _copy(found: Registration) -> Registration:
    """As ``replace`` does it, at a tenth of the price: every message asks how its device stands."""
    return Registration(*_values(found))


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a message. ``news``: others should be told (state or address changed)."""

    device: str
    kind: Literal["online", "refreshed", "kept", "offline", "unknown"]
    moved: bool = False
    restarted: bool = False  # a hint: registered anew under another Call-ID; its old dialogs should be asked about
    reason: str = ""

    @property
    def news(self) -> bool:
        return self.kind in ("online", "offline") or self.moved


class Registrations:
    """All devices. ``limit`` bounds them: only devices whose password was right come here."""

    def __init__(self, limit: int = 100_000) -> None:
        self.limit = limit
        self._devices: dict[str, Registration] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._devices)

    def get(self, device: str) -> Registration | None:
        """A copy of how a device stands."""
        found = self._devices.get(device)
        return None if found is None else _copy(found)

    def all(self) -> Iterable[Registration]:
        """Copies of all, for a report or to be kept over a restart."""
        return map(_copy, self._devices.values())

    def restore(self, kept: Iterable[Registration], now: int) -> None:
        """After a restart: those that were online are so until they prove the contrary; silence counts from now."""
        for each in kept:
            if len(self._devices) >= self.limit:
                return
            mine = replace(each, due=0, heard_at=now, keepalive_at=now if each.keepalive_at else 0)
            self._devices[each.device] = mine
            if mine.phase is Phase.ONLINE:
                self._schedule(mine)

    def configure(self, device: str, heartbeat_s: int | None, misses: int | None) -> None:
        """Heartbeat as configured or as the device said; senseless values are replaced by 60 s and 3."""
        known = self._known(device)
        low, high = SENSIBLE_HEARTBEAT_S
        known.heartbeat_s = (
            heartbeat_s if heartbeat_s is not None and low <= heartbeat_s <= high else DEFAULT_HEARTBEAT_S
        )
        known.misses = misses if misses is not None and 1 <= misses <= 100 else 3
        if known.phase is Phase.ONLINE:
            self._schedule(known)

    def describe(self, device: str, maker: str) -> bool:
        """Who made it; whether that is news."""
        known = self._devices.get(device)
        if known is None or known.maker == maker:
            return False
        known.maker = maker
        return True

    def register(
        self,
        device: str,
        address: Address,
        now: int,
        *,
        expires_s: int | None,
        contact: str = "",
        call_id: str = "",
        edition: Edition | None = None,
        user_agent: str = "",
    ) -> Change:
        """A REGISTER whose password was right. ``expires_s`` 0 is a farewell. Raises GbError at the bound."""
        if expires_s == 0:
            return self._deregister(device)
        known = self._known(device)
        before = known.phase
        moved = before is Phase.ONLINE and known.address != address
        soon = now - known.registered_at < FLOOD_MS
        restarted = before is Phase.ONLINE and bool(known.call_id) and known.call_id != call_id and not soon
        known.phase = NEXT[before, Event.REGISTERED]
        known.address, known.contact, known.call_id = address, contact[:255], call_id[:255]
        known.registered_at = known.heard_at = now
        known.expires_at = now + granted(expires_s) * 1_000
        known.edition, known.user_agent, known.reason = edition or known.edition, user_agent[:200], ""
        if before is not Phase.ONLINE:
            known.keepalive_at = known.gap_ms = 0
        self._schedule(known)
        kind: Literal["online", "refreshed"] = "refreshed" if before is Phase.ONLINE else "online"
        return Change(device, kind, moved, restarted)

    def keepalive(self, device: str, address: Address, now: int) -> Change:
        """A keepalive. From a new address (NAT) it moves the device there; of one not online it is ``unknown``."""
        known = self._devices.get(device)
        if known is None or (known.phase, Event.KEPT_ALIVE) not in NEXT:
            return Change(device, "unknown")
        if known.keepalive_at:
            gap = min(now - known.keepalive_at, MAX_GAP_MS)
            known.gap_ms = max(gap, known.gap_ms * 7 // 8)  # grows at once, forgets slowly
        first = not known.keepalive_at
        known.keepalive_at = known.heard_at = now
        if first:
            self._schedule(known)  # until now only the end of the registration was watched
        moved = known.address != address
        known.address = address
        return Change(device, "kept", moved)

    def due(self, now: int) -> list[Change]:
        """Devices that went silent or whose registration ran out. Call it every second or so."""
        lost: list[Change] = []
        while self._heap and self._heap[0][0] <= now:
            at, device = heapq.heappop(self._heap)
            known = self._devices.get(device)
            if known is None or known.due != at:
                continue  # an entry that was corrected meanwhile
            known.due = 0
            event, deadline = self._deadline(known)
            if known.phase is not Phase.ONLINE:
                continue
            if deadline > now:
                self._schedule(known)
                continue
            known.phase, known.reason = NEXT[known.phase, event], event.value
            lost.append(Change(device, "offline", reason=event.value))
        return lost

    def forget(self, device: str) -> None:
        """The device was removed by an administrator."""
        self._devices.pop(device, None)

    def _deregister(self, device: str) -> Change:
        known = self._devices.get(device)
        if known is None:
            return Change(device, "unknown")
        was = known.phase
        known.phase, known.reason = NEXT[was, Event.DEREGISTERED], Event.DEREGISTERED.value
        return Change(device, "offline" if was is Phase.ONLINE else "unknown", reason=known.reason)

    def _known(self, device: str) -> Registration:
        if (found := self._devices.get(device)) is None:
            if len(self._devices) >= self.limit:
                raise GbError("gb28181.too_many_devices", f"more than {self.limit} devices")
            found = self._devices[device] = Registration(device)
        return found

    def _deadline(self, known: Registration) -> tuple[Event, int]:
        """What happens next and when. A device that never sent a keepalive lives as long as its registration.

        One that keeps another rhythm than configured is judged by its own, so that it does not flap.
        """
        expiry = known.expires_at + EXPIRY_GRACE_MS
        if not known.keepalive_at:
            return Event.EXPIRED, expiry
        silence = max(
            known.heartbeat_s * known.misses * 1_000,
            known.gap_ms * 5 // 2,
            MIN_SILENCE_MS if known.gap_ms else UNSEEN_SILENCE_MS,
        )
        lost = known.heard_at + silence
        return (Event.HEARTBEAT_LOST, lost) if lost <= expiry else (Event.EXPIRED, expiry)

    def _schedule(self, known: Registration) -> None:
        """At most one valid entry a device; a later deadline corrects itself when the entry comes up."""
        _, deadline = self._deadline(known)
        if known.due and known.due <= deadline:
            return
        known.due = deadline
        heapq.heappush(self._heap, (deadline, known.device))


def granted(expires_s: int | None) -> int:
    """Seconds that are granted: 60 to 604,800; 3,600 when nothing sensible was asked (devices don't understand 423)."""
    if expires_s is None or expires_s < 0:
        return DEFAULT_EXPIRES_S
    return min(max(expires_s, MIN_EXPIRES_S), MAX_EXPIRES_S)


def parse_expires(header: str | None, contact_parameter: str | None = None) -> int | None:
    """Seconds of ``Expires`` or the Contact's ``expires``, which wins (RFC 3261 §10.2.1.1); None: no sensible one."""
    for text in (contact_parameter, header):
        if text is not None and re.fullmatch(r"\s*[0-9]{1,10}\s*", text):
            return int(text)
    return None
