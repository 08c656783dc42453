"""Answers that go on as lines: what ends them, and what it is called."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import httpx
import pytest

from hub.bus import lines_client
from hub.bus.call_wire import TalkIn
from hub.bus.gateway_calls import GatewayCalls
from hub.bus.lines_client import MAX_LINE
from hub.bus.relay_lines import RelayLines
from hub.bus.relay_wire import PsOutIn
from hub.domain.errors import HubError, TooMany, Unavailable

BASE = "http://other"
PS = PsOutIn(host="127.0.0.1", port=9, mode="udp", ssrc=1, payload_type=96, owner="gb-up", peer_host="127.0.0.1")
TALK = TalkIn(
    device="34020000001110000001", channel="34020000001310000001", host="127.0.0.1", port=9, mode="udp", owner="s"
)
FIRST_PS = b'{"session":"ps-1","host":"127.0.0.1","port":30000}\n'
FIRST_TALK = (
    b'{"call":"c-1","ssrc":1,"payload_type":8,"mode":"udp","remote_host":"127.0.0.1","remote_port":9,'
    b'"device_host":"127.0.0.1"}\n'
)


class Body(httpx.AsyncByteStream):
    """Pieces of an answer; then silence for ever, the same piece for ever, or the end."""

    def __init__(self, *pieces: bytes, silent: bool = False, endless: bytes = b"") -> None:
        self._pieces, self._silent, self._endless = pieces, silent, endless
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        while self._endless:
            self.taken += len(self._endless)
            yield self._endless
        if self._silent:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def transport(body: Body, status: int = 200) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, stream=body))


async def sent_upwards(body: Body, status: int = 200) -> str:
    """How a relay's sending ends, as the gateway hears of it."""
    async with (
        RelayLines("tok", transport=transport(body, status)) as relays,
        relays.open(BASE, "cam-1", PS) as sending,
    ):
        return await sending.ended()


async def called(body: Body, status: int = 200) -> str:
    """How a call at the gateway ends, as the relay hears of it."""
    async with GatewayCalls("tok", transport=transport(body, status)) as gateways:
        call = await gateways.talk(BASE, TALK)
        try:
            return [event async for event in call.events()][-1].reason
        finally:
            await call.close()


Run = Callable[..., Coroutine[None, None, str]]
BOTH = pytest.mark.parametrize(
    ("run", "noun", "first"),
    [
        pytest.param(sent_upwards, "relay", FIRST_PS, id="relay"),
        pytest.param(called, "gateway", FIRST_TALK, id="gateway"),
    ],
)


@BOTH
@pytest.mark.parametrize("piece", [b"x", b"x" * 1_000, b"x" * (2 * MAX_LINE)])
async def test_a_line_without_end_is_cut_off(run: Run, noun: str, first: bytes, piece: bytes) -> None:
    body = Body(first, endless=piece)
    assert await run(body) == f"{noun}.answer"
    assert body.taken <= MAX_LINE + len(piece)
    assert body.closed


@BOTH
async def test_a_first_line_without_end_is_cut_off(run: Run, noun: str, first: bytes) -> None:
    body = Body(endless=b"x" * 1_000)
    with pytest.raises(Unavailable, match="longer than 65536 bytes") as refused:
        await run(body)
    assert refused.value.id == f"{noun}.answer"
    assert body.closed


@BOTH
async def test_a_refusal_without_end_is_cut_off(run: Run, noun: str, first: bytes) -> None:
    body = Body(endless=b"x" * 1_000)
    with pytest.raises(Unavailable) as refused:
        await run(body, 503)
    assert refused.value.id == f"{noun}.error"


@BOTH
async def test_a_refusal_keeps_its_own_id(run: Run, noun: str, first: bytes) -> None:
    with pytest.raises(TooMany) as refused:
        await run(Body(b'{"error":"relay.full","message":"m"}'), 429)
    assert refused.value.id == "relay.full"


@BOTH
async def test_silence_ends_it(run: Run, noun: str, first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_client, "SILENT_S", 0.01)
    assert await run(Body(first, b"\n\n", silent=True)) == f"{noun}.none"


@BOTH
async def test_an_answer_that_stops_before_its_first_line_is_named(run: Run, noun: str, first: bytes) -> None:
    with pytest.raises(HubError) as refused:
        await run(Body(b"\n\n", first[:-1]))
    assert refused.value.id == f"{noun}.answer"


@BOTH
async def test_an_answer_that_is_none_is_named(run: Run, noun: str, first: bytes) -> None:
    with pytest.raises(Unavailable) as refused:
        await run(Body(b"\xff{}\n"))
    assert refused.value.id == f"{noun}.answer"


@pytest.mark.parametrize("cut", range(1, len(FIRST_TALK)))
async def test_lines_are_the_same_wherever_the_network_splits_them(cut: int) -> None:
    whole = FIRST_TALK + b'\n{"event":"paused"}\n\n{"event":"ended","reason":"gb28181.bye"}\n'
    assert await called(Body(whole[:cut], whole[cut:])) == "gb28181.bye"


async def test_a_relay_that_ends_in_order_gives_no_reason() -> None:
    assert await sent_upwards(Body(FIRST_PS, b"\n")) == ""


async def test_a_gateway_that_leaves_in_the_middle_of_a_call_is_none() -> None:
    assert await called(Body(FIRST_TALK, b"\n")) == "gateway.none"
