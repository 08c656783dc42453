"""Who speaks to which camera now. A courtesy to those who watch it: that one at a time speaks, the gateway sees to."""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.bus.connection import BUS_ERRORS
from hub.domain.ids import CameraId, StreamId
from hub.services.context import Context
from hub.services.live import publish_live

KEY: Final = "talking:{camera}"
KEEP_S: Final = 3_600  # nobody speaks longer at a stretch


class Talking(BaseModel):
    """One person's talk."""

    model_config = ConfigDict(frozen=True)
    talk: StreamId
    name: str


async def talk_began(ctx: Context, camera: CameraId, talking: Talking) -> None:
    """Note it, and have every api process tell who watches. Without Redis nobody is told."""
    if ctx.redis is None:
        return
    try:
        await ctx.redis.set(KEY.format(camera=camera), talking.model_dump_json(), ex=KEEP_S)
    except BUS_ERRORS:
        return
    await publish_live(ctx, {"talking": camera})


async def talk_ended(ctx: Context, camera: CameraId, talk: StreamId) -> None:
    """This one is over; another one that began meanwhile stays noted. May be called twice."""
    if ctx.redis is None:
        return
    try:
        now = _read(await ctx.redis.get(KEY.format(camera=camera)))
        if now is None or now.talk != talk:
            return
        await ctx.redis.delete(KEY.format(camera=camera))
    except BUS_ERRORS:
        return
    await publish_live(ctx, {"talking": camera})


async def who_talks(ctx: Context, cameras: Sequence[CameraId]) -> dict[CameraId, str]:
    """Names by camera, of those that somebody speaks to; nobody where Redis does not answer."""
    if ctx.redis is None or not cameras:
        return {}
    try:
        found = await ctx.redis.mget([KEY.format(camera=camera) for camera in cameras])
    except BUS_ERRORS:
        return {}
    said = {camera: _read(text) for camera, text in zip(cameras, found, strict=True)}
    return {camera: talking.name for camera, talking in said.items() if talking is not None}


def _read(text: object) -> Talking | None:
    try:
        return None if text is None else Talking.model_validate_json(str(text))
    except ValidationError:
        return None
