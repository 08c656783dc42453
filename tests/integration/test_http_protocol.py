"""A connection on which no request comes is closed, however it stalls; one in use is left alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub.bus import internal_http
from hub.bus.http_protocol import BoundedProtocol

HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@contextlib.asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, head_s: float) -> AsyncIterator[tuple[str, int, asyncio.Event]]:
    monkeypatch.setattr(BoundedProtocol, "head_s", head_s)
    release = asyncio.Event()

    async def healthz(request: Request) -> Response:
        if "wait" in request.query_params:
            await release.wait()
        return PlainTextResponse("ok")

    async with internal_http.serve([Route("/healthz", healthz)], token="t", host="127.0.0.1") as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port), release


@pytest.mark.parametrize("begun", [b"", b"GET /he", HEAD, HEAD + b"X: y"])
async def test_a_request_that_is_never_finished_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    async with serving(monkeypatch, 0.2) as (host, port, _), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(begun)
        assert await reader.read() == b""
        writer.close()


async def test_dripping_a_head_does_not_win_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, 0.3) as (host, port, _), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"G")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await reader.read(1)
        writer.close()


async def test_an_answer_may_take_longer_than_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, 0.1) as (host, port, release), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /healthz?wait HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                assert await reader.read(1)
                pytest.fail("it answered before it was let")
        release.set()
        assert b" 200 " in await reader.readline()
        writer.close()


async def test_a_second_request_on_the_same_connection_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, 5.0) as (host, port, _), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        for _ in range(2):
            writer.write(HEAD + b"\r\n")
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"\r\n\r\nok")
        writer.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "relay-1"])
def test_what_is_registered_can_be_reached(host: str) -> None:
    name = internal_http.reachable_name(host)
    assert name not in ("0.0.0.0", "::", "")
    assert host in ("0.0.0.0", "::") or name == host


async def test_a_wildcard_is_served_under_an_address_that_answers() -> None:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async with internal_http.serve([Route("/healthz", healthz)], token="t", host="0.0.0.0") as url:
        host, _, port = url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + b"\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()
