"""What relays and workers report: alerts with their pictures, members' first media, ended sessions.

Reports come at least once, so taking one twice must change nothing.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Annotated, Any, Final, Literal, TypeAlias

import httpx
import structlog
from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.exc import OperationalError

from hub.bus.gateway_wire import (
    AlarmReport,
    CascadeEnd,
    CascadeInvite,
    CascadeTalk,
    CatalogReport,
    DeviceInfoReport,
    DeviceReport,
    PositionReport,
)
from hub.bus.relay_wire import REPORTS_STREAM, AnomalyReport, SessionReport
from hub.bus.streams import Entry, GroupReader
from hub.domain.errors import Conflict, HubError, Invalid, NotFound
from hub.services import alerts, catalogs, conferences, device_alarms, platforms
from hub.services.context import Context
from hub.services.gateways import GatewayBook
from hub.services.live import publish_live
from hub.services.media import Media
from hub.services.placements import Placements

log: Final = structlog.get_logger(__name__)

GROUP: Final = "api"
MAX_PICTURE_BYTES: Final = 8 * 2**20
Taken = Literal["done", "dropped", "again"]

FromGateway: TypeAlias = (
    DeviceReport
    | DeviceInfoReport
    | CatalogReport
    | PositionReport
    | AlarmReport
    | CascadeInvite
    | CascadeTalk
    | CascadeEnd
)
Report: TypeAlias = Annotated[AnomalyReport | SessionReport | FromGateway, Field(discriminator="type")]

_report: Final[TypeAdapter[Report]] = TypeAdapter(Report)


class Reports:
    """Takes reports off the stream, one after the other; one per api process, all of one group."""

    def __init__(
        self,
        ctx: Context,
        media: Media,
        token: str,
        *,
        node: str,
        gateways: GatewayBook,
        placements: Placements,
    ) -> None:
        self._ctx = ctx
        self._media = media
        self._gateways = gateways
        self._placements = placements
        self._token = token
        self._node = node
        self._group: asyncio.TaskGroup | None = None
        self.counts: dict[Taken, int] = {"done": 0, "dropped": 0, "again": 0}

    async def run(self) -> None:
        """For ever. What fails for want of a part (the database is busy) comes again; rubbish is dropped and said."""
        if self._ctx.redis is None:
            return
        reader = GroupReader(self._ctx.redis, REPORTS_STREAM, GROUP, self._node)
        async with (
            asyncio.TaskGroup() as self._group,
            httpx.AsyncClient(
                headers={"Authorization": f"Bearer {self._token}"}, timeout=5.0, trust_env=False, follow_redirects=False
            ) as http,
        ):
            async for entry in reader.entries():
                taken = await self.take(entry, http)
                self.counts[taken] += 1
                if taken != "again":
                    await reader.ack(entry)

    async def take(self, entry: Entry, http: httpx.AsyncClient) -> Taken:
        """Take one report; whether it is done with, dropped or to come again."""
        try:
            report = _report.validate_json(entry.text)
        except ValidationError as error:
            log.warning("report.not_understood", entry=entry.id, problems=error.error_count())
            return "dropped"
        try:
            if isinstance(report, AnomalyReport):
                await self._anomaly(report, http)
            elif isinstance(report, SessionReport):
                await self._session(report)
            else:
                await self._from_gateway(report)
        except OperationalError as error:
            log.warning("report.again", entry=entry.id, error=str(error.orig))
            return "again"
        except HubError as error:
            log.warning("report.dropped", entry=entry.id, error=error.id)
            return "dropped"
        except Exception:
            log.exception("report.failed", entry=entry.id)
            return "again"
        return "done"

    async def _anomaly(self, report: AnomalyReport, http: httpx.AsyncClient) -> None:
        picture = None if report.picture is None else await _fetch(http, report.picture)
        try:
            await alerts.raise_alert(self._ctx, report, picture)
        except Invalid as error:  # an alert without its picture is still an alert
            if picture is None:
                raise
            log.warning("report.picture_refused", camera=report.camera, error=error.id)
            await alerts.raise_alert(self._ctx, report, None)

    async def _from_gateway(self, report: FromGateway) -> None:
        match report:
            case DeviceReport():
                await catalogs.take_state(self._ctx, self._gateways, report)
            case DeviceInfoReport():
                await catalogs.take_info(self._ctx, report)
            case CatalogReport():
                await catalogs.take_catalog(self._ctx, report)
            case PositionReport():
                await catalogs.take_position(self._ctx, report)
            case AlarmReport():
                await device_alarms.take_alarm(self._ctx, report)
            case CascadeInvite():
                self._beside(platforms.answer_invite(self._ctx, self._gateways, self._placements, report))
            case CascadeTalk():
                relays = self._media.relays
                self._beside(platforms.answer_talk(self._ctx, self._gateways, self._placements, relays, report))
            case CascadeEnd():
                await platforms.end_stream(self._placements, report)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """What waits for a relay or a device does not hold up the reports behind it."""
        assert self._group is not None

        async def guarded() -> None:
            try:
                await work
            except HubError as error:
                log.warning("report.dropped", error=error.id)
            except Exception:
                log.exception("report.failed")

        self._group.create_task(guarded(), name="reports/beside")

    async def _session(self, report: SessionReport) -> None:
        if not report.stream:  # of a page's one connection: the process with its socket tells it
            told = {"subscriber": report.session, "what": report.what, "reason": report.reason}
            await publish_live(self._ctx, told)
        if report.what == "ended":
            await self._media.forget(report.session)
        if report.what != "media":
            return
        with contextlib.suppress(NotFound, Conflict):  # a conference that has ended
            await conferences.mark_joined(self._ctx, report.stream)


async def _fetch(http: httpx.AsyncClient, url: str) -> bytes | None:
    """The worker's picture, at most 8 MiB; None when it cannot be had."""
    try:
        async with http.stream("GET", url) as response:
            if response.status_code != 200:
                log.warning("report.picture_missing", status=response.status_code)
                return None
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MAX_PICTURE_BYTES:
                    log.warning("report.picture_too_large", limit=MAX_PICTURE_BYTES)
                    return None
            return bytes(data)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.warning("report.picture_missing", error=type(error).__name__)
        return None
