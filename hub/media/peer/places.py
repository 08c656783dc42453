"""Where the peers are: the sockets of the one media port, and the addresses that clients are told of it."""

import errno
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from hub.bus.routes import address_of_route
from hub.media.peer import tcp, udp

ATTEMPTS: Final = 16


@dataclass(frozen=True, slots=True)
class Ports:
    """UDP, and TCP of the same number unless it is switched off."""

    udp: socket.socket
    tcp: socket.socket | None
    number: int

    @classmethod
    def open(cls, host: str, port: int, *, over_tcp: bool) -> Self:
        """Bind both; port 0 takes a number that both are free at. Raises OSError."""
        for attempt in range(ATTEMPTS):
            datagrams = udp.bind(host, port)
            number: int = datagrams.getsockname()[1]
            if not over_tcp:
                return cls(datagrams, None, number)
            try:
                return cls(datagrams, tcp.bind(host, number), number)
            except OSError as error:
                datagrams.close()
                if port or error.errno != errno.EADDRINUSE or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Give them back."""
        for sock in (self.udp, self.tcp):
            if sock is not None:
                sock.close()


@dataclass(frozen=True, slots=True)
class Announce:
    """The addresses that clients are told: some for everybody, some for one network zone each."""

    common: tuple[str, ...]
    zones: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, common: Sequence[str], zones: Mapping[str, Sequence[str]]) -> Self:
        """A wildcard among them becomes this machine's own address."""
        return cls(reachable(common), {zone: reachable(addresses) for zone, addresses in zones.items()})

    def to(self, zone: str) -> tuple[str, ...]:
        """What a client of this zone can reach; everything when nothing is known of the zone."""
        chosen = [self.zones[zone]] if zone in self.zones else list(self.zones.values())
        return tuple(dict.fromkeys((*self.common, *(address for some in chosen for address in some))))


def reachable(announce: Sequence[str]) -> tuple[str, ...]:
    """Addresses that a client can be told: a wildcard becomes this machine's own address on its default route."""
    found: list[str] = []
    for address in announce:
        if address not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
            found.append(address)
            continue
        for family, near in _LOOPBACK[: 1 if address == "0.0.0.0" else 2]:  # noqa: S104 - compared, not bound
            found.append(address_of_route(family) or near)  # no route: only this machine can come
    return tuple(dict.fromkeys(found))


_LOOPBACK: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
