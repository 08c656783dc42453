"""The client of a relay's internal HTTP: what comes out of which answer."""

from collections.abc import AsyncIterator

import httpx
import pytest

from hub.bus.internal_client import MAX_ANSWER_BYTES
from hub.bus.relay_wire import OfferIn, StreamConfig
from hub.bus.relays import Relays
from hub.domain.errors import Conflict, HubError, Invalid, NotFound, TooMany, Unavailable

BASE = "http://relay"
OFFER = OfferIn(sdp="v=0", owner="s-1")


def relays(answer: httpx.Response | Exception, seen: list[httpx.Request] | None = None) -> Relays:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Relays("tok", transport=httpx.MockTransport(handle))


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, Invalid), (422, Invalid), (404, NotFound), (409, Conflict), (429, TooMany),
        (500, Unavailable), (503, Unavailable), (401, Unavailable), (302, Unavailable),
    ],
)  # fmt: skip
async def test_a_refusal_keeps_the_relays_own_id(status: int, cls: type[HubError]) -> None:
    async with relays(httpx.Response(status, json={"error": "sdp.no_codec", "message": "m"})) as client:
        with pytest.raises(cls) as refused:
            await client.whep(BASE, "cam-1", OFFER)
    assert (refused.value.id, refused.value.message) == ("sdp.no_codec", "m")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error":1,"message":2}'])
async def test_a_refusal_without_a_known_body_gets_an_id_all_the_same(body: bytes) -> None:
    async with relays(httpx.Response(500, content=body)) as client:
        with pytest.raises(Unavailable) as refused:
            await client.whep(BASE, "cam-1", OFFER)
    assert refused.value.id == "relay.error"


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")])
async def test_a_relay_that_does_not_answer_is_none(error: Exception) -> None:
    async with relays(error) as client:
        with pytest.raises(Unavailable) as refused:
            await client.put_stream(BASE, "cam-1", StreamConfig(url="rtsp://user:s3cret@host/1"))
    assert refused.value.id == "relay.none"
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("body", [b"x" * (MAX_ANSWER_BYTES + 1), b"{", b'{"sdp":"a"}'])
async def test_an_answer_that_is_none_is_named(body: bytes) -> None:
    async with relays(httpx.Response(201, content=body)) as client:
        with pytest.raises(Unavailable) as refused:
            await client.whep(BASE, "cam-1", OFFER)
    assert refused.value.id == "relay.answer"


async def test_ending_what_has_ended_is_no_error() -> None:
    async with relays(httpx.Response(404, json={"error": "session.unknown", "message": "m"})) as client:
        await client.end_session(BASE, "x")
        await client.delete_stream(BASE, "cam-1")


async def test_requests_carry_the_token_and_the_owner() -> None:
    seen: list[httpx.Request] = []
    async with relays(httpx.Response(204), seen) as client:
        await client.end_owner(BASE + "/", "s-1")
    assert seen[0].headers["authorization"] == "Bearer tok"
    assert str(seen[0].url) == "http://relay/sessions?owner=s-1"


async def test_a_refused_stream_is_not_read_for_ever() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1_000

    async with relays(httpx.Response(503, stream=Endless())) as client:
        with pytest.raises(Unavailable) as refused:
            await client.transport_stream(BASE, "cam-1", owner="s-1")
    assert refused.value.id == "relay.error"
