"""The application under the real server: cookies in a real client, chunked bodies on a real socket, orderly end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from hub.api.app import create_app
from hub.api.limits import NOBODYS_BYTES
from hub.api.security import COOKIE
from hub.services import events
from tests.integration.api_rig import PASSWORD, Rig, api


@contextlib.asynccontextmanager
async def served(rig: Rig) -> AsyncIterator[str]:
    """The rig's application with all its own tasks on an ephemeral port of loopback; its address."""
    config = uvicorn.Config(
        create_app(rig.ctx),
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http="h11",
        ws="websockets-sansio",
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # signals are pytest's
    config.load()
    ready = asyncio.Event()
    start = server.startup

    async def started(sockets: object = None) -> None:
        await start(sockets=None)
        ready.set()

    server.startup = started  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    await ready.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[tuple[Rig, str]]:
    async with api(tmp_path) as rig, served(rig) as base:
        yield rig, base


async def test_a_browsers_way_through_a_session(base: tuple[Rig, str]) -> None:
    rig, url = base
    async with httpx.AsyncClient(base_url=url, trust_env=False) as browser:
        answer = await browser.post("/api/v1/sessions", json={"username": "commander", "password": PASSWORD})
        assert answer.status_code == 201
        assert COOKIE in browser.cookies
        assert "date" in answer.headers
        assert "server" not in answer.headers
        assert (await browser.get("/api/v1/sessions/current")).json()["username"] == "commander"
        assert (await browser.post("/api/v1/incidents", json={"title": "积水"})).status_code == 403
        made = await browser.post("/api/v1/incidents", json={"title": "积水"}, headers={"Origin": url})
        assert made.status_code == 201
        assert (await browser.delete("/api/v1/sessions/current", headers={"Origin": url})).status_code == 204
        assert COOKIE not in browser.cookies
        assert (await browser.get("/api/v1/sessions/current")).status_code == 401
    async with asyncio.timeout(60):  # the running appender takes all of it into the log
        kinds: list[str] = []
        while "account.signed_out" not in kinds:
            await asyncio.sleep(0.02)
            kinds = [event.kind for event in await events.events_after(rig.ctx, 0, limit=1_000)]
    assert kinds.index("system.started") < kinds.index("incident.opened")
    assert (await events.verify(rig.ctx)).ok


async def test_the_demos_door_knows_its_own_port(base: tuple[Rig, str]) -> None:
    _, url = base
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/api/v1/demo/people")).status_code == 200
        assert (await client.get("/api/v1/demo/people", headers={"Host": "localhost:1"})).status_code == 404
        assert (await client.get("/api/v1/demo/people", headers={"X-Forwarded-For": "127.0.0.1"})).status_code == 404


async def test_a_chunked_flood_is_cut_off(base: tuple[Rig, str]) -> None:
    _, url = base
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/v1/sessions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    writer.write((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        for _ in range(NOBODYS_BYTES // 0x1000 + 4):
            writer.write(chunk)
            await writer.drain()
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_the_document_is_served_and_the_types_of_the_console_stand_in_it(base: tuple[Rig, str]) -> None:
    _, url = base
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    assert {"Camera", "Alert", "Order", "IncidentFile", "Conference", "ScoreSheet", "Error"} <= set(
        document["components"]["schemas"]
    )
