"""A relay's client for calls at the gateway: INVITEs that live as long as a connection (``gateway_wire``)."""

from collections.abc import AsyncGenerator
from typing import Final, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from hub.bus.call_wire import CallEvent, CallIn, CallOut, TalkIn, TalkOut
from hub.bus.lines_client import LinesClient, OpenAnswer
from hub.domain.errors import Unavailable

MAX_CALLS: Final = 4_096
ANSWER_S: Final = 30.0  # a device that is asked by INVITE may think; the gateway gives up before
M = TypeVar("M", bound=BaseModel)


class OpenCall(Generic[M]):
    """A call that stands. ``out`` is the device's answer."""

    def __init__(self, answer: OpenAnswer[M]) -> None:
        self.out = answer.first
        self._answer = answer

    async def events(self) -> AsyncGenerator[CallEvent, None]:
        """What happens, until the call is over; the last is ``ended``, also where the gateway is gone or babbles."""
        why = "gateway.none"
        try:
            async for line in self._answer.rest():
                event = CallEvent.model_validate_json(line)
                yield event
                if event.event == "ended":
                    return
        except Unavailable as error:
            why = error.id
        except ValidationError:
            why = "gateway.answer"
        yield CallEvent(event="ended", reason=why)

    async def close(self) -> None:
        """End it: the gateway says BYE."""
        await self._answer.close()


class GatewayCalls(LinesClient):
    """Calls at any gateway; raises HubError, Unavailable ``gateway.none`` when it does not answer."""

    def __init__(self, token: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(token, "gateway", answer_s=ANSWER_S, most=MAX_CALLS, transport=transport)

    async def invite(self, base: str, call: CallIn) -> OpenCall[CallOut]:
        """Have a device send its picture. Raises HubError with the gateway's own id."""
        return OpenCall(await self.open_lines(base, "/calls", call, CallOut))

    async def talk(self, base: str, talk: TalkIn) -> OpenCall[TalkOut]:
        """Have a device listen. Raises HubError with the gateway's own id."""
        return OpenCall(await self.open_lines(base, "/talks", talk, TalkOut))

    async def keyframe(self, base: str, call: str) -> None:
        """Ask the device of a call for a key frame."""
        await self.call("POST", base, f"/calls/{call}/keyframe")
