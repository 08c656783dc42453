"""Signing in and out, by token and by cookie, and the demo's one click."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.api.security import COOKIE
from hub.services.accounts import ABSOLUTE_MS, IDLE_MS, SESSIONS_A_USER, demo_sign_in
from hub.store.tables import SessionRow, UserRow
from tests.integration.api_rig import BASE, PASSWORD, Rig, api

GOOD = {"username": "commander", "password": PASSWORD}
BAD = {"username": "commander", "password": "wrong wrong wrong"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api(tmp_path) as rig:
        yield rig


async def test_a_password_opens_a_session_and_the_token_is_stored_nowhere(rig: Rig) -> None:
    session = await rig.call(None, "POST", "/sessions", 201, json=GOOD)
    assert session["user"]["role"] == "commander"
    assert "alert.handle" in session["user"]["rights"]
    assert session["expires_at"] == rig.clock.now + IDLE_MS
    async with rig.client(headers={"Authorization": f"Bearer {session['token']}"}) as client:
        assert (await client.get("/api/v1/sessions/current")).json()["unit_name"] == "如意市"
    async with rig.ctx.reading() as db:
        rows = (await db.scalars(select(SessionRow))).all()
        hashed = await db.scalar(select(UserRow.password_hash).where(UserRow.username == "commander"))
    assert [len(row.token_hash) for row in rows] == [64]
    assert session["token"] not in str([vars(row) for row in rows])
    assert str(hashed).startswith("$argon2id$")


@pytest.mark.parametrize("username", ["commander", "nobody-at-all"])
async def test_a_wrong_password_and_an_unknown_user_answer_alike(rig: Rig, username: str) -> None:
    error = await rig.call(None, "POST", "/sessions", 401, json=BAD | {"username": username})
    assert error == {"error": {"id": "session.wrong", "message": "user name or password is wrong"}}
    assert (await rig.log())[-1] == "account.sign_in_failed"


async def test_guessing_is_slowed_down_for_the_guesser_and_not_for_the_person(rig: Rig) -> None:
    async with rig.client(address="192.0.2.66") as guesser:
        answers = [(await guesser.post("/api/v1/sessions", json=BAD)).status_code for _ in range(7)]
        assert answers == [401] * 5 + [429] * 2
        refused = await guesser.post("/api/v1/sessions", json=GOOD)
        assert (refused.status_code, refused.json()["error"]["id"]) == (429, "session.too_many")
        assert refused.headers["retry-after"] == "1"
        await rig.call(None, "POST", "/sessions", 201, json=GOOD)  # the person, from elsewhere
        rig.clock.pass_(1)
        assert (await guesser.post("/api/v1/sessions", json=BAD)).status_code == 401
        rig.clock.pass_(1)
        assert (await guesser.post("/api/v1/sessions", json=GOOD)).status_code == 429  # the wait doubled


async def test_an_address_that_tries_many_names_is_slowed_down(rig: Rig) -> None:
    async with rig.client(address="192.0.2.66") as guesser:
        answers = [
            (await guesser.post("/api/v1/sessions", json=BAD | {"username": f"user-{n}"})).status_code
            for n in range(32)
        ]
    assert answers == [401] * 30 + [429] * 2


async def test_many_right_sign_ins_from_one_address_are_no_guessing(rig: Rig) -> None:
    for _ in range(40):
        await rig.call(None, "POST", "/sessions", 201, json=GOOD)


async def test_parallel_guesses_are_counted_before_they_are_checked(rig: Rig) -> None:
    async with rig.client(address="192.0.2.66") as guesser:
        answers = await asyncio.gather(*(guesser.post("/api/v1/sessions", json=BAD) for _ in range(12)))
    assert sum(answer.status_code == 401 for answer in answers) == 5


async def test_a_session_slides_with_use_and_ends_after_seven_days_at_the_latest(rig: Rig) -> None:
    token = await rig.token("commander")
    async with rig.client(headers={"Authorization": f"Bearer {token}"}) as client:
        for _ in range(ABSOLUTE_MS // (IDLE_MS // 2)):
            rig.clock.now += IDLE_MS // 2 - 1
            assert (await client.get("/api/v1/sessions/current")).status_code == 200
        rig.clock.now += 28
        ended = await client.get("/api/v1/sessions/current")
    assert (ended.status_code, ended.json()["error"]["id"]) == (401, "session.expired")


async def test_an_idle_session_ends(rig: Rig) -> None:
    token = await rig.token("commander")
    rig.clock.now += IDLE_MS
    async with rig.client(headers={"Authorization": f"Bearer {token}"}) as client:
        assert (await client.get("/api/v1/sessions/current")).status_code == 401


async def test_signing_out_ends_this_session_alone(rig: Rig) -> None:
    first = await rig.call(None, "POST", "/sessions", 201, json=GOOD)
    second = await rig.call(None, "POST", "/sessions", 201, json=GOOD)
    for session, before, after in ((first, 204, 401), (second, 200, 200)):
        async with rig.client(headers={"Authorization": f"Bearer {session['token']}"}) as client:
            method = "DELETE" if session is first else "GET"
            assert (await client.request(method, "/api/v1/sessions/current")).status_code == before
            assert (await client.get("/api/v1/sessions/current")).status_code == after
    assert (await rig.log())[-1] == "account.signed_out"


async def test_one_person_has_a_bounded_number_of_sessions(rig: Rig) -> None:
    first = await rig.token("commander")
    for _ in range(SESSIONS_A_USER):
        rig.clock.pass_(1)
        await demo_sign_in(rig.ctx, username="commander", address="127.0.0.1")
    async with rig.ctx.reading() as db:
        assert len((await db.scalars(select(SessionRow))).all()) == SESSIONS_A_USER
    async with rig.client(headers={"Authorization": f"Bearer {first}"}) as client:
        assert (await client.get("/api/v1/sessions/current")).status_code == 401


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(rig: Rig) -> None:
    for base, secure in ((BASE, False), ("https://hub.example", True)):
        async with rig.client(base=base) as client:
            answer = await client.post("/api/v1/sessions", json=GOOD)
            cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert ("Secure" in cookie) is secure
        assert ("strict-transport-security" in answer.headers) is secure


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (BASE, 204),
        (None, 403),
        ("null", 403),
        ("http://127.0.0.1:8801", 403),
        ("http://evil.example", 403),
        ("http://127.0.0.1:8800.evil.example", 403),
        ("file://127.0.0.1:8800", 403),
        ("http://[", 403),
    ],
)
async def test_a_cookie_changes_something_only_from_a_page_of_this_host(
    rig: Rig, origin: str | None, status: int
) -> None:
    token = await rig.token("commander")
    headers = {"Origin": origin} if origin else {}
    async with rig.client(cookies={COOKIE: token}) as client:
        assert (await client.get("/api/v1/sessions/current")).status_code == 200
        assert (await client.delete("/api/v1/sessions/current", headers=headers)).status_code == status


async def test_signing_in_from_a_page_of_another_host_is_refused(rig: Rig) -> None:
    async with rig.client(headers={"Origin": "http://evil.example"}) as client:
        answer = await client.post("/api/v1/sessions", json=GOOD)
    assert (answer.status_code, answer.json()["error"]["id"]) == (403, "origin.wrong")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "Bearer " + "x" * 200, "token"])
async def test_other_authorization_headers_are_nobody(rig: Rig, header: str) -> None:
    async with rig.client(headers={"Authorization": header}) as client:
        answer = await client.get("/api/v1/sessions/current")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_the_demo_signs_in_by_one_click_from_this_machine(rig: Rig) -> None:
    async with rig.client(base="http://localhost:8800") as client:
        people = (await client.get("/api/v1/demo/people")).json()["items"]
        assert ("water", "department", "水利局") in [
            (each["username"], each["role"], each["unit_name"]) for each in people
        ]
        answer = await client.post("/api/v1/demo/sessions", json={"username": "water"})
        assert answer.status_code == 201
        assert (await client.get("/api/v1/sessions/current")).json()["username"] == "water"
        unknown = await client.post("/api/v1/demo/sessions", json={"username": "nobody"})
        assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("address", "host", "headers"),
    [
        ("192.0.2.7", "127.0.0.1:8800", {}),
        ("127.0.0.1", "evil.example:8800", {}),
        ("127.0.0.1", "127.0.0.1.evil.example:8800", {}),
        ("127.0.0.1", "localhost.evil.example", {}),
        ("127.0.0.1", "127.0.0.1:8800", {"Forwarded": "for=1.2.3.4"}),
        ("127.0.0.1", "127.0.0.1:8800", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", "127.0.0.1:8800", {"X-Forwarded-Host": "x"}),
        ("127.0.0.1", "127.0.0.1:8800", {"X-Real-IP": "1.2.3.4"}),
        ("127.0.0.1", "127.0.0.1:8800", {"Via": "1.1 proxy"}),
        ("127.0.0.1", "127.0.0.1:8800", {"Host": "evil.example"}),
        ("127.0.0.1", "127.0.0.1:8800", {"Host": "localhost:99"}),
        ("127.0.0.1", "127.0.0.1:8800", {"Host": ""}),
    ],
)
async def test_the_demos_door_does_not_exist_for_others(
    rig: Rig, address: str, host: str, headers: dict[str, str]
) -> None:
    async with rig.client(address=address, base=f"http://{host}", headers=headers) as client:
        for answer in (
            await client.get("/api/v1/demo/people"),
            await client.post("/api/v1/demo/sessions", json={"username": "commander"}),
        ):
            assert (answer.status_code, answer.json()["error"]["id"]) == (404, "route.unknown")


async def test_outside_the_demo_there_is_no_such_door(tmp_path: Path) -> None:
    async with api(tmp_path, demo=False) as rig:
        await rig.call(None, "GET", "/demo/people", 404)
        await rig.call(None, "POST", "/demo/sessions", 404, json={"username": "commander"})
        await rig.call(None, "POST", "/sessions", 201, json=GOOD)


async def test_people_are_added_by_the_security_administrator(rig: Rig) -> None:
    person = {"username": "li.lei", "name": "李雷", "role": "field", "unit": "village-a1", "password": "long enough 1"}
    added = await rig.call("secadmin", "POST", "/users", 201, json=person)
    assert (added["unit_name"], added["online"]) == ("柳村", False)
    assert "password" not in str(added)
    twice = await rig.call("secadmin", "POST", "/users", 409, json=person)
    assert twice["error"]["id"] == "user.exists"
    nowhere = await rig.call("secadmin", "POST", "/users", 422, json=person | {"username": "x1", "unit": "nowhere"})
    assert nowhere["error"] == {"id": "user.unit", "message": "no such unit", "field": "unit"}
    short = await rig.call("secadmin", "POST", "/users", 422, json=person | {"password": "hunter2"})
    assert (short["error"]["id"], short["error"]["field"]) == ("request.invalid", "password")
    assert "hunter2" not in str(short)
    await rig.call(None, "POST", "/sessions", 201, json={"username": "li.lei", "password": person["password"]})
