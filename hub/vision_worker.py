"""The vision role: takes picture references off the stream, fetches key frames, looks at them, reports anomalies.

Fetching and reporting are asynchronous; decoding, detection and rules run in one thread, one picture at a time. When
the thread cannot keep up, references wait on the stream and grow old, and old ones are dropped and counted: a late
alert about a picture that is gone helps nobody. One bad picture, a failed inference, a bad rule, a dead Redis or
relay cost what they touch and nothing more.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
import structlog
from prometheus_client import generate_latest
from pydantic import ValidationError
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub import models
from hub.bus import internal_http
from hub.bus.connection import BUS_ERRORS, Outage
from hub.bus.registry import heartbeat
from hub.bus.relay_wire import (
    PICTURES_STREAM,
    REPORTS_STREAM,
    AnomalyReport,
    BoxOut,
    NodeInfo,
    PictureRef,
)
from hub.bus.streams import GroupReader, publish
from hub.domain.clock import Clock, system_clock
from hub.domain.errors import HubError, NotFound
from hub.settings import Settings
from hub.vision_parts import RULES_KEY, Metrics, PictureStore, Rules
from vision.annotate import annotated_jpeg
from vision.decode import MAX_BYTES, BadPicture, decode_keyframe
from vision.detections import Detector, DetectorFailed
from vision.frames import Frame
from vision.pipeline import Look, Pipeline, RuleConfig
from vision.rules.base import BadRule, Finding

log: Final = structlog.get_logger(__name__)

GROUP: Final = "vision"
TOO_OLD_MS: Final = 10_000
FETCH_S: Final = 3.0
WAITING: Final = 4  # fetched pictures before the thread
MAX_UNSENT: Final = 64  # reports while Redis is away
REPORTS_MAXLEN: Final = 16_384
KIND_NAMES: Final = {"crowd": "人员聚集", "intrusion": "区域闯入"}

LoadDetector = Callable[[Path], Detector]


@dataclass(frozen=True, slots=True)
class _Work:
    ref: PictureRef
    data: bytes
    rules: tuple[RuleConfig, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    finding: Finding
    picture: bytes | None


class Worker:
    """One vision process."""

    def __init__(
        self,
        settings: Settings,
        *,
        node_id: str,
        token: str,
        redis: Redis,
        load: LoadDetector,
        clock: Clock = system_clock,
    ) -> None:
        self.metrics = Metrics()
        self.pictures = PictureStore(clock)
        self._settings = settings
        self._node_id = node_id
        self._redis = redis
        self._load = load
        self._clock = clock
        self._rules = Rules(redis, clock)
        self._reader = GroupReader(redis, PICTURES_STREAM, GROUP, node_id, idle_ms=TOO_OLD_MS)
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {token}"}, timeout=FETCH_S, trust_env=False, follow_redirects=False
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vision")
        self._waiting: asyncio.Queue[_Work] = asyncio.Queue(WAITING)
        self._unsent: asyncio.Queue[AnomalyReport] = asyncio.Queue(MAX_UNSENT)
        self._since = clock()
        self._url = ""
        self._weights: models.Weights | None = None
        self._problem = ""
        self._busy = 0.0  # share of time that the thread works, smoothed
        self.routes = [
            Route("/healthz", self._healthz),
            Route("/metrics", self._metrics),
            Route("/pictures/{key}", self._picture),
        ]

    async def run(self, url: str) -> None:
        """Work until cancelled; ``url`` is where the routes are served."""
        self._url = url
        try:
            async with self._http, asyncio.TaskGroup() as group:
                group.create_task(heartbeat(self._redis, self.node), name="vision/heartbeat")
                if (pipeline := await self._make_pipeline()) is None:
                    return  # the heartbeat goes on and says why; the group waits for it
                group.create_task(self._take(), name="vision/take")
                group.create_task(self._analyse(pipeline), name="vision/analyse")
                group.create_task(self._send(), name="vision/send")
                group.create_task(self._listen(), name="vision/rules")
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def node(self) -> NodeInfo:
        """This process as the registry shows it."""
        weights = self._weights
        state = "failed" if self._problem else "ready" if weights else "loading"
        facts = {"state": state, "model_source": "none", "demonstration": "false"}
        if weights is not None:
            facts |= {
                "model": weights.name,
                "model_source": weights.source,
                "demonstration": "true" if weights.demonstration else "false",
                "model_sha256": weights.sha256,
            }
        if self._problem:
            facts["error"] = self._problem
        return NodeInfo(
            id=self._node_id,
            role="vision",
            url=self._url,
            since=self._since,
            seen_at=self._clock(),
            load=round(self._busy, 3),
            facts=facts,
        )

    async def _make_pipeline(self) -> Pipeline | None:
        """Load the weights; None and a reason when they cannot be used."""
        loop = asyncio.get_running_loop()
        try:
            weights = await loop.run_in_executor(self._thread, models.resolve, self._settings)
            detector = await loop.run_in_executor(self._thread, self._load, weights.path)
        except (HubError, DetectorFailed) as error:
            self._problem = str(error)
            log.error("vision.no_model", problem=self._problem)
            return None
        self._weights = weights
        self.metrics.ready.set(1)
        log.info("vision.ready", model=weights.name, source=weights.source, demonstration=weights.demonstration)
        return Pipeline(detector)

    # taking pictures off the stream ---------------------------------------------------------------

    async def _take(self) -> None:
        async for entry in self._reader.entries():
            work = await self._fetch(entry.text)
            if isinstance(work, _Work):
                await self._waiting.put(work)
            else:
                self._count(work)
            # Once it is fetched it is only in memory, and a process that dies here loses at most a few pictures of
            # the past seconds; so it needs not come again.
            await self._reader.ack(entry)

    async def _fetch(self, text: str) -> _Work | str:
        """The picture behind a reference, or why it is not worth or not possible to have it."""
        try:
            ref = PictureRef.model_validate_json(text)
        except ValidationError:
            return "invalid"
        if not -TOO_OLD_MS <= self._clock() - ref.at <= TOO_OLD_MS:
            return "too_old"
        rules = await self._rules.of(ref.camera)
        if not rules:
            return "unwatched"
        try:
            async with asyncio.timeout(FETCH_S), self._http.stream("GET", ref.url) as answer:
                if answer.status_code != httpx.codes.OK:
                    return "fetch_failed"
                data = bytearray()
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > MAX_BYTES:
                        return "bad_picture"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            log.debug("vision.fetch_failed", camera=ref.camera, problem=type(error).__name__)
            return "fetch_failed"
        return _Work(ref, bytes(data), rules)

    def _count(self, result: str) -> None:
        self.metrics.pictures.labels(result).inc()

    # looking --------------------------------------------------------------------------------------

    async def _analyse(self, pipeline: Pipeline) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked = time.perf_counter()
            work = await self._waiting.get()
            if self._clock() - work.ref.at > TOO_OLD_MS:
                self._count("too_old")
                continue
            started = time.perf_counter()
            result, found = await loop.run_in_executor(self._thread, self._judge, pipeline, work)
            took = time.perf_counter() - started
            self.metrics.seconds.observe(took)
            self._busy += 0.1 * (took / (time.perf_counter() - asked) - self._busy)
            self._count(result)
            for each in found:
                self._queue_report(work.ref, each)

    def _judge(self, pipeline: Pipeline, work: _Work) -> tuple[str, list[_Found]]:
        """In the thread. What became of the picture, and what was found."""
        ref = work.ref
        try:
            frame = Frame(ref.camera, ref.at, decode_keyframe(work.data, ref.codec))
            look = pipeline.look(frame, work.rules)
        except BadPicture as error:
            log.info("vision.bad_picture", camera=ref.camera, problem=str(error))
            return "bad_picture", []
        except (BadRule, DetectorFailed) as error:
            log.warning("vision.failed", camera=ref.camera, problem=str(error))
            return "failed", []
        except Exception:
            log.exception("vision.crashed", camera=ref.camera)  # a fault of ours; the next picture may do better
            return "failed", []
        return ("analysed" if look.analysed else "still"), [_Found(f, _draw(frame, f, look)) for f in look.findings]

    # reporting ------------------------------------------------------------------------------------

    def _queue_report(self, ref: PictureRef, found: _Found) -> None:
        finding, weights = found.finding, self._weights
        assert weights is not None
        boxes = [
            BoxOut(x1=float(b[0]), y1=float(b[1]), x2=float(b[2]), y2=float(b[3]), label="person", score=float(c))
            for b, c in zip(finding.boxes.xyxy, finding.boxes.confidence, strict=True)
        ]
        report = AnomalyReport(
            camera=ref.camera,
            rule=finding.rule,
            kind=finding.kind,
            at=finding.at,
            score=round(finding.score, 4),
            count=len(boxes),
            boxes=boxes,
            picture=f"{self._url}/pictures/{self.pictures.put(found.picture)}" if found.picture else None,
            model=weights.name,
            demonstration=weights.demonstration,
        )
        self.metrics.reports.labels(finding.kind).inc()
        if self._unsent.full():
            self._unsent.get_nowait()
            self.metrics.lost.inc()
        self._unsent.put_nowait(report)

    async def _send(self) -> None:
        outage = Outage("vision/reports")
        while True:
            report = await self._unsent.get()
            while True:
                try:
                    await publish(self._redis, REPORTS_STREAM, report.model_dump_json(), maxlen=REPORTS_MAXLEN)
                    break
                except BUS_ERRORS as error:
                    await asyncio.sleep(outage.failed(error))
            outage.worked()
            log.info("vision.reported", camera=report.camera, rule=report.rule, kind=report.kind, count=report.count)

    async def _listen(self) -> None:
        """Forget rules when the channel says that they changed."""
        outage = Outage("vision/rules")
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(RULES_KEY)
                    self._rules.forget()
                    outage.worked()
                    while True:
                        if await channel.get_message(timeout=2.0) is not None:
                            self._rules.forget()
            except BUS_ERRORS as error:
                await asyncio.sleep(outage.failed(error))

    # internal HTTP --------------------------------------------------------------------------------

    async def _healthz(self, _: Request) -> Response:
        facts = self.node().facts
        return JSONResponse(facts, 200 if facts["state"] == "ready" else 503)

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self.metrics.registry), media_type="text/plain; version=0.0.4")

    async def _picture(self, request: Request) -> Response:
        if (picture := self.pictures.get(request.path_params["key"])) is None:
            raise NotFound("picture.unknown", "no such picture, or it is older than ten minutes")
        return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


def _draw(frame: Frame, finding: Finding, look: Look) -> bytes | None:
    """The alert's JPEG; None when it cannot be drawn, which must not cost the alert."""
    when = datetime.fromtimestamp(finding.at / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    title = f"{KIND_NAMES[finding.kind]}  {len(finding.boxes)} 人  {when}"
    labels = [f"人 {round(float(score) * 100)}%" for score in finding.boxes.confidence]
    try:
        return annotated_jpeg(frame, finding.boxes, labels, title=title, zone=finding.zone)
    except Exception:
        log.exception("vision.not_drawn", camera=frame.camera)
        return None


def yolo(settings: Settings) -> LoadDetector:
    """Loads YOLO; torch is imported when it is called and not before."""

    def load(path: Path) -> Detector:
        from vision.yolo import YoloDetector

        return YoloDetector(path, config_folder=settings.data / "ultralytics")

    return load


async def run_vision(
    settings: Settings, *, node_id: str, token: str, redis: Redis, clock: Clock = system_clock
) -> None:
    """The vision role until cancelled. Weights that cannot be used are said in one line; the role then stays
    registered as failed and takes no pictures from workers that can. Raises Unavailable: no port."""
    worker = Worker(settings, node_id=node_id, token=token, redis=redis, load=yolo(settings), clock=clock)
    async with internal_http.serve(worker.routes, token=token, host=settings.internal_host) as url:
        await worker.run(url)
