"""One place that makes Redis clients: text answers, time limits, few retries; and the outage that is said once."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import structlog
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from hub.domain.errors import Invalid

log: Final = structlog.get_logger(__name__)

BUS_ERRORS: Final = (RedisError, OSError)
"""What a call on a dead or dying Redis raises."""


class _Cancellable(AbstractConnection):
    """A connection that never swallows a cancellation.

    redis-py writes under ``asyncio.wait_for``, which before Python 3.12 loses a cancellation that arrives when the
    write is just done (cpython issue 86296); a task that loops over Redis would then never end.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        limit, self.socket_timeout = self.socket_timeout, None  # None: redis-py writes without wait_for
        try:
            async with asyncio.timeout(limit):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeout("timeout writing to Redis") from None
        finally:
            self.socket_timeout = limit


class _Tcp(_Cancellable, Connection):
    pass


class _Tls(_Cancellable, SSLConnection):
    pass


class _Unix(_Cancellable, UnixDomainSocketConnection):
    pass


_CLASSES: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    UnixDomainSocketConnection: _Unix,
    SSLConnection: _Tls,
}


def connect(url: str, *, name: str) -> Redis:
    """A client for ``url`` (lazy: nothing is opened yet). Answers are str. Calls raise RedisError within 5 s.

    Raises Invalid (``redis.url``) for what is no Redis URL; the URL may hold a password and is not repeated.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        message = "SHARPEYES_REDIS_URL is none: redis://, rediss:// or unix:// is expected"
        raise Invalid("redis.url", message, field="SHARPEYES_REDIS_URL") from None
    kind = _CLASSES.get(options.pop("connection_class", Connection), _Tcp)
    return Redis.from_pool(
        ConnectionPool(
            connection_class=kind,
            max_connections=128,
            decode_responses=True,
            encoding_errors="replace",  # one entry that is no text must not take its reader along, again and again
            client_name=name,
            socket_timeout=5.0,
            socket_connect_timeout=2.0,
            health_check_interval=15,
            retry=Retry(ExponentialBackoff(cap=0.25, base=0.05), 2),
            **options,
        )
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
