"""Which address this machine is reached by: the one that a route leads from. Asks the routing table, sends nothing."""

import socket
from typing import Final

# Documentation addresses (RFC 5737, RFC 3849): connecting a datagram socket to them only picks a route.
FAR: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
DISCARD_PORT: Final = 9


def address_of_route(family: socket.AddressFamily) -> str | None:
    """The address that the default route of a family leads from; None where there is no such route."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((FAR[family], DISCARD_PORT))
            return str(probe.getsockname()[0])
    except OSError:
        return None
