"""The gateway's internal HTTP (``hub.bus.gateway_wire``): one handler a route, nothing decided here."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hub.bus.call_wire import CallIn, ControlIn, TalkIn
from hub.bus.command_wire import CommandIn, RecordsIn
from hub.bus.gateway_wire import CascadeMedia, DeviceStates, GatewayConfig, Trace
from hub.bus.internal_http import read, reply
from hub.domain.errors import Invalid
from hub.domain.ids import GbId
from hub.gateway.calls import Calls
from hub.gateway.cascade import Cascade
from hub.gateway.catalogs import Catalogs
from hub.gateway.commands import perform
from hub.gateway.devices import Devices
from hub.gateway.hands import Hands
from hub.gateway.questions import Questions
from hub.gateway.talks import Talks
from hub.gateway.traces import Traces

MAX_CONFIG: Final = 32 * 2**20  # a hundred thousand devices
_GB_ID: Final = TypeAdapter(GbId)


class Routes:
    """Handlers over the parts of the gateway."""

    def __init__(
        self,
        *,
        devices: Devices,
        questions: Questions,
        catalogs: Catalogs,
        calls: Calls,
        talks: Talks,
        cascade: Cascade,
        traces: Traces,
        hands: Hands,
        registry: CollectorRegistry,
        configure: Callable[[GatewayConfig], None],
    ) -> None:
        self._devices = devices
        self._questions = questions
        self._catalogs = catalogs
        self._calls = calls
        self._talks = talks
        self._cascade = cascade
        self._traces = traces
        self._hands = hands
        self._registry = registry
        self._configure = configure

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/config", self.config, methods=["PUT"]),
            Route("/devices", self.states, methods=["GET"]),
            Route("/devices/{device}/trace", self.trace, methods=["GET"]),
            Route("/devices/{device}/commands", self.command, methods=["POST"]),
            Route("/devices/{device}/catalog", self.catalog, methods=["POST"]),
            Route("/devices/{device}/records", self.records, methods=["POST"]),
            Route("/calls", self.call, methods=["POST"]),
            Route("/calls/{call}/control", self.control, methods=["POST"]),
            Route("/calls/{call}/keyframe", self.keyframe, methods=["POST"]),
            Route("/talks", self.talk, methods=["POST"]),
            Route("/cascade/{call}/media", self.cascade_media, methods=["POST"]),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def config(self, request: Request) -> Response:
        self._configure(await read(request, GatewayConfig, limit=MAX_CONFIG))
        return Response(status_code=204)

    async def states(self, _: Request) -> Response:
        return reply(DeviceStates(items=self._devices.states(), uppers=self._cascade.states()))

    async def trace(self, request: Request) -> Response:
        return reply(Trace(items=self._traces.of(_device(request))))

    async def command(self, request: Request) -> Response:
        device, body = _device(request), await read(request, CommandIn)
        self._hands.gives(device, body.command)
        out = await perform(self._questions, device, body.command, self._devices.edition(device))
        self._hands.gave(device, body.command)
        return reply(out)

    async def catalog(self, request: Request) -> Response:
        device = _device(request)
        self._devices.flow(device)  # offline is said at once
        self._catalogs.start(device)
        return Response(status_code=202)

    async def records(self, request: Request) -> Response:
        return reply(await self._questions.records(_device(request), await read(request, RecordsIn)))

    async def call(self, request: Request) -> Response:
        wish = await read(request, CallIn)
        return await (self._cascade.listen(wish) if wish.purpose == "listen" else self._calls.open(wish))

    async def control(self, request: Request) -> Response:
        await self._calls.control(request.path_params["call"], await read(request, ControlIn))
        return Response(status_code=204)

    async def keyframe(self, request: Request) -> Response:
        await self._calls.keyframe(request.path_params["call"])
        return Response(status_code=204)

    async def talk(self, request: Request) -> Response:
        return await self._talks.open(await read(request, TalkIn))

    async def cascade_media(self, request: Request) -> Response:
        self._cascade.media(request.path_params["call"], await read(request, CascadeMedia))
        return Response(status_code=204)

    async def healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def _device(request: Request) -> str:
    try:
        return _GB_ID.validate_python(request.path_params["device"])
    except ValidationError:
        raise Invalid("request.invalid", "device: not an identifier") from None
