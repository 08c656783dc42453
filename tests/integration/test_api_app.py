"""The application's shell: errors, limits, headers, console, health, background tasks."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from hub.api.app import BackgroundTask, create_app
from hub.api.limits import NOBODYS_BYTES, Limits
from hub.api.pages import Console
from tests.integration.api_rig import Rig, api


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    pages = tmp_path / "pages"
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("<!doctype html><title>console</title>")
    (pages / "assets" / "app-1a2b.js").write_text("export {}\n" * 500)
    (tmp_path / "secret.txt").write_text("secret")
    async with api(tmp_path / "data", console=Console(pages)) as rig:
        yield rig


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "id"),
    [
        ("GET", "/api/v1/nothing", {}, 404, "route.unknown"),
        ("PUT", "/api/v1/cameras", {}, 405, "method.not_allowed"),
        ("POST", "/api/v1/sessions", {"content": "{", "headers": {"Content-Type": "application/json"}}, 422, None),
        ("POST", "/api/v1/sessions", {"json": {"username": "a", "password": "s3cr3t", "extra": "s3cr3t"}}, 422, None),
        (
            "POST",
            "/api/v1/sessions",
            {"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}},
            None,
            None,
        ),
        ("POST", "/whep/nothing", {}, 404, "route.unknown"),
        ("DELETE", "/wall", {}, 405, "method.not_allowed"),
    ],
)
async def test_every_refusal_has_one_shape_and_echoes_nothing(
    rig: Rig, method: str, path: str, given: dict[str, Any], status: int | None, id: str | None
) -> None:
    async with await rig.as_(None if path.endswith("/sessions") else "commander") as client:
        answer = await client.request(method, path, **given)
    assert answer.status_code == (status or 422) or (status is None and 400 <= answer.status_code < 500)
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) <= {"id", "message", "field", "line", "column"}
    assert body["error"]["id"] == (id or "request.invalid")
    assert "s3cr3t" not in answer.text


@pytest.mark.parametrize("path", ["/api/v1/cameras", "/api/v1/orders/x/feedback", "/api/v1/nothing", "/whep/nothing"])
@pytest.mark.parametrize("token", [None, "Bearer nonsense"])
async def test_nobodys_body_is_not_even_read(rig: Rig, path: str, token: str | None) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for n in range(3):
            read.append(n)
            yield b"{"

    headers = {"Content-Type": "application/json"} | ({"Authorization": token} if token else {})
    async with rig.client(headers=headers) as client:
        answer = await client.post(path, content=body())
    assert (answer.status_code, answer.json()["error"]["id"], read) == (401, "session.none", [])


async def test_a_crash_says_nothing_of_its_cause(rig: Rig) -> None:
    rig.app.state.online = None  # the route trips over it
    answer = await (await rig.as_("commander")).get("/api/v1/units")
    assert (answer.status_code, answer.json()["error"]["id"]) == (500, "server.error")
    assert "NoneType" not in answer.text


async def chunks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * size


async def test_a_body_is_bounded_whether_it_says_its_length_or_not(rig: Rig) -> None:
    token = {"Authorization": f"Bearer {await rig.token('commander')}", "Content-Type": "application/json"}
    nobody = {"Content-Type": "application/json"}
    for path, headers, megabytes in (("/api/v1/incidents", token, 2), ("/api/v1/sessions", nobody, 1)):
        async with rig.client(headers=headers) as client:
            said = await client.post(path, content=b" " * (megabytes << 20))
            chunked = await client.post(path, content=chunks(megabytes << 4, 1 << 16))
        for answer in (said, chunked):
            assert (answer.status_code, answer.json()["error"]["id"]) == (413, "request.too_large")
    async with rig.client() as client:
        assert (await client.post("/api/v1/sessions", content=b" " * (NOBODYS_BYTES + 1))).status_code == 413


async def test_feedback_may_be_larger_than_other_requests_and_is_bounded_too(rig: Rig) -> None:
    client = await rig.as_("water")
    for megabytes, status in ((3, 404), (13, 413)):
        answer = await client.post(
            "/api/v1/orders/order-none/feedback",
            data={"text": "x"},
            files={"picture": ("a.jpg", b" " * (megabytes << 20))},
        )
        assert answer.status_code == status


async def test_a_request_that_takes_too_long_is_ended() -> None:
    cancelled = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    transport = httpx.ASGITransport(Limits(slow, seconds=0.01))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["error"]["id"]) == (503, "request.timeout")
    assert cancelled.is_set()


async def test_every_answer_carries_the_headers_that_hold_the_page(rig: Rig) -> None:
    async with rig.client() as client:
        for path in ("/", "/api/v1/nothing", "/healthz", "/api/v1/openapi.json"):
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert "connect-src 'self' ws://127.0.0.1:8800 wss://127.0.0.1:8800;" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert "camera=(self), microphone=(self)" in headers["permissions-policy"]
            assert len(headers["x-request-id"]) == 16
        odd = await client.get("/", headers={"Host": "x; script-src *"})
        assert "script-src *" not in odd.headers["content-security-policy"]


async def test_the_console_is_served_for_every_path_of_its_own(rig: Rig) -> None:
    async with rig.client() as client:
        for path in ("/", "/wall", "/incidents/inc-1"):
            page = await client.get(path)
            assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
            assert "<title>console</title>" in page.text
        script = await client.get("/assets/app-1a2b.js")
        assert "immutable" in script.headers["cache-control"]
        assert "javascript" in script.headers["content-type"]
        assert script.headers["content-encoding"] == "gzip"
        plain = await client.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
        assert (plain.text, "content-encoding" in plain.headers) == (script.text, False)
        assert (await client.get("/assets/app-0000.js")).status_code == 404
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2f..%2fsecret.txt", "/a%00b"):
            assert "secret" not in (await client.get(path)).text


async def test_a_console_that_was_not_built_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.api.pages.console_dir", lambda: None)
    async with api(tmp_path, town=False) as rig:
        page = await rig.client().get("/")
    assert (page.status_code, "make console" in page.text) == (503, True)


async def test_health_and_readiness(rig: Rig) -> None:
    async with rig.client() as client:
        assert (await client.get("/healthz")).json() == {"ok": True}
        ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["parts"] == {"database": "ok", "log": "ok", "redis": "none"}
        rig.clock.pass_(60)  # events of the town wait, and nobody appends
        late = await client.get("/readyz")
        assert (late.status_code, late.json()["parts"]["log"]) == (503, "an event has waited for 60000 ms")
        await rig.log()
        assert (await client.get("/readyz")).status_code == 200


async def test_the_request_log_holds_no_query_and_no_token(rig: Rig) -> None:
    structlog.reset_defaults()
    with capture_logs() as lines:
        await rig.call("commander", "GET", "/cameras?q=secretquery", 200)
    said = [line for line in lines if line["event"] == "request"]
    assert [(line["path"], line["status"], line["method"]) for line in said] == [("/api/v1/cameras", 200, "GET")]
    assert "secretquery" not in json.dumps(lines)
    assert rig.tokens["commander"] not in json.dumps(lines)


async def test_background_tasks_live_and_end_with_the_application(tmp_path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with api(tmp_path, town=False) as rig:
        app = create_app(rig.ctx, tasks=[BackgroundTask("test", forever)])
        async with app.router.lifespan_context(app):
            await started.wait()
            kinds = await rig.log()
        assert ended.is_set()
    assert "system.started" in kinds


async def test_a_background_task_that_returns_is_done() -> None:
    runs: list[int] = []

    async def once() -> None:
        runs.append(1)

    await BackgroundTask("test", once).supervised()
    assert runs == [1]


async def test_a_background_task_that_crashes_is_started_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0
    again = asyncio.Event()
    pauses: list[float] = []

    async def crash() -> None:
        nonlocal runs
        runs += 1
        if runs == 4:
            again.set()
            await asyncio.Event().wait()
        raise ValueError("x")

    async def no_pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("hub.api.app.asyncio.sleep", no_pause)
    task = asyncio.create_task(BackgroundTask("test", crash).supervised())
    await again.wait()
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), pauses) == (True, [1.0, 2.0, 4.0])


async def test_the_document_names_its_operations_once_and_needs_no_database() -> None:
    document = create_app(None).openapi()
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    assert {"list_cameras", "issue_order", "list_events"} <= set(names)
