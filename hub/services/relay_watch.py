"""Notices that a relay is dead by the connection that breaks, not by a heartbeat that does not come.

Every api process holds one connection to each relay (``GET /alive``). A killed process breaks it at once; a host
without power, or a way that is cut, is noticed after a second and a half of silence.
"""

import asyncio
import functools
from typing import Final

import structlog
from prometheus_client import Counter

from hub.bus.relay_wire import NodeInfo
from hub.bus.relays import Relays
from hub.domain.errors import HubError, Unavailable
from hub.services.media import Media
from hub.services.placements import Placements

log: Final = structlog.get_logger(__name__)

LOST: Final = Counter("sharpeyes_relays_lost_total", "Relays whose connection broke, or that ended")
LOOK_S: Final = 0.5
PROBE_TURNS: Final = 10  # of TURN_S each: a second, where this process runs as it should
TURN_S: Final = 0.1


class RelayWatch:
    """One per api process."""

    def __init__(self, placements: Placements, relays: Relays, media: Media) -> None:
        self._placements = placements
        self._relays = relays
        self._media = media
        self._followed: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    alive = await self._placements.relays_alive()
                except Unavailable:
                    alive = []  # whom we follow, we follow on
                for node in alive:
                    key = (node.id, node.since)
                    if key not in self._followed:
                        task = self._followed[key] = group.create_task(self._follow(node), name=f"alive/{node.id}")
                        task.add_done_callback(functools.partial(self._forget, key))
                await asyncio.sleep(LOOK_S)

    def _forget(self, key: tuple[str, int], _: "asyncio.Task[None]") -> None:
        self._followed.pop(key, None)

    async def _follow(self, node: NodeInfo) -> None:
        """Until the relay is gone; then say so."""
        while await heard(self._relays, node.url):
            pass
        LOST.inc()
        log.warning("relay.lost", relay=node.id)
        self._placements.suspect(node)
        self._relays.lost(node.url)
        try:
            await self._media.move_off(node.id, "lost")
            await self._placements.lost(node)
        except Exception:  # the rounds of placement mend what was not done here
            log.exception("relay.lost_unfinished", relay=node.id)


async def heard(relays: Relays, url: str) -> bool:
    """Listen while a relay lives; whether it said anything on this connection.

    Its first word is waited for in turns of this loop's own: a second that this process could not run in is no
    second that the relay was silent in.
    """
    beats = relays.alive(url)
    first = asyncio.ensure_future(anext(beats, None))
    try:
        for _ in range(PROBE_TURNS):
            if first in (await asyncio.wait((first,), timeout=TURN_S))[0]:
                break
        else:
            return False
        await first
        async for _ in beats:
            pass  # the client itself minds the silence
    except HubError:
        pass
    finally:
        said = first.done() and not first.cancelled() and first.exception() is None
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await beats.aclose()
    return said
