"""The duty's line over the real interface and database: camera, rule, alert, incident, order, feedback, file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hub.bus.relay_wire import AnomalyReport, BoxOut
from hub.services import alerts, dispatch, events
from hub.services.access import SYSTEM
from hub.services.accounts import actor_named
from hub.store import log
from hub.store.tables_duty import RunRow
from tests.integration.api_rig import Rig, api

CAMERA = {"name": "东门广场", "url": "rtsp://user:secret@10.0.0.5:554/main", "unit": "town-a"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api(tmp_path) as rig:
        yield rig


def jpeg(size: int = 64) -> bytes:
    ok, data = cv2.imencode(".jpg", np.full((size, size, 3), 90, np.uint8))
    assert ok
    return bytes(data)


async def watched_camera(rig: Rig) -> tuple[str, str]:
    """A camera with a crowd rule; their ids."""
    camera = (await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA))["id"]
    body = {"camera": camera, "kind": "crowd", "name": "聚集", "severity": "critical", "params": {"persons": 5}}
    rule = await rig.call("commander", "POST", "/rules", 201, json=body)
    assert rule["params"] == {"persons": 5, "seconds": 4.0, "confidence": 0.4}
    return camera, rule["id"]


def report(rig: Rig, camera: str, rule: str, **given: Any) -> AnomalyReport:
    fields: dict[str, Any] = {
        "camera": camera,
        "rule": rule,
        "kind": "crowd",
        "at": rig.clock.now,
        "score": 0.8,
        "count": 6,
        "boxes": [BoxOut(x1=0.1, y1=0.1, x2=0.2, y2=0.5, label="person", score=0.8)],
        "picture": None,
        "model": "demo-yolo",
        "demonstration": True,
    }
    return AnomalyReport(**(fields | given))


async def raised(rig: Rig) -> tuple[str, str, str]:
    camera, rule = await watched_camera(rig)
    alert = await alerts.raise_alert(rig.ctx, report(rig, camera, rule), jpeg())
    assert alert is not None
    return camera, rule, alert


async def test_the_whole_line_from_camera_to_closed_incident_is_in_the_log(rig: Rig) -> None:
    camera, _, alert = await raised(rig)
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "人群聚集", "alert": alert}))[
        "id"
    ]
    order = {"incident": incident, "unit": "dept-water", "text": "疏散人群", "sign_within_s": 60}
    order = await rig.call("commander", "POST", "/orders", 201, json=order)
    assert (order["number"], order["state"], order["sign_due_at"]) == (1, "issued", rig.clock.now + 60_000)

    await dispatch.mark_delivered(rig.ctx, await actor_named(rig.ctx, "water"), order["id"])
    path = f"/orders/{order['id']}"
    await rig.call("water", "POST", f"{path}/sign", 200)
    fed = await rig.call(
        "water", "POST", f"{path}/feedback", 200, data={"text": "已到场"}, files={"picture": ("a.jpg", jpeg())}
    )
    await rig.call("commander", "POST", f"{path}/review", 200, json={"accepted": False, "comment": "补一张"})
    await rig.call("water", "POST", f"{path}/feedback", 200, data={"text": "补充"})
    await rig.call("commander", "POST", f"{path}/review", 200, json={"accepted": True})
    await rig.call("commander", "POST", f"/incidents/{incident}/close", 409, json={"reason": "完成"})
    done = await rig.call("commander", "POST", f"{path}/close", 200)
    steps = ["issued", "delivered", "signed", "feedback", "returned", "feedback", "reviewed", "closed"]
    assert [step["state"] for step in done["steps"]] == steps
    assert [step["comment"] for step in done["steps"] if step["comment"]] == ["补一张"]  # why it was sent back
    async with await rig.as_("commander") as client:
        picture = await client.get(fed["feedback"][0]["picture"])
    assert (picture.headers["content-type"], picture.content) == ("image/jpeg", jpeg())
    assert picture.headers["x-content-type-options"] == "nosniff"

    await rig.call("commander", "POST", f"/incidents/{incident}/notes", 200, json={"text": "人群已散"})
    closed = await rig.call("commander", "POST", f"/incidents/{incident}/close", 200, json={"reason": "完成"})
    assert (closed["state"], closed["orders"], closed["orders_open"], closed["cameras"]) == ("closed", 1, 0, [camera])

    kinds = await rig.log()
    line = [kind for kind in kinds if kind.partition(".")[0] in ("alert", "incident", "order")]
    assert line == [
        "alert.raised",
        "incident.opened",
        "alert.acknowledged",
        "order.issued",
        "order.delivered",
        "order.signed",
        "order.feedback",
        "order.reviewed",
        "order.feedback",
        "order.reviewed",
        "order.closed",
        "incident.noted",
        "incident.closed",
    ]
    file = await rig.call("commander", "GET", f"/incidents/{incident}", 200)
    assert [item["kind"] for item in file["timeline"]] == line[1:]  # the alert was raised before there was an incident
    assert {item["by_name"] for item in file["timeline"]} == {"赵指挥", "water"}
    assert (await events.verify(rig.ctx)).ok


async def test_a_cameras_url_is_never_answered_and_its_host_only_to_those_who_manage(rig: Rig) -> None:
    added = await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA)
    seen = await rig.call("commander", "GET", f"/cameras/{added['id']}", 200)
    assert (added["host"], seen["host"], seen["scheme"]) == ("10.0.0.5:554", None, "rtsp")
    assert "secret" not in str(added) + str(seen) + str(await rig.call("auditor", "GET", "/events", 200))


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://10.0.0.1/x", "rtsp://169.254.169.254/x", "http://[fe80::1]/x", "rtsp://", "nonsense"],
)
async def test_urls_of_no_camera_are_refused(rig: Rig, url: str) -> None:
    answer = await rig.call("sysadmin", "POST", "/cameras", 422, json=CAMERA | {"url": url})
    assert answer["error"]["id"] == "camera.url_refused"


async def test_a_camera_is_edited_within_reach_what_is_left_out_stays_and_the_log_holds_no_address(rig: Rig) -> None:
    id = (await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA))["id"]
    sub = "rtsp://u:secret@10.0.0.6:554/sub"
    changed = await rig.call("sysadmin", "PATCH", f"/cameras/{id}", 200, json={"name": " 西门 ", "sub_url": sub})
    assert (changed["name"], changed["host"], changed["sub_stream"]) == ("西门", "10.0.0.5:554", True)
    assert changed["name_en"] == ""
    changed = await rig.call("sysadmin", "PATCH", f"/cameras/{id}", 200, json={"url": "rtsps://u:secret@10.0.0.7/x"})
    assert (changed["name"], changed["host"], changed["scheme"], changed["sub_stream"]) == (
        "西门", "10.0.0.7", "rtsps", True,
    )  # fmt: skip
    changed = await rig.call("sysadmin", "PATCH", f"/cameras/{id}", 200, json={"sub_url": None, "unit": "town-b"})
    assert (changed["unit"], changed["sub_stream"]) == ("town-b", False)
    await rig.call("sysadmin", "PATCH", f"/cameras/{id}", 200, json={})  # nothing changed: nothing is logged
    await rig.log()
    said = (await rig.call("auditor", "GET", "/events", 200, params={"kind": "camera.changed"}))["items"]
    assert [event["data"]["fields"] for event in said] == [["name", "sub_url"], ["url"], ["sub_url", "unit"]]
    assert "secret" not in str(said) + str(changed)


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        ({"url": "file:///etc/passwd"}, "camera.url_refused", "url"),
        ({"sub_url": "rtsp://169.254.169.254/x"}, "camera.url_refused", "sub_url"),
        ({"unit": "nowhere"}, "camera.unit", "unit"),
        ({"name": ""}, "request.invalid", "name"),
        ({"url": None}, "request.invalid", "url"),
        ({"id": "cam-x"}, "request.invalid", "id"),
    ],
)
async def test_an_edit_is_checked_as_an_addition_is(
    rig: Rig, body: dict[str, str | None], error: str, field: str
) -> None:
    id = (await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA))["id"]
    answer = await rig.call("sysadmin", "PATCH", f"/cameras/{id}", 422, json=body)
    assert (answer["error"]["id"], answer["error"]["field"]) == (error, field)
    await rig.call("sysadmin", "PATCH", "/cameras/cam-none", 404, json={"name": "x"})


async def test_a_removed_camera_is_gone_from_lists_but_its_alerts_still_name_it(rig: Rig) -> None:
    camera, _, alert = await raised(rig)
    await rig.call("sysadmin", "DELETE", f"/cameras/{camera}", 204)
    assert (await rig.call("commander", "GET", "/cameras", 200))["items"] == []
    await rig.call("commander", "GET", f"/cameras/{camera}", 404)
    assert (await rig.call("commander", "GET", f"/alerts/{alert}", 200))["camera_name"] == "东门广场"
    assert (await rig.call("commander", "GET", "/rules", 200))["items"] == []


async def test_cameras_are_paged_without_gaps_or_repeats_while_more_are_added(rig: Rig) -> None:
    for number in range(7):
        await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA | {"name": f"机位 {number}"})
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = await rig.call("commander", "GET", "/cameras", 200, params=params)
        seen += [camera["name"] for camera in page["items"]]
        if cursor is None:
            await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA | {"name": "机位 0a"})
        if (cursor := page["next"]) is None:
            break
    assert seen == [f"机位 {number}" for number in range(7)]
    assert (await rig.call("commander", "GET", "/cameras", 200, params={"q": "位 0"}))["total"] == 2
    assert (await rig.call("commander", "GET", "/cameras", 200, params={"q": "%"}))["total"] == 0
    await rig.call("commander", "GET", "/cameras", 422, params={"cursor": "bm9uc2Vuc2U"})


async def test_repeats_are_folded_while_the_alert_is_active_and_the_best_picture_stays(rig: Rig) -> None:
    camera, rule, alert = await raised(rig)
    best, later = jpeg(72), jpeg(80)
    rig.clock.pass_(5)
    assert await alerts.raise_alert(rig.ctx, report(rig, camera, rule, count=9), best) == alert
    rig.clock.pass_(5)
    assert await alerts.raise_alert(rig.ctx, report(rig, camera, rule, count=2), later) == alert
    again = report(rig, camera, rule, count=2)
    assert await alerts.raise_alert(rig.ctx, again, None) == alert  # the same report delivered twice counts once
    page = await rig.call("commander", "GET", "/alerts", 200)
    assert (page["total"], page["active"], page["items"][0]["repeats"], page["items"][0]["count"]) == (1, 1, 2, 9)
    async with await rig.as_("commander") as client:
        assert (await client.get(page["items"][0]["picture"])).content == best


async def test_a_handled_alert_rests_and_is_raised_anew_after_a_pause(rig: Rig) -> None:
    camera, rule, alert = await raised(rig)
    await rig.call("commander", "POST", f"/alerts/{alert}/acknowledge", 200, json={})
    rig.clock.pass_(5)
    assert await alerts.raise_alert(rig.ctx, report(rig, camera, rule), None) == alert
    rig.clock.pass_(40)
    fresh = await alerts.raise_alert(rig.ctx, report(rig, camera, rule), None)
    assert fresh != alert
    await rig.call("commander", "POST", f"/alerts/{alert}/acknowledge", 409, json={})
    dismissed = await rig.call("commander", "POST", f"/alerts/{fresh}/dismiss", 200, json={"reason": "路过"})
    assert (dismissed["state"], dismissed["reason"], dismissed["handled_by"]) == ("dismissed", "路过", "赵指挥")


async def test_reports_of_rules_that_are_off_or_gone_raise_nothing(rig: Rig) -> None:
    camera, rule = await watched_camera(rig)
    await rig.call("commander", "PATCH", f"/rules/{rule}", 200, json={"enabled": False})
    assert await alerts.raise_alert(rig.ctx, report(rig, camera, rule), None) is None
    await rig.call("commander", "DELETE", f"/rules/{rule}", 204)
    assert await alerts.raise_alert(rig.ctx, report(rig, camera, rule), None) is None
    await rig.call("commander", "PATCH", f"/rules/{rule}", 404, json={"enabled": True})


@pytest.mark.parametrize(
    ("kind", "params", "field"),
    [
        ("crowd", {"persons": 0}, "params.persons"),
        ("crowd", {"people": 3}, "params.people"),
        ("intrusion", {}, "params.polygon"),
        ("intrusion", {"polygon": [[0, 0], [1, 1]]}, "params.polygon"),
    ],
)
async def test_wrong_rule_parameters_are_named(rig: Rig, kind: str, params: dict[str, Any], field: str) -> None:
    camera = (await rig.call("sysadmin", "POST", "/cameras", 201, json=CAMERA))["id"]
    body = {"camera": camera, "kind": kind, "name": "x", "params": params}
    error = (await rig.call("commander", "POST", "/rules", 422, json=body))["error"]
    assert (error["id"], error["field"]) == ("rule.params", field)


async def test_overdue_orders_are_reminded_once_a_limit(rig: Rig) -> None:
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    order = {"incident": incident, "unit": "dept-water", "text": "抽水", "sign_within_s": 60, "feedback_within_s": 120}
    id = (await rig.call("commander", "POST", "/orders", 201, json=order))["id"]
    rig.clock.pass_(60)
    assert await dispatch.remind_overdue(rig.ctx) == 0  # the limit itself is in time
    rig.clock.pass_(1)
    assert [await dispatch.remind_overdue(rig.ctx) for _ in range(3)] == [1, 0, 0]
    await rig.call("water", "POST", f"/orders/{id}/sign", 200)
    rig.clock.pass_(60)
    assert [await dispatch.remind_overdue(rig.ctx) for _ in range(2)] == [1, 0]
    seen = await rig.call("water", "GET", f"/orders/{id}", 200)
    assert (seen["sign_overdue"], seen["feedback_overdue"]) == (True, True)
    assert (await rig.log()).count("order.overdue") == 2


async def test_order_numbers_count_within_the_year_of_china(rig: Rig) -> None:
    rig.clock.now = 1_798_732_799_000  # 2026-12-31 23:59:59 +08:00
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    order = {"incident": incident, "unit": "dept-water", "text": "抽水"}
    numbers = [(await rig.call("commander", "POST", "/orders", 201, json=order))["number"] for _ in range(2)]
    rig.clock.pass_(1)
    numbers.append((await rig.call("commander", "POST", "/orders", 201, json=order))["number"])
    assert numbers == [1, 2, 1]


async def test_a_second_terminals_receipt_changes_nothing(rig: Rig) -> None:
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    body = {"incident": incident, "unit": "dept-water", "text": "抽水"}
    id = (await rig.call("commander", "POST", "/orders", 201, json=body))["id"]
    water = await actor_named(rig.ctx, "water")
    for _ in range(2):
        await dispatch.mark_delivered(rig.ctx, water, id)
    await rig.call("water", "POST", f"/orders/{id}/sign", 200)
    await dispatch.mark_delivered(rig.ctx, water, id)
    assert (await rig.log()).count("order.delivered") == 1


@pytest.mark.parametrize(
    "data", [b"", b"<svg/>", b"\xff\xd8\xff\xe0" + b"\0" * 40, jpeg()[:60], b"GIF89a" + b"\0" * 60]
)
async def test_feedback_takes_only_pictures_that_decode(rig: Rig, data: bytes) -> None:
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    body = {"incident": incident, "unit": "dept-water", "text": "抽水"}
    id = (await rig.call("commander", "POST", "/orders", 201, json=body))["id"]
    await rig.call("water", "POST", f"/orders/{id}/sign", 200)
    files = {"picture": ("a.jpg", data, "image/jpeg")}
    expected = 200 if not data else 422  # an empty file field is what a browser sends for no file
    await rig.call("water", "POST", f"/orders/{id}/feedback", expected, data={"text": "x"}, files=files)


async def test_a_closed_incident_takes_nothing_more(rig: Rig) -> None:
    id = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    await rig.call("commander", "POST", f"/incidents/{id}/close", 200, json={"reason": "误报"})
    await rig.call("commander", "POST", f"/incidents/{id}/close", 409, json={"reason": "误报"})
    await rig.call("commander", "POST", f"/incidents/{id}/notes", 409, json={"text": "x"})
    body = {"incident": id, "unit": "dept-water", "text": "抽水"}
    await rig.call("commander", "POST", "/orders", 409, json=body)


async def test_an_alert_opens_one_incident(rig: Rig) -> None:
    _, _, alert = await raised(rig)
    await rig.call("commander", "POST", "/incidents", 201, json={"title": "人群", "alert": alert})
    error = (await rig.call("commander", "POST", "/incidents", 409, json={"title": "人群", "alert": alert}))["error"]
    assert error["id"] == "alert.in_incident"


async def test_an_incident_of_a_drill_that_does_not_run_is_refused(rig: Rig) -> None:
    error = await rig.call("commander", "POST", "/incidents", 422, json={"title": "演练", "run": "run-none"})
    assert error["error"]["id"] == "run.not_running"


async def test_the_hub_itself_may_act_without_being_a_person(rig: Rig) -> None:
    camera, rule = await watched_camera(rig)
    alert = await alerts.raise_alert(rig.ctx, report(rig, camera, rule), None)
    assert alert is not None
    view = await alerts.acknowledge(rig.ctx, SYSTEM, alert)
    assert view.state == "acknowledged"


async def test_parallel_orders_get_different_numbers_without_a_gap(rig: Rig) -> None:
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    order = {"incident": incident, "unit": "dept-water", "text": "抽水"}
    made = await asyncio.gather(*(rig.call("commander", "POST", "/orders", 201, json=order) for _ in range(8)))
    assert sorted(each["number"] for each in made) == list(range(1, 9))


async def test_parallel_reports_of_one_rule_make_one_alert(rig: Rig) -> None:
    camera, rule = await watched_camera(rig)
    made = await asyncio.gather(
        *(alerts.raise_alert(rig.ctx, report(rig, camera, rule, at=rig.clock.now + n), None) for n in range(6))
    )
    assert len(set(made)) == 1
    assert (await rig.call("commander", "GET", "/alerts", 200))["items"][0]["repeats"] > 0


async def test_parallel_signatures_let_one_through(rig: Rig) -> None:
    incident = (await rig.call("commander", "POST", "/incidents", 201, json={"title": "积水"}))["id"]
    body = {"incident": incident, "unit": "dept-water", "text": "抽水"}
    id = (await rig.call("commander", "POST", "/orders", 201, json=body))["id"]
    async with await rig.as_("water") as client:
        answers = await asyncio.gather(*(client.post(f"/api/v1/orders/{id}/sign") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


async def test_what_happens_in_a_drills_incident_is_marked_as_drill(rig: Rig) -> None:
    camera, rule = await watched_camera(rig)
    organiser = await actor_named(rig.ctx, "organiser")
    async with rig.ctx.sessions.begin() as db:
        db.add(
            RunRow(
                id="run-1",
                title="防汛演练",
                scenario="s",
                scenario_text="",
                rubric_text="",
                scenario_sha256="",
                rubric_sha256="",
                state="running",
                planned_at=1,
                started_at=2,
                by=organiser.id,
                by_name=organiser.name,
                units=[],
                injects=[],
            )
        )
    body = {"title": "演练：积水", "camera": camera, "run": "run-1"}
    incident = await rig.call("commander", "POST", "/incidents", 201, json=body)
    order = {"incident": incident["id"], "unit": "dept-water", "text": "抽水"}
    order = await rig.call("commander", "POST", "/orders", 201, json=order)
    alert = await alerts.raise_alert(rig.ctx, report(rig, camera, rule), None)
    seen = await rig.call("commander", "GET", f"/alerts/{alert}", 200)
    assert (incident["run"], order["run"], seen["run"]) == ("run-1", "run-1", "run-1")
    await rig.log()
    async with rig.ctx.reading() as db:
        assert (await db.get_one(RunRow, "run-1")).incident == incident["id"]
        kinds = [event.kind for event in await log.read(db, run="run-1")]
    assert kinds == ["incident.opened", "order.issued", "alert.raised"]
