"""What a vision worker keeps beside its model: counters, annotated pictures, the rules of its cameras."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import RuleSpec
from hub.domain.clock import Clock
from vision.pipeline import RuleConfig

log: Final = structlog.get_logger(__name__)

RULES_KEY: Final = "rules"  # Redis hash and channel, as RuleSpec describes
RULES_FOR_MS: Final = 10_000  # a camera's rules are read again after this, should a message on the channel get lost
MAX_RULE_CAMERAS: Final = 4_096
KEPT_PICTURES: Final = 256
KEPT_FOR_MS: Final = 600_000
_SPECS: Final = TypeAdapter(list[RuleSpec])


class Metrics:
    """Counters of one worker, in a registry of their own so that tests can run several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pictures = Counter(
            "sharpeyes_vision_pictures",
            "Picture references by what became of them.",
            ["result"],  # analysed still unwatched too_old invalid fetch_failed bad_picture failed
            registry=self.registry,
        )
        self.reports = Counter("sharpeyes_vision_reports", "Anomalies by kind.", ["kind"], registry=self.registry)
        self.lost = Counter("sharpeyes_vision_reports_lost", "Reports dropped: bus away.", registry=self.registry)
        self.seconds = Histogram(
            "sharpeyes_vision_picture_seconds",
            "Decoding, detection and rules of one picture.",
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
            registry=self.registry,
        )
        self.ready = Gauge("sharpeyes_vision_ready", "1 when the model is loaded.", registry=self.registry)


@dataclass(slots=True)
class PictureStore:
    """Annotated pictures until ``api`` has fetched them: at most 256, at most ten minutes."""

    clock: Clock
    _kept: OrderedDict[str, tuple[int, bytes]] = field(default_factory=OrderedDict)

    def put(self, picture: bytes) -> str:
        """Keep a JPEG; returns its id."""
        self._expire()
        key = secrets.token_hex(12)
        self._kept[key] = (self.clock(), picture)
        if len(self._kept) > KEPT_PICTURES:
            self._kept.popitem(last=False)
        return key

    def get(self, key: str) -> bytes | None:
        """The JPEG, or None when unknown or expired."""
        self._expire()
        found = self._kept.get(key)
        return found[1] if found else None

    def _expire(self) -> None:
        limit = self.clock() - KEPT_FOR_MS
        while self._kept and next(iter(self._kept.values()))[0] < limit:
            self._kept.popitem(last=False)


class Rules:
    """Rules of the cameras that this worker sees, read when needed and kept for ten seconds."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, tuple[RuleConfig, ...]]] = OrderedDict()

    def forget(self) -> None:
        """Rules changed."""
        self._known.clear()

    async def of(self, camera: str) -> tuple[RuleConfig, ...]:
        """The camera's rules. While Redis is away those known last, else none."""
        now = self._clock()
        known = self._known.get(camera)
        if known is not None and 0 <= now - known[0] < RULES_FOR_MS:
            return known[1]
        try:
            text = await self._redis.hget(RULES_KEY, camera)
        except BUS_ERRORS:
            return known[1] if known else ()
        try:
            specs = _SPECS.validate_json(text) if text else []
        except ValidationError as error:
            log.warning("vision.rules_unreadable", camera=camera, problem=error.errors()[0]["msg"])
            specs = []
        configs = tuple(RuleConfig(spec.id, spec.kind, spec.params) for spec in specs)
        self._known[camera] = (now, configs)
        self._known.move_to_end(camera)
        if len(self._known) > MAX_RULE_CAMERAS:
            self._known.popitem(last=False)
        return configs
