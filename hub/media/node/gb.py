"""What a relay keeps for GB/T 28181: ports, the way to the gateway, what worked per device, and what it sends."""

import socket
from collections.abc import Callable
from typing import Final

from hub.bus.gateway_calls import GatewayCalls
from hub.bus.relay_wire import StreamConfig
from hub.bus.routes import address_of_route
from hub.domain.clock import Clock
from hub.domain.errors import Invalid
from hub.domain.gb_url import parse_gb_url
from hub.media.peer.ports import Ports
from hub.media.sources.gb28181.source import GbSource, Memory
from hub.media.sources.units import Described
from hub.settings import Settings

ANY: Final = "0.0.0.0"  # noqa: S104 - devices come from everywhere; each port takes one sender


class GbMedia:
    """One per relay; ``calls`` belongs to it and is closed by ``close``."""

    def __init__(self, settings: Settings, calls: GatewayCalls, *, clock: Clock) -> None:
        self.calls = calls
        self.host = gb_host(settings)
        self.ports = Ports(bind_host(settings), *settings.gb_port_range)
        self.memory = Memory()
        self._clock = clock

    def source(
        self, config: StreamConfig, owner: str, on_call: Callable[[], None], described: Described = lambda found: None
    ) -> GbSource:
        """A channel's picture, not asked for yet. Raises Invalid."""
        if not config.gateway:
            raise Invalid("request.invalid", "gateway: a GB/T 28181 stream needs one")
        return GbSource(
            parse_gb_url(config.url),
            gateway=config.gateway,
            calls=self.calls,
            ports=self.ports,
            memory=self.memory,
            host=self.host,
            clock=self._clock,
            policy=config.media,
            owner=owner,
            on_call=on_call,
            described=described,
        )


def gb_host(settings: Settings) -> str:
    """The address that devices are told to send to."""
    if settings.gb_media_host:
        return settings.gb_media_host
    host = settings.media_host or settings.host
    if host not in (ANY, "::", ""):
        return host
    return address_of_route(socket.AF_INET) or "127.0.0.1"


def bind_host(settings: Settings) -> str:
    """The address that ports are bound at: behind NAT the one that devices are told is not ours."""
    host = settings.media_host or settings.host
    return ANY if settings.gb_media_host and settings.gb_media_host != host else host
