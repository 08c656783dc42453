"""Network zones (视频专网, 政务外网, 互联网): which one a client sits in, and by which addresses it reaches a relay.

Settings are written ``zone=value,value;zone=value``; what has no ``zone=`` in front is for everybody. An entry is kept
as ``zone=value``, so that a list of entries is written and read again without loss.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_ENTRIES: Final = 256
MAX_ZONES: Final = 16
_ZONE: Final = re.compile(r"[\w-]{1,40}")


def entries(text: str) -> tuple[str, ...]:
    """``a=1,2;b=3`` as ``("a=1", "a=2", "b=3")``. Never raises; what the entries hold is looked at elsewhere."""
    found: list[str] = []
    for group in text.split(";"):
        zone = ""
        for part in filter(None, (part.strip() for part in group.split(","))):
            name, sign, value = part.partition("=")
            if sign:
                zone, part = name.strip(), value.strip()
            found.append(f"{zone}={part}" if zone or sign else part)
    return tuple(found)


def by_zone(items: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values by zone, "" for everybody's. Raises ValueError with one plain line."""
    if len(items) > MAX_ENTRIES:
        raise ValueError(f"more than {MAX_ENTRIES} entries")
    found: dict[str, tuple[str, ...]] = {}
    for item in items:
        zone, sign, value = item.rpartition("=")
        if sign and not _ZONE.fullmatch(zone):
            raise ValueError(f"{zone[:40]!r} is no name of a zone (letters, digits, - and _)")
        found[zone] = (*found.get(zone, ()), value)
    if len(found) > MAX_ZONES:
        raise ValueError(f"more than {MAX_ZONES} zones")
    return found


def announced(items: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Addresses by zone, "" for everybody's. Raises ValueError with one plain line."""
    found = by_zone(items)
    for value in (value for values in found.values() for value in values):
        _address(value)
    return found


def networks(items: Sequence[str]) -> tuple[Network, ...]:
    """Networks or single addresses without a zone. Raises ValueError with one plain line."""
    if len(items) > MAX_ENTRIES:
        raise ValueError(f"more than {MAX_ENTRIES} entries")
    return tuple(_network(item) for item in items)


def _address(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no IP address") from None


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        why = "has bits behind its mask" if "host bits" in str(error) else "is no network (10.0.0.0/8, fd00::/8)"
        raise ValueError(f"{text[:60]!r} {why}") from None


@dataclass(frozen=True, slots=True)
class Zones:
    """The networks that clients sit in; the narrowest one that holds an address counts."""

    of_network: Mapping[Network, str]

    @classmethod
    def of(cls, items: Sequence[str]) -> Self:
        """From entries ``zone=network``. Raises ValueError with one plain line."""
        found: dict[Network, str] = {}
        for zone, values in by_zone(items).items():
            if not zone:
                raise ValueError(f"{values[0][:60]!r} names no zone; write zone=network,network;zone=network")
            for value in values:
                network = _network(value)
                if found.setdefault(network, zone) != zone:
                    raise ValueError(f"{value} is in two zones, {found[network]} and {zone}")
        return cls(found)

    def of_address(self, address: Address) -> str:
        """The zone that an address belongs to, "" when no network holds it."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        holding = [network for network in self.of_network if address in network]
        return self.of_network[max(holding, key=lambda network: network.prefixlen)] if holding else ""
