"""Telling every api process that something happened, over Redis. A hint, never the truth: that is in the database."""

import json
from typing import Any

from hub.bus.connection import BUS_ERRORS
from hub.bus.relay_wire import LIVE_CHANNEL
from hub.services.context import Context


async def publish_live(ctx: Context, message: dict[str, Any]) -> None:
    """Publish one message on the live channel; without Redis, or while it is down, nothing happens."""
    if ctx.redis is None:
        return
    try:
        await ctx.redis.publish(LIVE_CHANNEL, json.dumps(message, ensure_ascii=False))
    except BUS_ERRORS:
        return
