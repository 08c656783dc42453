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
PROBE_S: Final = 1.0


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
        while await self._beats(node):
            pass
        LOST.inc()
        log.warning("relay.lost", relay=node.id)
        self._placements.suspect(node)
        try:
            await self._media.move_off(node.id, "lost")
            await self._placements.lost(node)
        except Exception:  # the rounds of placement mend what was not done here
            log.exception("relay.lost_unfinished", relay=node.id)

    async def _beats(self, node: NodeInfo) -> bool:
        """Listen while it lives; whether it said anything on this connection."""
        beats, heard = self._relays.alive(node.url), False
        try:
            async with asyncio.timeout(PROBE_S) as patience:
                async for _ in beats:
                    heard = True
                    patience.reschedule(None)  # the client itself minds the silence
        except (HubError, TimeoutError):
            pass
        finally:
            await beats.aclose()
        return heard
