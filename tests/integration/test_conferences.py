"""Conferences over the real interface: ringing, answering, declining, missing, ending; two processes on one Redis."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.bus.relay_wire import AnomalyReport
from hub.domain.conference import LOST_MS, RING_MS
from hub.domain.roles import Role
from hub.services import conferences
from hub.services.access import SYSTEM
from hub.services.accounts import add_user
from hub.services.alerts import raise_alert
from hub.services.cameras import add_camera
from hub.services.rules import add_rule
from hub.store.tables_duty import MemberRow, RunRow
from signaling import wire
from signaling.transport.ws import HubSocket
from tests.integration.live_rig import LiveRig, live_hub, serving, until


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


def member(conference: Any, unit: str) -> Any:
    return next(found for found in conference["members"] if found["unit"] == unit)


async def running_drill(rig: LiveRig, id: str) -> None:
    now = rig.clock.now
    texts = dict.fromkeys(("scenario_text", "rubric_text", "scenario_sha256", "rubric_sha256"), "")
    async with rig.ctx.sessions.begin() as db:
        db.add(
            RunRow(
                id=id, title="演练", scenario="flood", state="running", planned_at=now, started_at=now, by="u",
                by_name="组织", units=["dept-water"], injects=[], **texts,
            )
        )  # fmt: skip


async def raised_alert(rig: LiveRig) -> str:
    camera = await add_camera(rig.ctx, SYSTEM, name="水位", url="rtsp://10.0.0.9/1", unit="dept-water")
    rule = await add_rule(
        rig.ctx, SYSTEM, camera=camera.id, kind="crowd", name="聚集", severity="major", params={"persons": 3}
    )
    report = AnomalyReport(
        rule=rule.id, camera=camera.id, kind="crowd", at=rig.clock.now, score=0.8, count=3, boxes=[], picture=None,
        model="m", demonstration=True,
    )  # fmt: skip
    alert = await raise_alert(rig.ctx, report, None)
    assert alert is not None
    return alert


async def state_where(ws: HubSocket, unit: str, state: str) -> dict[str, Any]:
    """Wait for a conference.state in which the unit's member is in this state."""
    found = await ws.expect(wire.ConferenceState, lambda m: member(m.conference, unit)["state"] == state)
    return found.conference


async def test_a_unit_rings_answers_joins_and_leaves_and_everybody_is_told(rig: LiveRig) -> None:
    async with await rig.socket("commander") as host, await rig.socket("water") as water:
        conference = await rig.open_conference("dept-water", title="积水会商")
        assert member(conference, "city")["host"]
        assert member(conference, "city")["state"] == "answered"
        ring = await water.expect(wire.Ring)
        assert (ring.conference, ring.title, ring.caller) == (conference["id"], "积水会商", "赵指挥")
        assert ring.until == rig.clock.now + RING_MS
        await water.send(wire.CallRinging(conference=ring.conference))
        await water.send(wire.CallAnswer(conference=ring.conference, accept=True))
        assert (await water.expect(wire.RingEnded)).reason == "answered"
        seen = await state_where(host, "dept-water", "answered")
        assert member(seen, "dept-water")["name"] == "water"
        assert await state_where(water, "dept-water", "answered") == seen
        await conferences.mark_joined(rig.ctx, ring.member)  # what the relay reports
        seen = await state_where(host, "dept-water", "joined")
        assert member(seen, "dept-water")["publishing"]
        await water.send(wire.ConferenceDevices(conference=ring.conference, audio=False, video=True))
        await host.expect(wire.ConferenceState, lambda m: not member(m.conference, "dept-water")["audio"])
        await water.send(wire.ConferenceLeave(conference=ring.conference))
        await state_where(host, "dept-water", "left")
        await rig.logged("conference.left")
    kinds = [(kind, unit) for kind, unit in await rig.log() if kind.startswith("conference.")]
    assert kinds == [
        ("conference.opened", "city"),
        ("conference.rung", "dept-water"),
        ("conference.answered", "dept-water"),
        ("conference.joined", "dept-water"),
        ("conference.left", "dept-water"),
    ]


async def test_the_first_of_a_unit_to_answer_takes_the_call(rig: LiveRig) -> None:
    await add_user(
        rig.ctx, SYSTEM, username="water2", name="w2", role=Role.FIELD, unit="dept-water", password="x" * 12, demo=True
    )
    async with await rig.socket("water") as first, await rig.socket("water2") as second:
        conference = await rig.open_conference("dept-water")
        await first.expect(wire.Ring)
        await second.expect(wire.Ring)
        await second.send(wire.CallAnswer(conference=conference["id"], accept=True))
        assert (await second.expect(wire.RingEnded)).reason == "answered"
        assert (await first.expect(wire.RingEnded)).reason == "answered_elsewhere"
        await first.send(wire.CallAnswer(conference=conference["id"], accept=True))
        assert (await first.expect(wire.Failed)).error == "conference.unknown"  # a colleague's call is not one's own
    await rig.call("water2", "GET", f"/api/v1/conferences/{conference['id']}", 200)
    await rig.call("water", "GET", f"/api/v1/conferences/{conference['id']}", 404)


async def test_of_five_answers_at_once_one_wins(rig: LiveRig) -> None:
    conference = await rig.open_conference("dept-water")
    token = await rig.token("water")
    sockets = [rig.apis[0].socket(token) for _ in range(5)]
    for ws in sockets:
        await ws.__aenter__()
    try:
        await asyncio.gather(*(ws.send(wire.CallAnswer(conference=conference["id"], accept=True)) for ws in sockets))
        failed = [asyncio.create_task(ws.expect(wire.Failed)) for ws in sockets]
        done: set[asyncio.Task[wire.Failed]] = set()
        async with asyncio.timeout(60):
            while len(done) < len(sockets) - 1:
                found, _ = await asyncio.wait(set(failed) - done, return_when=asyncio.FIRST_COMPLETED)
                done |= found
        assert {task.result().error for task in done} == {"conference.answered_elsewhere"}
        for task in set(failed) - done:
            task.cancel()
        await asyncio.gather(*failed, return_exceptions=True)
    finally:
        for ws in sockets:
            await ws.__aexit__(None, None, None)
    await rig.logged("conference.answered")
    assert [kind for kind, _ in await rig.log()].count("conference.answered") == 1


async def test_a_declined_call_can_be_rung_again(rig: LiveRig) -> None:
    async with await rig.socket("commander") as host, await rig.socket("fire") as fire:
        conference = await rig.open_conference("dept-fire")
        await fire.expect(wire.Ring)
        await fire.send(wire.CallAnswer(conference=conference["id"], accept=False))
        assert (await fire.expect(wire.RingEnded)).reason == "declined"
        await state_where(host, "dept-fire", "declined")
        await host.send(wire.ConferenceInvite(conference=conference["id"], units=("dept-fire", "dept-water")))
        again = await fire.expect(wire.Ring)
        assert again.member == member(conference, "dept-fire")["id"]
        seen = await host.expect(wire.ConferenceState, lambda m: len(m.conference["members"]) == 3)
        assert {m["unit"]: m["state"] for m in seen.conference["members"]} == {
            "city": "answered",
            "dept-fire": "ringing",
            "dept-water": "ringing",
        }


async def test_a_call_that_nobody_takes_is_missed_after_45_seconds(rig: LiveRig) -> None:
    async with await rig.socket("commander") as host, await rig.socket("water") as water:
        conference = await rig.open_conference("dept-water")
        await water.expect(wire.Ring)
        rig.clock.now += RING_MS - 1
        assert await conferences.miss_rung_out(rig.ctx) == 0
        rig.clock.now += 1
        assert (await water.expect(wire.RingEnded)).reason == "missed"
        await state_where(host, "dept-water", "missed")
        await water.send(wire.CallAnswer(conference=conference["id"], accept=True))
        assert (await water.expect(wire.Failed)).error == "conference.not_ringing"


async def test_only_the_host_ends_it_and_then_it_is_over_for_all(rig: LiveRig) -> None:
    async with (
        await rig.socket("commander") as host,
        await rig.socket("water") as water,
        await rig.socket("fire") as fire,
    ):
        conference = await rig.open_conference("dept-water", "dept-fire")
        await water.send(wire.CallAnswer(conference=conference["id"], accept=True))
        await state_where(host, "dept-water", "answered")
        for message in (
            wire.ConferenceEnd(conference=conference["id"]),
            wire.ConferenceStage(conference=conference["id"], camera=None),
            wire.ConferenceInvite(conference=conference["id"], units=("town-a",)),
        ):
            await water.send(message)
            assert (await water.expect(wire.Failed)).error == "conference.not_host"
        await host.send(wire.ConferenceEnd(conference=conference["id"]))
        assert (await fire.expect(wire.RingEnded)).reason == "ended"
        over = await water.expect(wire.ConferenceState, lambda m: m.conference["ended_at"] is not None)
        assert {found["state"] for found in over.conference["members"]} == {"left"}
        await host.send(wire.ConferenceEnd(conference=conference["id"]))
        assert (await host.expect(wire.Failed)).error == "conference.ended"
    assert (await rig.call("commander", "GET", "/api/v1/conferences", 200))["items"] == []


async def test_it_ends_by_itself_when_everybody_has_left(rig: LiveRig) -> None:
    async with await rig.socket("commander") as host, await rig.socket("water") as water:
        conference = await rig.open_conference("dept-water")
        await water.expect(wire.Ring)
        await host.send(wire.ConferenceLeave(conference=conference["id"]))
        assert (await water.expect(wire.RingEnded)).reason == "ended"
        await rig.logged("conference.ended")


async def test_a_host_who_left_is_offered_the_way_back_and_is_host_again(rig: LiveRig) -> None:
    async with await rig.socket("commander") as host, await rig.socket("water") as water:
        conference = await rig.open_conference("dept-water", "dept-fire")
        await water.send(wire.CallAnswer(conference=conference["id"], accept=True))
        await state_where(host, "dept-water", "answered")
        await host.send(wire.ConferenceLeave(conference=conference["id"]))
        await state_where(water, "city", "left")
        [offered] = (await rig.call("commander", "GET", "/api/v1/conferences", 200))["items"]
        assert (offered["id"], member(offered, "city")["state"]) == (conference["id"], "left")
        await host.send(wire.CallAnswer(conference=conference["id"], accept=True))
        back = await state_where(water, "city", "answered")
        assert member(back, "city")["host"]
        await host.send(wire.CallAnswer(conference=conference["id"], accept=True))  # twice is an error, not two seats
        assert (await host.expect(wire.Failed)).error == "conference.not_ringing"
        await host.send(wire.ConferenceEnd(conference=conference["id"]))
        await water.expect(wire.ConferenceState, lambda m: m.conference["ended_at"] is not None)


async def test_a_commander_of_the_hosts_unit_invites_while_the_host_is_away_and_does_no_more(rig: LiveRig) -> None:
    await add_user(
        rig.ctx, SYSTEM, username="deputy", name="d", role=Role.COMMANDER, unit="city", password="x" * 12, demo=True
    )
    await add_user(
        rig.ctx, SYSTEM, username="away", name="a", role=Role.COMMANDER, unit="town-a", password="x" * 12, demo=True
    )
    async with await rig.socket("deputy") as deputy, await rig.socket("away") as away, await rig.socket("fire") as fire:
        conference = await rig.open_conference("dept-water")
        await rig.call("deputy", "GET", f"/api/v1/conferences/{conference['id']}", 200)
        await rig.call("away", "GET", f"/api/v1/conferences/{conference['id']}", 404)
        invite = wire.ConferenceInvite(conference=conference["id"], units=("dept-fire",))
        await away.send(invite)
        assert (await away.expect(wire.Failed)).error == "conference.unknown"
        await deputy.send(invite)
        assert (await fire.expect(wire.Ring)).conference == conference["id"]
        await deputy.send(wire.ConferenceEnd(conference=conference["id"]))
        assert (await deputy.expect(wire.Failed)).error == "conference.not_host"


async def test_a_conference_straight_from_an_alert_belongs_to_the_drill_that_was_chosen(rig: LiveRig) -> None:
    await running_drill(rig, "run-flood")
    alert = await raised_alert(rig)
    conference = await rig.open_conference("dept-water", alert=alert, run="run-flood")
    assert conference["run"] == "run-flood"
    shown = await rig.call("commander", "GET", f"/api/v1/incidents/{conference['incident']}", 200)
    assert shown["incident"]["run"] == "run-flood"
    alone = await rig.open_conference("dept-fire", run="run-flood")
    assert (alone["incident"], alone["run"]) == (None, "run-flood")
    assert (await rig.open_conference("town-a"))["run"] is None
    body = {"title": "x", "units": ["dept-water"], "run": "run-none"}
    refused = await rig.call("commander", "POST", "/api/v1/conferences", 422, json=body)
    assert refused["error"]["id"] == "run.not_running"


async def test_after_a_reload_the_ring_and_the_conference_are_there_again(rig: LiveRig) -> None:
    conference = await rig.open_conference("dept-water", "dept-fire")
    async with await rig.socket("commander") as host:
        assert (await host.expect(wire.ConferenceState)).conference["id"] == conference["id"]
    async with await rig.socket("water") as water:
        assert (await water.expect(wire.Ring)).conference == conference["id"]
        await water.send(wire.CallAnswer(conference=conference["id"], accept=True))
        await state_where(water, "dept-water", "answered")
    async with await rig.socket("water") as water:
        assert (await water.expect(wire.ConferenceState)).conference["id"] == conference["id"]


async def test_a_conference_from_an_incident_is_unique_and_marks_its_events(rig: LiveRig) -> None:
    incident = await rig.call("commander", "POST", "/api/v1/incidents", 201, json={"title": "积水"})
    conference = await rig.open_conference("dept-water", incident=incident["id"])
    assert conference["incident"] == incident["id"]
    shown = await rig.call("commander", "GET", f"/api/v1/incidents/{incident['id']}", 200)
    assert shown["incident"]["conference"] == conference["id"]
    body = {"title": "again", "units": ["dept-fire"], "incident": incident["id"]}
    refused = await rig.call("commander", "POST", "/api/v1/conferences", 409, json=body)
    assert refused["error"]["id"] == "conference.running"


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"title": "x", "units": ["nowhere"]}, 422, "conference.unit"),
        ({"title": "x", "units": []}, 422, "request.invalid"),
        ({"title": "x", "units": ["dept-water"], "incident": "inc-none"}, 404, "incident.unknown"),
        ({"title": "x", "units": ["dept-water"], "alert": "alert-none"}, 404, "alert.unknown"),
        ({"title": "x", "units": ["dept-water"], "camera": "cam-none"}, 404, "camera.unknown"),
    ],
)
async def test_what_does_not_exist_cannot_be_called_shown_or_met_about(
    rig: LiveRig, body: dict[str, Any], status: int, error: str
) -> None:
    refused = await rig.call("commander", "POST", "/api/v1/conferences", status, json=body)
    assert refused["error"]["id"] == error
    await rig.call("water", "POST", "/api/v1/conferences", 403, json=body)


async def test_a_camera_goes_on_the_stage_and_off_and_into_the_incidents_file(rig: LiveRig) -> None:
    camera = await rig.call(
        "sysadmin", "POST", "/api/v1/cameras", 201, json={"name": "桥", "url": "rtsp://192.0.2.1/1", "unit": "town-a"}
    )
    incident = await rig.call("commander", "POST", "/api/v1/incidents", 201, json={"title": "积水"})
    async with await rig.socket("commander") as host:
        conference = await rig.open_conference("dept-water", incident=incident["id"], camera=camera["id"])
        assert (conference["stage"], conference["stage_name"]) == (camera["id"], "桥")
        await host.send(wire.ConferenceStage(conference=conference["id"], camera=None))
        await host.expect(wire.ConferenceState, lambda m: m.conference["stage"] is None)
    shown = await rig.call("commander", "GET", f"/api/v1/incidents/{incident['id']}", 200)
    assert shown["incident"]["cameras"] == [camera["id"]]
    await rig.logged("conference.unstaged")


async def test_a_member_without_media_and_connection_is_taken_to_have_left(rig: LiveRig) -> None:
    async with await rig.socket("commander") as host:
        conference = await rig.open_conference("dept-water")
        async with await rig.socket("water") as water:
            await water.send(wire.CallAnswer(conference=conference["id"], accept=True))
            await state_where(host, "dept-water", "answered")
        attendance, presence = rig.apis[0].live.attendance, rig.apis[0].live.online
        await until(lambda: presence.by_unit().get("dept-water") is None)
        await attendance.let_go_of_the_lost()
        rig.clock.now += LOST_MS
        await attendance.let_go_of_the_lost()
        await state_where(host, "dept-water", "left")
        shown = await rig.call("commander", "GET", f"/api/v1/conferences/{conference['id']}", 200)
        assert member(shown, "city")["state"] == "answered"


async def test_a_conference_outlives_the_api_process(rig: LiveRig) -> None:
    conference = await rig.open_conference("dept-water")
    settings = rig.ctx.settings
    token = await rig.token("water")
    async with serving(settings, rig.redis, rig.clock, "api-next") as restarted, restarted.socket(token) as water:
        assert (await water.expect(wire.Ring)).conference == conference["id"]


@pytest.fixture
async def pair() -> AsyncIterator[LiveRig]:
    async with live_hub(processes=2) as rig:
        yield rig


async def test_two_processes_on_one_redis_tell_each_others_sockets(pair: LiveRig) -> None:
    rig = pair
    async with await rig.socket("commander", at=0) as host, await rig.socket("water", at=1) as water:
        await host.expect(wire.Presence, lambda p: p.units == {"city": 1, "dept-water": 1})
        conference = await rig.open_conference("dept-water")
        ring = await water.expect(wire.Ring)
        await water.send(wire.CallAnswer(conference=ring.conference, accept=True))
        await state_where(host, "dept-water", "answered")
        await state_where(water, "dept-water", "answered")
        assert (await host.expect(wire.Event, lambda e: e.kind == "conference.answered")).ref == conference["id"]
        assert (await water.expect(wire.Event, lambda e: e.kind == "conference.answered")).unit == "dept-water"
        closing = asyncio.create_task(water.until_closed())
        await rig.call("water", "DELETE", "/api/v1/sessions/current", 204, at=0)
        assert (await closing).bye == "signed_out"


async def test_a_restart_of_redis_loses_no_ring(rig: LiveRig) -> None:
    async with await rig.socket("water") as water:
        await rig.redis.kill()
        conference = await rig.open_conference("dept-water")
        await rig.redis.start()
        assert (await water.expect(wire.Ring, timeout=20)).conference == conference["id"]
        async with rig.ctx.reading() as db:
            assert (await db.get_one(MemberRow, member(conference, "dept-water")["id"])).state == "ringing"
