"""The vision role with its real parts: key frames of the demo, ONNX inference, Redis, HTTP."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.bus import internal_http
from hub.bus.registry import nodes
from hub.bus.relay_wire import PICTURES_STREAM, REPORTS_STREAM, AnomalyReport, NodeInfo, PictureRef, RuleSpec
from hub.bus.streams import publish
from hub.demo.cameras_list import CAMERAS
from hub.settings import Settings
from hub.vision_worker import Worker, run_vision, yolo
from tests.integration import scenes_rig
from tests.integration.redis_rig import running_redis

TOKEN = "token of the test"
NOW = 1_790_000_000_000  # the workers' clock stands still, so that no picture grows old on a slow machine
AUTH = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module", autouse=True)
def scenes() -> None:
    """Encode before any clock runs."""
    scenes_rig.encoded()


@dataclass
class Relay:
    """Stands where a relay stands: serves pictures by HTTP and puts their references on the stream."""

    redis: Redis
    pictures: dict[str, bytes]
    url: str = ""

    async def serve(self, request: Request) -> Response:
        data = self.pictures.get(request.path_params["key"])
        return Response(data or b"", 200 if data is not None else 404, media_type="video/h264")

    async def show(self, camera: str, data: bytes, at: int) -> None:
        key = f"{camera}-{at}"
        self.pictures[key] = data
        ref = PictureRef(camera=camera, node="relay-1", url=f"{self.url}/pictures/{key}", at=at)
        await publish(self.redis, PICTURES_STREAM, ref.model_dump_json(), maxlen=4096)


@dataclass
class Rig:
    redis: Redis
    relay: Relay
    settings: Settings

    async def rules(self, *cameras: str) -> None:
        """The rules of the demo's list for these cameras, as ``api`` writes them."""
        for camera in (camera for camera in CAMERAS if camera.id in cameras):
            await self.rule(camera.id, *(RuleSpec(id=r.id, kind=r.kind, params=r.params) for r in camera.rules))

    async def rule(self, camera: str, *specs: RuleSpec) -> None:
        text = "[" + ",".join(spec.model_dump_json() for spec in specs) + "]"
        await self.redis.hset("rules", camera, text)
        await self.redis.publish("rules", "changed")

    async def node(self, state: str) -> NodeInfo:
        async with asyncio.timeout(60):
            while True:
                for node in await nodes(self.redis, "vision"):
                    if node.facts["state"] == state:
                        return node
                await asyncio.sleep(0.05)

    async def report(self, after: str = "0") -> tuple[str, AnomalyReport]:
        """The next report on the stream and its place."""
        async with asyncio.timeout(30):
            while True:
                entries = await self.redis.xrange(REPORTS_STREAM, min=f"({after}" if after != "0" else "-", count=1)
                if entries:
                    place, fields = entries[0]
                    return str(place), AnomalyReport.model_validate_json((fields or {})["json"])
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def rig(tmp_path: Path, **settings: object) -> AsyncIterator[Rig]:
    async with running_redis() as server:
        redis = server.client()
        relay = Relay(redis, {})
        routes = [Route("/pictures/{key}", relay.serve)]
        async with internal_http.serve(routes, token=TOKEN, host="127.0.0.1") as relay.url:
            given = {"data": tmp_path, "redis_url": server.url, **settings}
            yield Rig(redis, relay, Settings.model_validate(given))
        await redis.aclose()


@contextlib.asynccontextmanager
async def vision_role(given: Rig) -> AsyncIterator[None]:
    task = asyncio.create_task(
        run_vision(given.settings, node_id="vision-1", token=TOKEN, redis=given.redis, clock=lambda: NOW)
    )
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def worker(given: Rig) -> AsyncIterator[Worker]:
    """A worker whose counters can be read."""
    made = Worker(
        given.settings, node_id="vision-1", token=TOKEN, redis=given.redis, load=yolo(given.settings), clock=lambda: NOW
    )
    async with internal_http.serve(made.routes, token=TOKEN, host="127.0.0.1") as url:
        task = asyncio.create_task(made.run(url))
        try:
            await given.node("ready")
            yield made
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def counted(made: Worker, result: str) -> Callable[[], float]:
    return lambda: made.metrics.registry.get_sample_value("sharpeyes_vision_pictures_total", {"result": result}) or 0.0


async def until(value: Callable[[], float], wanted: float) -> None:
    async with asyncio.timeout(30):
        while value() < wanted:  # noqa: ASYNC110  # a counter of another task has no event
            await asyncio.sleep(0.02)


async def test_the_demos_crowd_and_intruder_are_found_by_real_inference_and_reported(tmp_path: Path) -> None:
    async with rig(tmp_path) as given, vision_role(given):
        node = await given.node("ready")
        assert node.facts["demonstration"] == "true"
        assert (node.facts["model"], node.facts["model_source"], len(node.facts["model_sha256"])) == (
            "demo-yolo",
            "demonstration",
            64,
        )
        await given.rules("cam-01", "cam-03")
        began = NOW - 8_000
        for n, picture in enumerate(scenes_rig.keyframes("cam-01")[2:6]):  # 4 s to 10 s: five people stand there
            await given.relay.show("cam-01", picture, began + 2_000 * n)
        place, crowd = await given.report()
        assert (crowd.camera, crowd.rule, crowd.kind) == ("cam-01", "rule-crowd-01", "crowd")
        assert crowd.at == began + 4_000  # the third picture: not before the four seconds are full
        assert crowd.count >= 3
        assert len(crowd.boxes) == crowd.count
        assert crowd.score >= 0.4
        assert (crowd.model, crowd.demonstration) == ("demo-yolo", True)

        for n, picture in enumerate(scenes_rig.keyframes("cam-03")[3:7]):  # 6 s to 12 s: he walks into the zone
            await given.relay.show("cam-03", picture, began + 2_000 * n)
        _, intrusion = await given.report(place)
        assert (intrusion.camera, intrusion.kind, intrusion.count) == ("cam-03", "intrusion", 1)
        feet = ((intrusion.boxes[0].x1 + intrusion.boxes[0].x2) / 2, intrusion.boxes[0].y2)
        assert 0.3 < feet[0] < 0.75
        assert feet[1] > 0.7

        assert crowd.picture is not None
        assert crowd.picture.startswith(node.url)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(crowd.picture)).status_code == 401
            answer = await client.get(crowd.picture, headers=AUTH)
            assert answer.headers["content-type"] == "image/jpeg"
            drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
            assert drawn is not None
            assert drawn.shape == (720, 1280, 3)
            assert (await client.get(f"{node.url}/pictures/unknown", headers=AUTH)).status_code == 404
            metrics = (await client.get(f"{node.url}/metrics", headers=AUTH)).text
            assert 'sharpeyes_vision_reports_total{kind="crowd"} 1.0' in metrics
            assert (await client.get(f"{node.url}/healthz")).status_code == 200


async def test_an_empty_square_raises_nothing_and_people_outside_the_zone_do_not_either(tmp_path: Path) -> None:
    async with rig(tmp_path) as given, worker(given) as made:
        await given.rules("cam-01", "cam-03")
        began = NOW - 8_000
        empty, passing = scenes_rig.keyframes("cam-01")[10:14], scenes_rig.keyframes("cam-03")[8:11]
        for n, picture in enumerate(empty):
            await given.relay.show("cam-01", picture, began + 2_000 * n)
        for n, picture in enumerate([passing[-1], passing[-1]]):  # 20 s: he has left the zone
            await given.relay.show("cam-03", picture, began + 2_000 * n)
        looked = counted(made, "analysed"), counted(made, "still")
        await until(lambda: looked[0]() + looked[1](), len(empty) + 2)
        assert await given.redis.xlen(REPORTS_STREAM) == 0


async def test_bad_pictures_and_references_are_counted_and_cost_nobody_else_anything(tmp_path: Path) -> None:
    async with rig(tmp_path) as given, worker(given) as made:
        await given.rules("cam-01", "cam-03")
        now = NOW
        good = scenes_rig.keyframes("cam-03")[5]
        await given.redis.xadd(PICTURES_STREAM, {"json": "{"})
        await given.redis.xadd(PICTURES_STREAM, {"other": "x"})
        await given.relay.show("cam-01", b"no picture at all", now - 9)
        await given.relay.show("cam-01", good[: len(good) // 3], now - 8)
        await given.relay.show("cam-01", b"\0" * 5_000_000, now - 7)
        await given.relay.show("cam-01", good, now - 20_000)
        await given.relay.show("cam-12", good, now - 6)  # nobody's rule
        gone = PictureRef(camera="cam-01", node="r", url=f"{given.relay.url}/pictures/gone", at=now)
        dead = PictureRef(camera="cam-01", node="r", url="http://127.0.0.1:9/x", at=now)
        wrong = PictureRef(camera="cam-01", node="r", url="file:///etc/passwd", at=now)
        for ref in (gone, dead, wrong):
            await publish(given.redis, PICTURES_STREAM, ref.model_dump_json(), maxlen=4096)
        await given.relay.show("cam-03", good, now)
        _, report = await given.report()
        assert report.camera == "cam-03"
        await until(counted(made, "fetch_failed"), 3)
        assert counted(made, "invalid")() == 1
        assert counted(made, "too_old")() == 1
        assert counted(made, "unwatched")() == 1
        assert counted(made, "bad_picture")() >= 2
        pending = await given.redis.xpending(PICTURES_STREAM, "vision")
        assert pending["pending"] <= 2  # all done with; the entry without our field is not ours to judge


async def test_a_rule_that_makes_no_sense_does_not_stop_the_other_of_its_camera(tmp_path: Path) -> None:
    async with rig(tmp_path) as given, worker(given) as made:
        everywhere = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
        await given.rule(
            "cam-03",
            RuleSpec(id="bad", kind="intrusion", params={"polygon": "?"}),
            RuleSpec(id="good", kind="intrusion", params=everywhere),
        )
        now = NOW
        for n in range(2):
            await given.relay.show("cam-03", scenes_rig.keyframes("cam-03")[5], now - 4_000 + 2_000 * n)
        _, report = await given.report()
        assert report.rule == "good"
        assert counted(made, "failed")() == 1


async def test_a_changed_rule_is_in_force_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as given, worker(given) as made:
        picture = scenes_rig.keyframes("cam-03")[5]
        now = NOW
        await given.relay.show("cam-03", picture, now - 4_000)
        await until(counted(made, "unwatched"), 1)  # known now to have no rule, for ten seconds
        await given.rules("cam-03")
        for n in range(3):
            await given.relay.show("cam-03", picture, now - 3_000 + n)
        _, report = await given.report()
        assert report.rule == "rule-intrusion-03"


async def test_weights_that_cannot_be_used_are_told_and_the_role_is_not_ready(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no model")
    async with rig(tmp_path, weights=broken) as given, vision_role(given):
        node = await given.node("failed")
        assert "broken.onnx" in node.facts["error"]
        assert "\n" not in node.facts["error"]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{node.url}/healthz")
        assert answer.status_code == 503
        assert json.loads(answer.text)["model_source"] == "none"
        assert not await given.redis.exists(PICTURES_STREAM)  # no group made: pictures are left to workers that can


async def test_the_worker_goes_on_when_redis_was_killed(tmp_path: Path) -> None:
    async with running_redis() as server:
        redis = server.client()
        relay = Relay(redis, {})
        routes = [Route("/pictures/{key}", relay.serve)]
        async with internal_http.serve(routes, token=TOKEN, host="127.0.0.1") as relay.url:
            given = Rig(redis, relay, Settings(data=tmp_path, redis_url=server.url))
            async with vision_role(given):
                await given.node("ready")
                await server.kill()
                await server.start()
                await given.node("ready")
                await given.rules("cam-03")
                await relay.show("cam-03", scenes_rig.keyframes("cam-03")[5], NOW)
                _, report = await given.report()
                assert report.kind == "intrusion"
        await redis.aclose()


@pytest.mark.parametrize("module", ["hub.cli", "hub.main", "hub.models", "hub.vision_worker", "hub.demo.scenes"])
async def test_no_role_imports_torch_before_it_loads_a_model(module: str) -> None:
    import sys

    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'ultralytics' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
