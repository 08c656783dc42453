"""Reports of workers become alerts: over the real stream, with pictures from a real internal HTTP."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.bus import internal_http, streams
from hub.bus.relay_wire import REPORTS_STREAM, AnomalyReport, BoxOut
from hub.services.reports import MAX_PICTURE_BYTES
from signaling import wire
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until

JPEG = cv2.imencode(".jpg", np.full((90, 160, 3), 128, np.uint8))[1].tobytes()


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


@contextlib.asynccontextmanager
async def worker() -> AsyncIterator[str]:
    """A worker's internal HTTP with some pictures."""
    bodies = {"good": JPEG, "huge": b"\xff\xd8" + bytes(MAX_PICTURE_BYTES), "text": b"hello"}

    async def picture(request: Request) -> Response:
        return Response(bodies[request.path_params["name"]], media_type="image/jpeg")

    async with internal_http.serve([Route("/pictures/{name}", picture)], token=TOKEN, host="127.0.0.1") as url:
        yield url + "/pictures/"


async def watched(rig: LiveRig) -> AnomalyReport:
    """A camera with a rule; a report about it."""
    camera = {"name": "桥", "url": "rtsp://127.0.0.1:9/x", "unit": "city"}
    id = (await rig.call("sysadmin", "POST", "/api/v1/cameras", 201, json=camera))["id"]
    rule = {"camera": id, "kind": "crowd", "name": "人群"}
    rule_id = (await rig.call("commander", "POST", "/api/v1/rules", 201, json=rule))["id"]
    return AnomalyReport(
        camera=id,
        rule=rule_id,
        kind="crowd",
        at=rig.clock(),
        score=0.9,
        count=4,
        boxes=[BoxOut(x1=0.1, y1=0.1, x2=0.4, y2=0.9, label="person", score=0.9)],
        picture=None,
        model="demo-yolo",
        demonstration=True,
    )


async def send(rig: LiveRig, text: str) -> None:
    async with rig.redis.client("worker") as redis:
        await streams.publish(redis, REPORTS_STREAM, text, maxlen=100)


async def alert_of(rig: LiveRig, ws: Any) -> Any:
    event = await ws.expect(wire.Event, lambda e: e.kind == "alert.raised")
    return await rig.call("commander", "GET", f"/api/v1/alerts/{event.ref}", 200)


async def test_a_report_becomes_an_alert_with_its_picture_and_a_second_one_is_folded(rig: LiveRig) -> None:
    report = await watched(rig)
    async with worker() as url, await rig.socket("commander") as ws:
        report = report.model_copy(update={"picture": url + "good"})
        for later in (0, 0, 2_000):
            await send(rig, report.model_copy(update={"at": report.at + later}).model_dump_json())
        alert = await alert_of(rig, ws)
        assert (alert["count"], alert["demonstration"], alert["model"]) == (4, True, "demo-yolo")
        picture = await rig.call("commander", "GET", alert["picture"], 200)
        assert picture.headers["content-type"] == "image/jpeg"
        reports = rig.apis[0].live.reports
        await until(lambda: reports.counts["done"] == 3)
    shown = await rig.call("commander", "GET", "/api/v1/alerts", 200)
    assert shown["total"] == 1
    assert shown["items"][0]["repeats"] == 1  # the same report twice is once


@pytest.mark.parametrize("name", ["huge", "text", "missing"])
async def test_an_alert_whose_picture_cannot_be_had_is_raised_without_it(rig: LiveRig, name: str) -> None:
    report = await watched(rig)
    async with worker() as url, await rig.socket("commander") as ws:
        await send(rig, report.model_copy(update={"picture": url + name}).model_dump_json())
        assert (await alert_of(rig, ws))["picture"] is None


async def test_rubbish_and_reports_of_rules_that_are_gone_hold_nothing_up(rig: LiveRig) -> None:
    report = await watched(rig)
    async with await rig.socket("commander") as ws:
        for text in ("", "{", '{"type":"other"}', report.model_copy(update={"rule": "rule-gone"}).model_dump_json()):
            await send(rig, text)
        await send(rig, report.model_dump_json())
        assert (await alert_of(rig, ws))["rule"] == report.rule
        async with rig.redis.client() as redis:
            await until(lambda: rig.apis[0].live.reports.counts["dropped"] == 3)
            assert (await redis.xpending(REPORTS_STREAM, "api"))["pending"] == 0


async def test_a_picture_is_not_fetched_through_a_redirect_to_elsewhere(rig: LiveRig) -> None:
    report = await watched(rig)
    asked: list[str] = []

    async def away(request: Request) -> Response:
        asked.append(request.url.path)
        return Response(status_code=302, headers={"Location": "/elsewhere"})

    routes = [Route("/p", away), Route("/elsewhere", away)]
    async with (
        internal_http.serve(routes, token=TOKEN, host="127.0.0.1") as url,
        await rig.socket("commander") as ws,
    ):
        await send(rig, report.model_copy(update={"picture": url + "/p"}).model_dump_json())
        assert (await alert_of(rig, ws))["picture"] is None
    assert asked == ["/p"]
