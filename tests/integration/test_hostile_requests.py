"""Requests that somebody with bad intent sends: each is refused by name, none makes the hub stumble (500)."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.services import events
from tests.integration.api_rig import BASE, HOST, PASSWORD, Rig, api
from tests.integration.test_api_duty import jpeg

SECRET = "MyS3cretPassw0rd"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api(tmp_path) as rig:
        yield rig


async def answer(rig: Rig, method: str, path: str, *, base: str = BASE, **given: Any) -> httpx.Response:
    async with rig.client(base=base) as client:
        return await client.request(method, path, **given)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:99999", "[::::::]:8800", "[1.2.3]:8800", "evil.example", "127.1", "0x7f.1", "", "localhost, evil"],
)
async def test_a_host_that_is_not_this_machine_finds_no_demo(rig: Rig, host: str) -> None:
    assert (await answer(rig, "GET", "/api/v1/demo/people", headers={"Host": host})).status_code == 404


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded", "Via", "X-Forwarded-For", "X_Forwarded_For", "X-Original-Forwarded-For", "X-Real-IP",
        "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP", "X-Envoy-External-Address",
    ],
)  # fmt: skip
async def test_a_forwarded_request_finds_no_demo(rig: Rig, header: str) -> None:
    assert (await answer(rig, "GET", "/api/v1/demo/people")).status_code == 200
    assert (await answer(rig, "GET", "/api/v1/demo/people", headers={header: "127.0.0.1"})).status_code == 404


@pytest.mark.parametrize(("page", "status"), [("https", 201), ("http", 403)])
async def test_under_tls_a_page_without_it_is_another_origin(rig: Rig, page: str, status: int) -> None:
    """The default ports are left out of both, so that only the scheme tells them apart."""
    token = await rig.token("commander")
    headers = {"Cookie": f"sharpeyes_session={token}", "Origin": f"{page}://hub.example"}
    made = await answer(
        rig, "POST", "/api/v1/incidents", base="https://hub.example", json={"title": "x"}, headers=headers
    )
    assert made.status_code == status


@pytest.mark.parametrize("path", ["/" + "a" * 300, "/" + "a/" * 4_000, "/%00", "/assets/" + "b" * 5_000, "/%ff%fe"])
async def test_a_path_longer_than_any_name_is_no_crash(rig: Rig, path: str) -> None:
    assert (await answer(rig, "GET", path)).status_code in (200, 404, 503)


@pytest.mark.parametrize("key", [[10**30, "x"], [1, "\ud800"], ["\0", "\ud800"], ["\0", "x"]])
@pytest.mark.parametrize("path", ["/cameras", "/alerts", "/incidents", "/orders"])
async def test_a_forged_cursor_is_refused_by_name(rig: Rig, path: str, key: list[Any]) -> None:
    forged = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
    error = await rig.call("commander", "GET", path, 422, params={"cursor": forged})
    assert error["error"]["id"] == "cursor.invalid"


@pytest.mark.parametrize("query", ["/cameras?q=%00", "/cameras?q=%E2%80%AE", "/events?ref=%00", "/events?kind=%25"])
async def test_a_search_for_what_cannot_be_stored_is_refused(rig: Rig, query: str) -> None:
    error = await rig.call("commander", "GET", query, 422)
    assert error["error"]["id"] == "request.invalid"


@pytest.mark.parametrize("title", ["a\0b", "\x1b[2Jgone", "a\u202eb", "\u2066x", "\u200b\u200b", "two\nlines"])
async def test_names_hold_nothing_that_cannot_be_seen(rig: Rig, title: str) -> None:
    error = await rig.call("commander", "POST", "/incidents", 422, json={"title": title})
    assert error["error"]["field"] == "title"
    assert title not in error["error"]["message"]
    person = {"username": "x-1", "name": title, "role": "field", "unit": "town-a", "password": "a" * 12}
    await rig.call("secadmin", "POST", "/users", 422, json=person)
    camera = {"name": title, "url": "rtsp://10.0.0.1/", "unit": "town-a"}
    await rig.call("sysadmin", "POST", "/cameras", 422, json=camera)


@pytest.mark.parametrize("username", ["a\0b", "\x1b[31m", "x" * 65])
async def test_nobody_signs_in_under_a_name_that_is_none(rig: Rig, username: str) -> None:
    await rig.call(None, "POST", "/sessions", 422, json={"username": username, "password": PASSWORD})


@pytest.mark.parametrize("point", ["[NaN,0]", "[1e308,0]", "[-0.1,0]", "[0,1.01]", "[Infinity,0]"])
async def test_a_polygon_lies_within_the_picture(rig: Rig, point: str) -> None:
    camera = {"name": "闸", "url": "rtsp://10.0.0.1/", "unit": "dept-water"}
    id = (await rig.call("sysadmin", "POST", "/cameras", 201, json=camera))["id"]
    params = f'{{"polygon":[[0,0],[1,1],{point}]}}'
    body = f'{{"camera":"{id}","name":"n","kind":"intrusion","params":{params}}}'
    headers = {"Content-Type": "application/json"}
    error = await rig.call("sysadmin", "POST", "/rules", 422, content=body, headers=headers)
    assert error["error"]["field"].startswith("params.polygon")


async def test_a_password_typed_as_a_user_name_is_not_kept_in_the_log(rig: Rig) -> None:
    await rig.call(None, "POST", "/sessions", 401, json={"username": SECRET, "password": "commander"})
    await rig.call(None, "POST", "/sessions", 401, json={"username": "commander", "password": SECRET})
    await rig.log()
    failed = [e.data for e in await events.events_after(rig.ctx, 0) if e.kind == "account.sign_in_failed"]
    assert [data and data["username"] for data in failed] == ["-", "commander"]


async def test_an_order_that_takes_no_feedback_takes_no_picture_either(rig: Rig) -> None:
    """Else one could fill the disk with pictures that belong to nothing."""
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    order = {"incident": incident, "unit": "dept-water", "text": "抽水"}
    id = (await rig.call("commander", "POST", "/orders", 201, json=order))["id"]
    files = {"picture": ("a.jpg", jpeg(16), "image/jpeg")}
    await rig.call("water", "POST", f"/orders/{id}/feedback", 409, data={"text": "x"}, files=files)
    assert not list((rig.ctx.settings.data / "pictures").rglob("*"))


async def test_the_host_of_the_rig_is_itself_taken(rig: Rig) -> None:
    """Or the refusals above would prove nothing."""
    assert (await answer(rig, "GET", "/api/v1/demo/people", headers={"Host": HOST})).status_code == 200
