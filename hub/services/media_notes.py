"""What is kept of media sessions in Redis: each under its id, and its id under everything that it hangs on."""

from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from hub.bus.connection import BUS_ERRORS
from hub.domain.errors import Unavailable
from hub.domain.ids import MemberId
from hub.services.context import Context

SESSION_KEY: Final = "media:{id}"
PUBLISHING_KEY: Final = "publishing:{member}"
INDEX_KEY: Final = "media-of:{key}"
KEEP_S: Final = 24 * 3_600


class Noted(BaseModel):
    """What is kept of a session."""

    model_config = ConfigDict(frozen=True)
    node: str
    url: str
    owner: str
    stream: str
    publishes: bool
    keys: tuple[str, ...]
    subscriber: bool = False  # many streams: what one key grants may go while the rest stays
    streams: tuple[str, ...] = ()  # a subscriber's


class MediaNotes:
    """The notes of all sessions. What is not told apart here is lost with Redis, and runs out by itself."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    @property
    def _redis(self) -> Redis:
        if self._ctx.redis is None:
            raise Unavailable("bus.lost", "Redis is not configured")
        return self._ctx.redis

    async def put(self, session: str, noted: Noted, *, no_more: Iterable[str] = ()) -> None:
        """Note a session; it hangs on these keys ``no_more``. Raises Unavailable (``bus.lost``)."""
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(SESSION_KEY.format(id=session), noted.model_dump_json(), ex=KEEP_S)
                for key in no_more:
                    pipe.srem(INDEX_KEY.format(key=key), session)
                for key in noted.keys:
                    pipe.sadd(INDEX_KEY.format(key=key), session)
                    pipe.expire(INDEX_KEY.format(key=key), KEEP_S)
                await pipe.execute()
        except BUS_ERRORS:
            raise Unavailable("bus.lost", "Redis does not answer; try again") from None

    async def get(self, session: str) -> Noted | None:
        """What is noted of a session; ``None`` also where Redis does not answer."""
        try:
            text = await self._redis.get(SESSION_KEY.format(id=session))
            return None if text is None else Noted.model_validate_json(text)
        except (*BUS_ERRORS, ValidationError):
            return None

    async def remove(self, session: str, noted: Noted) -> bool:
        """Forget a session. False where Redis does not answer: it runs out by itself."""
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(SESSION_KEY.format(id=session))
                for key in noted.keys:
                    pipe.srem(INDEX_KEY.format(key=key), session)
                await pipe.execute()
        except BUS_ERRORS:
            return False
        return True

    async def under(self, key: str) -> list[str]:
        """The sessions that hang on a key. Raises Unavailable (``bus.lost``)."""
        try:
            return [str(each) for each in await self._redis.smembers(INDEX_KEY.format(key=key))]
        except BUS_ERRORS as error:
            raise Unavailable("bus.lost", f"Redis does not answer: {type(error).__name__}") from None

    async def keys(self, prefix: str) -> list[str]:
        """Keys with this beginning that sessions hang on; none where Redis does not answer."""
        pattern = INDEX_KEY.format(key=f"{prefix}*")
        try:
            found = [key async for key in self._redis.scan_iter(match=pattern, count=500)]
        except BUS_ERRORS:
            return []
        return [key.removeprefix(INDEX_KEY.format(key="")) for key in found]

    async def publishes(self, member: MemberId, session: str) -> None:
        """This session is the one by which a member publishes now. Raises what Redis raises."""
        await self._redis.set(PUBLISHING_KEY.format(member=member), session, ex=KEEP_S)

    async def published(self, member: MemberId, session: str) -> bool:
        """This session is over: whether it was the one by which the member published, and no other took its place."""
        key = PUBLISHING_KEY.format(member=member)
        try:
            if await self._redis.get(key) != session:
                return False
            await self._redis.delete(key)
        except BUS_ERRORS:
            return False
        return True
