"""One place that makes Redis clients: text answers, time limits, few retries; and the outage that is said once."""

from typing import Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

log: Final = structlog.get_logger(__name__)

BUS_ERRORS: Final = (RedisError, OSError)
"""What a call on a dead or dying Redis raises."""


def connect(url: str, *, name: str) -> Redis:
    """A client for ``url`` (lazy: nothing is opened yet). Answers are str. Calls raise RedisError within 5 s."""
    return Redis.from_url(
        url,
        decode_responses=True,
        client_name=name,
        socket_timeout=5.0,
        socket_connect_timeout=2.0,
        health_check_interval=15,
        max_connections=128,
        retry=Retry(ExponentialBackoff(cap=0.25, base=0.05), 2),
    )


class Outage:
    """Back-off of one loop that needs Redis, with one log line when it goes and one when it is back."""

    def __init__(self, who: str, *, first: float = 0.1, most: float = 2.0) -> None:
        self._who = who
        self._first = first
        self._most = most
        self._pause = first
        self.down = False

    def failed(self, error: BaseException) -> float:
        """Note a failure; return the seconds to wait before the next try."""
        if not self.down:
            self.down = True
            log.warning("bus.lost", who=self._who, error=str(error) or type(error).__name__)
        pause, self._pause = self._pause, min(self._pause * 2, self._most)
        return pause

    def worked(self) -> bool:
        """Note a success; return whether it ended an outage."""
        self._pause = self._first
        if not self.down:
            return False
        self.down = False
        log.info("bus.back", who=self._who)
        return True
