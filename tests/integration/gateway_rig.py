"""A gateway as the api meets it: real internal HTTP and a real entry in the registry, what devices do is the test's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.bus import internal_http, registry
from hub.bus.command_wire import CommandIn, CommandOut, RecordItem, RecordsIn, RecordsOut
from hub.bus.gateway_wire import CascadeMedia, DeviceState, DeviceStates, GatewayConfig, Trace, TraceEntry, UpperState
from hub.bus.relay_wire import REPORTS_STREAM, NodeInfo
from hub.bus.streams import publish
from tests.integration.redis_rig import RedisRig

MAX_CONFIG = 2**24


@dataclass
class ScriptedGateway:
    redis: RedisRig
    base: str = ""
    config: GatewayConfig | None = None
    told: int = 0
    commands: list[tuple[str, BaseModel]] = field(default_factory=list)
    catalogs: list[str] = field(default_factory=list)
    cascaded: list[tuple[str, CascadeMedia]] = field(default_factory=list)
    states: list[DeviceState] = field(default_factory=list)
    uppers: list[UpperState] = field(default_factory=list)

    def describe(self) -> NodeInfo:
        """Its entry in the registry."""
        facts = {
            "config": self.config.version if self.config else "",
            "server_id": "34020000002000000001",
            "domain": "3402000000",
            "sip": "127.0.0.1:5060",
        }
        return NodeInfo(id="gateway-test", role="gateway", url=self.base, since=1, seen_at=1, facts=facts)

    async def announce(self) -> None:
        """Write its entry now."""
        client = self.redis.client("gateway")
        await registry.announce(client, self.describe())
        await client.aclose()

    async def report(self, report: BaseModel) -> None:
        """Report something to the api."""
        client = self.redis.client("gateway")
        await publish(client, REPORTS_STREAM, report.model_dump_json(), maxlen=1_000)
        await client.aclose()

    async def _config(self, request: Request) -> Response:
        self.config = await internal_http.read(request, GatewayConfig, limit=MAX_CONFIG)
        self.told += 1
        await self.announce()
        return Response(status_code=204)

    async def _devices(self, _: Request) -> Response:
        return internal_http.reply(DeviceStates(items=self.states, uppers=self.uppers))

    async def _trace(self, _: Request) -> Response:
        entry = TraceEntry(at=1, direction="in", transport="udp", peer="10.0.0.1:5060", summary="REGISTER", text="x")
        return internal_http.reply(Trace(items=[entry]))

    async def _command(self, request: Request) -> Response:
        command = (await internal_http.read(request, CommandIn)).command
        self.commands.append((request.path_params["device"], command))
        return internal_http.reply(CommandOut(result="sent"))

    async def _catalog(self, request: Request) -> Response:
        self.catalogs.append(request.path_params["device"])
        return Response(status_code=202)

    async def _records(self, request: Request) -> Response:
        wanted = await internal_http.read(request, RecordsIn)
        item = RecordItem(channel=wanted.channel, name="one", start_s=wanted.start_s, end_s=wanted.end_s)
        return internal_http.reply(RecordsOut(items=[item], complete=True))

    async def _cascade(self, request: Request) -> Response:
        self.cascaded.append((request.path_params["call"], await internal_http.read(request, CascadeMedia)))
        return Response(status_code=204)

    def routes(self) -> list[Route]:
        return [
            Route("/config", self._config, methods=["PUT"]),
            Route("/devices", self._devices, methods=["GET"]),
            Route("/devices/{device}/trace", self._trace, methods=["GET"]),
            Route("/devices/{device}/commands", self._command, methods=["POST"]),
            Route("/devices/{device}/catalog", self._catalog, methods=["POST"]),
            Route("/devices/{device}/records", self._records, methods=["POST"]),
            Route("/cascade/{call}/media", self._cascade, methods=["POST"]),
        ]


@contextlib.asynccontextmanager
async def scripted_gateway(redis: RedisRig, token: str) -> AsyncIterator[ScriptedGateway]:
    """Serve until the block ends."""
    gateway = ScriptedGateway(redis)
    async with internal_http.serve(gateway.routes(), token=token, host="127.0.0.1") as gateway.base:
        await gateway.announce()
        client = redis.client("gateway-heartbeat")
        beating = asyncio.create_task(registry.heartbeat(client, gateway.describe))
        try:
            yield gateway
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await client.aclose()
