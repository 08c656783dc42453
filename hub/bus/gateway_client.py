"""The api's client for the gateway's internal HTTP (``gateway_wire``)."""

from typing import Final

import httpx

from hub.bus.call_wire import ControlIn
from hub.bus.command_wire import Command, CommandIn, CommandOut, RecordsIn, RecordsOut
from hub.bus.gateway_wire import CascadeMedia, DeviceStates, GatewayConfig, Trace
from hub.bus.internal_client import InternalClient
from hub.domain.ids import GbId

CONFIG_S: Final = 20.0  # twenty thousand devices
COMMAND_S: Final = 12.0  # a device's answer, when it gives one
RECORDS_S: Final = 60.0


class Gateways(InternalClient):
    """Talks to every gateway; raises HubError, Unavailable ``gateway.none`` when it does not answer."""

    def __init__(self, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(token, "gateway", transport=transport)

    async def put_config(self, base: str, config: GatewayConfig) -> None:
        """Make the gateway want this; idempotent."""
        await self.call("PUT", base, "/config", body=config, timeout_s=CONFIG_S)

    async def devices(self, base: str) -> DeviceStates:
        """Every device and every platform above us as the gateway knows them now."""
        return self.parsed(DeviceStates, await self.call("GET", base, "/devices"))

    async def trace(self, base: str, device: GbId) -> Trace:
        """The last messages to and from a device."""
        return self.parsed(Trace, await self.call("GET", base, f"/devices/{device}/trace"))

    async def command(self, base: str, device: GbId, command: Command) -> CommandOut:
        """Have a device do something."""
        body = CommandIn(command=command)
        answer = await self.call("POST", base, f"/devices/{device}/commands", body=body, timeout_s=COMMAND_S)
        return self.parsed(CommandOut, answer)

    async def catalog(self, base: str, device: GbId) -> None:
        """Ask a device for its catalogue; what comes is reported."""
        await self.call("POST", base, f"/devices/{device}/catalog")

    async def records(self, base: str, device: GbId, wanted: RecordsIn) -> RecordsOut:
        """What a channel has recorded."""
        path = f"/devices/{device}/records"
        return self.parsed(RecordsOut, await self.call("POST", base, path, body=wanted, timeout_s=RECORDS_S))

    async def control(self, base: str, call: str, control: ControlIn) -> None:
        """Pause, go on, seek or change the speed of a playback."""
        await self.call("POST", base, f"/calls/{call}/control", body=control)

    async def cascade_media(self, base: str, call: str, media: CascadeMedia) -> None:
        """Tell where the stream is that a platform above us wants."""
        await self.call("POST", base, f"/cascade/{call}/media", body=media)
