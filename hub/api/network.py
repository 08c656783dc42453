"""Where a request comes from: its address, also behind proxies that are trusted, and the network zone of that."""

import ipaddress
from collections.abc import Sequence
from typing import Final

from starlette.requests import HTTPConnection

from hub.api.security import was_forwarded
from hub.domain.zones import Address, Network
from hub.settings import Settings

MAX_HOPS: Final = 16


def client_zone(connection: HTTPConnection, settings: Settings) -> str:
    """The zone of who asks, "" when it is not known: then the relay names all of its addresses."""
    zones = settings.client_zones
    if not zones.of_network:
        return ""
    address = client_address(connection, settings.proxies)
    return "" if address is None or address.is_loopback else zones.of_address(address)


def client_address(connection: HTTPConnection, trusted: Sequence[Network]) -> Address | None:
    """The address that a request began at; ``None`` where a proxy that is not trusted stands between.

    Of ``X-Forwarded-For`` the last entry counts that no trusted proxy is: what stands before it anybody may have
    written.
    """
    if connection.client is None or (address := _parsed(connection.client.host)) is None:
        return None
    if not any(address in network for network in trusted):
        return None if was_forwarded(connection.headers) else address
    hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops[-MAX_HOPS:]):
        if (address := _parsed(hop)) is None:
            return None
        if not any(address in network for network in trusted):
            return address
    return None


def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
