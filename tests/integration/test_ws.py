"""/ws through a real server and the Python client: greeting, errors, limits, events, good-byes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from hub.api.clients import QUEUE
from hub.api.ws import MOST_BAD
from hub.domain.events import IncidentNoted, OrderIssued
from hub.services import accounts
from hub.services.context import Context
from hub.store.outbox import record
from signaling import wire
from signaling.transport.ws import Closed, HubSocket, Refused
from tests.integration.live_rig import LiveRig, live_hub, until


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


async def note(ctx: Context, text: str, *, unit: str = "city", count: int = 1) -> None:
    """Events as a use case records them."""
    async with ctx.sessions.begin() as db:
        for n in range(count):
            event = IncidentNoted(by="u-x", text=f"{text}{n}" if count > 1 else text)
            record(db, event, unit=unit, ref="inc-1", at=ctx.clock())


async def test_hello_comes_first_and_says_who_one_is(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        assert ws.hello is not None
        assert ws.hello.now == rig.clock.now
        assert ws.hello.user["username"] == "commander"
        assert "conference.open" in ws.hello.user["rights"]


async def test_a_ping_is_answered_with_the_servers_time(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        await ws.send(wire.Ping(n=7))
        assert await ws.expect(wire.Pong) == wire.Pong(n=7, now=rig.clock.now)


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_without_a_sign_in_the_handshake_is_refused_with_401(rig: LiveRig, token: str) -> None:
    with pytest.raises(Refused) as refused:
        async with rig.apis[0].socket(token):
            pass
    assert refused.value.status == 401
    assert json.loads(refused.value.body)["error"]["id"] == "session.none"


@pytest.mark.parametrize(("origin", "let_in"), [("own", True), ("http://evil.example", False), (None, False)])
async def test_a_cookie_needs_the_origin_of_this_host(rig: LiveRig, origin: str | None, let_in: bool) -> None:
    headers = {"Cookie": f"sharpeyes_session={await rig.token('commander')}"}
    if origin is not None:
        headers["Origin"] = rig.apis[0].base if origin == "own" else origin
    ws = HubSocket(rig.apis[0].base, "", headers=headers)
    if let_in:
        async with ws:
            assert ws.hello is not None
        return
    with pytest.raises(Refused) as refused:
        async with ws:
            pass
    assert refused.value.status == 403
    assert json.loads(refused.value.body)["error"]["id"] == "origin.wrong"


@pytest.mark.parametrize(
    "rubbish",
    ["", "{", "[]", '{"type":"rule.the.world"}', '{"type":"ping","n":1,"x":2}', '{"type":"ping","n":-1}', b"\x00\xff"],
)
async def test_what_is_not_understood_is_answered_and_the_socket_stays_open(rig: LiveRig, rubbish: str | bytes) -> None:
    async with await rig.socket("commander") as ws:
        await ws.send_raw(rubbish)
        assert (await ws.expect(wire.Failed)).error == "ws.not_understood"
        await ws.send(wire.Ping(n=1))
        await ws.expect(wire.Pong)


async def test_who_sends_only_rubbish_is_closed_with_1008(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        for _ in range(MOST_BAD):
            await ws.send_raw("{")
        closed = await ws.until_closed()
    assert (closed.code, closed.reason) == (1008, "ws.too_many_errors")


async def test_a_message_over_16_kib_closes_with_1009(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        await ws.send_raw(" " * (wire.MAX_CLIENT_BYTES + 1))
        closed = await ws.until_closed()
    assert closed.code == 1009


async def test_a_flood_closes_with_1008(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        try:
            for n in range(2_000):
                await ws.send(wire.Ping(n=n))
            closed = await ws.until_closed()
        except Closed as early:
            closed = early
    assert (closed.code, closed.reason) == (1008, "ws.too_many_messages")


async def test_a_refused_command_names_its_error_and_the_message_it_is_about(rig: LiveRig) -> None:
    async with await rig.socket("water") as ws:
        await ws.send(wire.ConferenceEnd(conference="conf-none"))
        failed = await ws.expect(wire.Failed)
    assert (failed.error, failed.re) == ("conference.unknown", "conference.end")


async def test_events_come_once_each_in_order_from_the_greeting_on(rig: LiveRig) -> None:
    await note(rig.ctx, "before")
    await rig.logged("incident.noted")
    async with await rig.socket("commander") as ws:
        assert ws.hello is not None
        await note(rig.ctx, "n", count=100)
        seqs = [(await ws.expect(wire.Event, lambda e: e.kind == "incident.noted")).seq for _ in range(100)]
        later = [seq for seq in seqs if seq > ws.hello.seq]
    assert seqs == sorted(set(seqs))
    assert len(later) == 100


async def test_one_sees_only_events_of_what_one_may_see(rig: LiveRig) -> None:
    async with await rig.socket("water") as water, await rig.socket("fire") as fire:
        order = OrderIssued(by="u-x", number=1, text="t", sign_due_at=1, feedback_due_at=2)
        async with rig.ctx.sessions.begin() as db:
            record(db, order, unit="dept-fire", ref="ord-1", at=rig.clock())
            record(db, order, unit="dept-water", ref="ord-2", at=rig.clock())
        assert (await fire.expect(wire.Event)).ref == "ord-1"
        assert (await water.expect(wire.Event)).ref == "ord-2"


async def test_a_client_that_does_not_read_is_let_go_and_others_are_not_held_up(rig: LiveRig) -> None:
    token = await rig.token("commander")
    host, port = rig.apis[0].base.removeprefix("http://").split(":")
    deaf = socket.create_connection((host, int(port)))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    fanout = rig.apis[0].live.fanout
    me = (await accounts.authenticate(rig.ctx, token)).actor.id
    await until(lambda: fanout.sockets_of(me) == 1)
    async with await rig.socket("organiser") as reader:
        sent = 0
        async with asyncio.timeout(60):
            while fanout.sockets_of(me):
                await note(rig.ctx, "x" * 20_000, count=QUEUE)
                for _ in range(QUEUE):
                    await reader.expect(wire.Event, lambda e: e.kind == "incident.noted")
                sent += QUEUE
                assert sent < 20 * QUEUE
    deaf.close()


async def test_signing_out_says_bye_to_that_sign_in_alone(rig: LiveRig) -> None:
    other = await rig.sign_in("commander")
    async with await rig.socket("commander") as first, rig.apis[0].socket(other) as second:
        await rig.call("commander", "DELETE", "/api/v1/sessions/current", 204)
        closed = await first.until_closed()
        assert (closed.code, closed.bye) == (4401, "signed_out")
        await second.send(wire.Ping(n=1))
        await second.expect(wire.Pong)


async def test_a_sign_in_that_runs_out_says_bye(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        rig.clock.pass_(13 * 3_600)
        await rig.apis[0].live.fanout.check_sessions()
        closed = await ws.until_closed()
    assert (closed.code, closed.bye) == (4401, "expired")


async def test_presence_counts_people_not_sockets_and_is_told_to_all(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        async with await rig.socket("water"), await rig.socket("water"):
            await ws.expect(wire.Presence, lambda p: p.units == {"city": 1, "dept-water": 1})
            units = await rig.call("commander", "GET", "/api/v1/units", 200)
            assert {unit["id"]: unit["online"] for unit in units["items"]}["dept-water"] == 1
        await ws.expect(wire.Presence, lambda p: p.units == {"city": 1})


async def test_an_order_is_delivered_when_a_terminal_shows_it(rig: LiveRig) -> None:
    incident = await rig.call("commander", "POST", "/api/v1/incidents", 201, json={"title": "积水"})
    body = {"incident": incident["id"], "unit": "dept-water", "text": "排水"}
    async with await rig.socket("water") as water, await rig.socket("commander") as commander:
        order = await rig.call("commander", "POST", "/api/v1/orders", 201, json=body)
        issued = await water.expect(wire.Event, lambda e: e.kind == "order.issued")
        assert issued.ref == order["id"]
        await water.send(wire.OrderReceived(order=order["id"]))
        delivered = await commander.expect(wire.Event, lambda e: e.kind == "order.delivered")
        assert delivered.ref == order["id"]
        await commander.send(wire.OrderReceived(order=order["id"]))
        assert (await commander.expect(wire.Failed)).error == "right.missing"


async def test_events_go_on_after_redis_died_and_came_back(rig: LiveRig) -> None:
    async with await rig.socket("commander") as ws:
        await rig.redis.kill()
        await note(rig.ctx, "while Redis is dead")
        await ws.expect(wire.Event, lambda e: (e.data or {}).get("text") == "while Redis is dead")
        await rig.redis.start()
        await note(rig.ctx, "and after")
        await ws.expect(wire.Event, lambda e: (e.data or {}).get("text") == "and after")
