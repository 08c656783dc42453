"""``sharpeyes relay``: which relays there are, and emptying one before it stops. Speaks to Redis and to the relays."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from hub.bus import registry
from hub.bus.connection import BUS_ERRORS, connect
from hub.bus.relay_wire import NodeInfo
from hub.bus.relays import Relays
from hub.domain.errors import Conflict, NotFound, Unavailable
from hub.secrets import internal_token
from hub.settings import Settings

LOOK_S: Final = 0.3


@dataclass(frozen=True)
class Site:
    """What a command works on."""

    redis: Redis
    relays: Relays

    async def nodes(self) -> list[NodeInfo]:
        """Live relays. Raises Unavailable ``bus.lost``."""
        try:
            return await registry.nodes(self.redis, "relay")
        except BUS_ERRORS:
            raise Unavailable("bus.lost", "Redis does not answer: is a hub running on this data folder?") from None

    async def one(self, name: str) -> NodeInfo:
        """The relay of this id, or whose id begins so. Raises NotFound ``relay.unknown``."""
        found = [node for node in await self.nodes() if node.id.startswith(name)]
        if len(found) != 1:
            raise NotFound("relay.unknown", f"{len(found) or 'no'} relays are called {name}; see: sharpeyes relay list")
        return found[0]


@asynccontextmanager
async def at_site(settings: Settings) -> AsyncIterator[Site]:
    """The connections of one command."""
    async with aclosing(connect(settings.redis, name="cli")) as redis, Relays(internal_token(settings)) as relays:
        yield Site(redis, relays)


def line(node: NodeInfo) -> str:
    """One relay in one line."""
    state = "draining" if node.facts.get(registry.DRAINING) else "up"
    zone = node.facts.get(registry.ZONE) or "-"
    figures = (
        f"load {node.load:.2f}  streams {node.facts.get('streams', '?')}  sessions {node.facts.get('sessions', '?')}"
    )
    return f"{node.id}  {state:8}  zone {zone}  udp {node.facts.get('udp_port', '?')}  {figures}"


async def drain(site: Site, name: str, *, wait_s: float, say: Callable[[str], None]) -> bool:
    """Have a relay emptied; whether it was within the time. ``say`` is told of the progress.

    Raises NotFound, Unavailable, Conflict ``relay.last`` when no other relay takes what it has.
    """
    node = await site.one(name)
    others = [each for each in await site.nodes() if each.id != node.id and not each.facts.get(registry.DRAINING)]
    if not others:
        raise Conflict("relay.last", "no other relay takes what this one has; start one first")
    await site.relays.drain(node.url, draining=True)
    said = ""
    try:
        async with asyncio.timeout(wait_s):
            while True:
                sessions, streams = await left(site, node)
                now = "drained" if not sessions and not streams else f"{sessions} sessions, {streams} streams left"
                if now != said:
                    say(f"{node.id}  {now}")
                    said = now
                if now == "drained":
                    return True
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return False


async def left(site: Site, node: NodeInfo) -> tuple[int, int]:
    """Sessions and streams of a relay now. Raises Unavailable."""
    text = (await site.relays.call("GET", node.url, "/metrics")).decode()
    figures = dict(row.rsplit(" ", 1) for row in text.splitlines() if row and not row.startswith("#"))
    sessions = float(figures["sharpeyes_relay_sessions"]) + float(figures["sharpeyes_relay_outlets"])
    return int(sessions), len(await site.relays.streams(node.url))


async def undrain(site: Site, name: str) -> NodeInfo:
    """Let a relay take new streams again. Raises NotFound, Unavailable."""
    node = await site.one(name)
    await site.relays.drain(node.url, draining=False)
    return node


async def run(settings: Settings, work: Callable[[Site], Awaitable[None]]) -> None:
    """Run one command."""
    async with at_site(settings) as site:
        await work(site)
