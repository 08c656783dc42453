"""Minding conferences: calls that have rung out, members who are lost, media that outlived its right."""

import asyncio
import contextlib
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from hub.domain.conference import LOST_MS
from hub.domain.errors import Conflict, HubError, NotFound
from hub.domain.ids import MemberId
from hub.services import conferences
from hub.services.context import Context
from hub.services.media import Media
from hub.services.units import Online
from hub.store import conferences as store

log: Final = structlog.get_logger(__name__)

EVERY_S: Final = 0.5
MEMBERS_EVERY: Final = 10  # rounds
AUDIT_EVERY: Final = 40


class Attendance:
    """One per api process. Every process does this; the database lets each thing happen once."""

    def __init__(self, ctx: Context, media: Media, online: Online) -> None:
        self._ctx = ctx
        self._media = media
        self._online = online
        self._absent: dict[MemberId, int] = {}

    async def run(self) -> None:
        """For ever. A failing round is said once, and the next one tries again."""
        failing = False
        round_ = 0
        while True:
            await asyncio.sleep(EVERY_S)
            round_ += 1
            try:
                await conferences.miss_rung_out(self._ctx)
                if round_ % MEMBERS_EVERY == 0:
                    await self._media.tend_members()
                    await self.let_go_of_the_lost()
                if round_ % AUDIT_EVERY == 0:
                    await self._media.audit()
                failing = False
            except (SQLAlchemyError, HubError) as error:
                if not failing:
                    log.warning("attendance.failed", error=getattr(error, "id", type(error).__name__))
                failing = True

    async def let_go_of_the_lost(self) -> None:
        """Members who had neither media nor a connection for 30 s have left. A fresh process waits that long, too."""
        async with self._ctx.reading() as db:
            present = await store.present(db)
        now = self._ctx.clock()
        absent = [m.id for m in present if not m.publishing and not (m.user and self._online.is_online(m.user))]
        self._absent = {member: self._absent.get(member, now) for member in absent}
        for member, since in self._absent.items():
            if now - since >= LOST_MS:
                with contextlib.suppress(NotFound, Conflict):  # ended in between
                    await conferences.mark_lost(self._ctx, member)
