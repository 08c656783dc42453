"""Every route of the OpenAPI document as every role and as nobody, against a table written by hand.

A route that is not in the table fails: whoever adds one decides here who may use it.
"""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import APIRouter

from hub.api import app as app_module
from hub.api.app import PUBLIC, create_app
from hub.domain.roles import Role
from tests.integration.api_rig import PEOPLE, Rig, api

EVERYBODY: Final = frozenset(Role)
C, D, F, O, E = Role.COMMANDER, Role.DEPARTMENT, Role.FIELD, Role.ORGANISER, Role.EVALUATOR  # noqa: E741
SYS, SEC, AUD = Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDITOR

WATCH = {C, D, O, SYS}
MATRIX: Final[dict[str, dict[str, set[Role] | frozenset[Role]]]] = {
    "/api/v1/sessions/current": {"get": EVERYBODY, "delete": EVERYBODY},
    "/api/v1/units": {"get": EVERYBODY},
    "/api/v1/system": {"get": EVERYBODY},
    "/api/v1/users": {"get": {SEC}, "post": {SEC}},
    "/api/v1/cameras": {"get": WATCH, "post": {SYS}},
    "/api/v1/cameras/{}": {"get": WATCH, "patch": {SYS}, "delete": {SYS}},
    "/api/v1/cameras/{}/commands": {"post": {C, D, SYS}},
    "/api/v1/cameras/{}/records": {"get": {C, D, SYS}},
    "/api/v1/cameras/{}/playbacks": {"post": {C, D, SYS}},
    "/api/v1/playbacks/{}": {"delete": {C, D, SYS}},
    "/api/v1/playbacks/{}/control": {"post": {C, D, SYS}},
    "/whep/playbacks/{}": {"post": {C, D, SYS}},
    "/whip/cameras/{}/talk": {"post": {C, D, SYS}},
    "/api/v1/cameras/{}/snapshot": {"get": WATCH},
    "/api/v1/cameras/{}/pictures": {"post": {C, D, SYS}},
    "/api/v1/cameras/{}/pictures/{}": {"get": WATCH},
    "/api/v1/cameras/{}/pictures/{}/{}": {"get": WATCH},
    "/api/v1/gb28181": {"get": {SYS}, "patch": {SYS}},
    "/api/v1/devices": {"get": {SYS}, "post": {SYS}},
    "/api/v1/devices/{}": {"get": {SYS}, "patch": {SYS}, "delete": {SYS}},
    "/api/v1/devices/{}/catalog": {"post": {SYS}},
    "/api/v1/devices/{}/channels": {"get": {SYS}},
    "/api/v1/devices/{}/positions": {"get": {SYS}},
    "/api/v1/devices/{}/trace": {"get": {SYS}},
    "/api/v1/platforms": {"get": {SYS}, "post": {SYS}},
    "/api/v1/platforms/{}": {"patch": {SYS}, "delete": {SYS}},
    "/api/v1/platforms/{}/cameras": {"get": {SYS}, "put": {SYS}},
    "/api/v1/rules": {"get": WATCH, "post": {C, SYS}},
    "/api/v1/rules/{}": {"patch": {C, SYS}, "delete": {C, SYS}},
    "/api/v1/alerts": {"get": {C, D, O}},
    "/api/v1/alerts/{}": {"get": {C, D, O}},
    "/api/v1/alerts/{}/picture": {"get": {C, D, O}},
    "/api/v1/alerts/{}/acknowledge": {"post": {C}},
    "/api/v1/alerts/{}/dismiss": {"post": {C}},
    "/api/v1/incidents": {"get": {C, D, O, E}, "post": {C}},
    "/api/v1/incidents/{}": {"get": {C, D, O, E}},
    "/api/v1/incidents/{}/notes": {"post": {C}},
    "/api/v1/incidents/{}/close": {"post": {C}},
    "/api/v1/orders": {"get": {C, D, F, O, E}, "post": {C}},
    "/api/v1/orders/{}": {"get": {C, D, F, O, E}},
    "/api/v1/orders/{}/sign": {"post": {D, F}},
    "/api/v1/orders/{}/feedback": {"post": {D, F}},
    "/api/v1/orders/{}/review": {"post": {C}},
    "/api/v1/orders/{}/close": {"post": {C}},
    "/api/v1/orders/{}/feedback/{}/picture": {"get": {C, D, F, O, E}},
    "/api/v1/conferences": {"get": {C, D, F}, "post": {C}},
    "/api/v1/conferences/{}": {"get": {C, D, F}},
    "/api/v1/drills/scenarios": {"get": {C, O, E}, "post": {O}},
    "/api/v1/drills/runs": {"get": {C, O, E}, "post": {O}},
    "/api/v1/drills/runs/{}": {"get": {C, O, E}},
    "/api/v1/drills/runs/{}/start": {"post": {O}},
    "/api/v1/drills/runs/{}/end": {"post": {O}},
    "/api/v1/drills/runs/{}/score": {"get": {C, O, E}, "post": {O}},
    "/api/v1/events": {"get": {C, O, AUD}},
    "/api/v1/media/ice-servers": {"get": WATCH | {F}},
    "/whep/cameras/{}": {"post": WATCH},
    "/whep/conferences/{}/stage": {"post": {C, D, F}},
    "/whep/conferences/{}/members/{}": {"post": {C, D, F}},
    "/whip/conferences/{}": {"post": {C, D, F}},
    "/whep/sessions/{}": {"delete": {C, D, F, O, SYS}, "patch": {C, D, F, O, SYS}},
    "/whip/sessions/{}": {"delete": {C, D, F, O, SYS}, "patch": {C, D, F, O, SYS}},
}
"""Path (parameters as ``{}``) -> method -> the roles that pass the guard. All others get 403, nobody gets 401."""

UNGUARDED: Final = {("post", "/api/v1/sessions"), ("get", "/api/v1/demo/people"), ("post", "/api/v1/demo/sessions")}
"""Signing in. The demo's two check for themselves that the request comes from this machine."""

ROLE_OF: Final = {username: role for username, role, _ in PEOPLE}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api(tmp_path) as rig:
        yield rig


def documented(rig: Rig) -> list[tuple[str, str]]:
    """(method, path) of every operation of the document."""
    paths: dict[str, Any] = rig.app.openapi()["paths"]
    return [(method, path) for path, operations in paths.items() for method in operations]


def shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


async def test_nobody_gets_in_anywhere(rig: Rig) -> None:
    async with await rig.as_(None) as client:
        for method, path in documented(rig):
            if (method, path) in UNGUARDED:
                continue
            answer = await client.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.json()["error"]["id"] == "session.none", f"{method} {path}"


async def test_every_route_lets_in_exactly_the_roles_of_the_table(rig: Rig) -> None:
    wrong: list[str] = []
    for method, path in documented(rig):
        if (method, path) in UNGUARDED:
            continue
        allowed = MATRIX.get(shape(path), {}).get(method)
        if allowed is None:
            wrong.append(f"{method} {path} is not in the table")
            continue
        for username, role in ROLE_OF.items():
            async with await rig.as_(username) as client:
                answer = await client.request(method, path.replace("{", "").replace("}", ""))
            if path.endswith("/sessions/current") and method == "delete":
                rig.tokens.pop(username)
            forbidden = answer.status_code == 403 and answer.json()["error"]["id"] == "right.missing"
            if forbidden is (role in allowed) or answer.status_code in (401, 500):
                wrong.append(f"{method} {path} as {role}: {answer.status_code}")
    assert wrong == []


async def test_the_table_holds_no_route_that_is_gone(rig: Rig) -> None:
    there = {(method, shape(path)) for method, path in documented(rig)}
    assert {(method, path) for path, methods in MATRIX.items() for method in methods} <= there


async def test_an_application_with_an_undeclared_route_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = APIRouter()

    @careless.get("/everything")
    async def everything() -> int:
        return 1

    known = app_module.routers()
    monkeypatch.setattr(app_module, "routers", lambda: [*known, ("/api/v1", careless)])
    with pytest.raises(RuntimeError, match="/api/v1/everything declares no right"):
        create_app(None)


async def test_the_public_list_is_what_it_was() -> None:
    assert {
        ("POST", "/api/v1/sessions"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("POST", "/uploads/{session}"),  # the address is a secret that was made for one device's pictures
        ("PUT", "/uploads/{session}"),
    } == PUBLIC


async def test_metrics_need_this_machine_or_the_right(rig: Rig) -> None:
    for address, headers, username, status in (
        ("127.0.0.1", {}, None, 200),
        ("127.0.0.1", {"X-Forwarded-For": "1.2.3.4"}, None, 401),
        ("192.0.2.7", {}, None, 401),
        ("192.0.2.7", {}, "commander", 403),
        ("192.0.2.7", {}, "auditor", 200),
    ):
        token = {"Authorization": f"Bearer {await rig.token(username)}"} if username else {}
        async with rig.client(address=address) as client:
            answer = await client.get("/metrics", headers=headers | token)
        assert answer.status_code == status, (address, username)
    assert "sharpeyes_http_requests_total" in (await rig.client().get("/metrics")).text
