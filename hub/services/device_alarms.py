"""Alarms that a device reports by itself, into the queue of alerts.

Each camera that reports has one rule of the kind ``device_alarm``, made at its first alarm: so repeats are folded as
anybody's are, and who has enough of a loose contact switches the rule off.
"""

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.bus.gateway_wire import AlarmReport
from hub.domain.ids import AlertId, RuleId, new_id
from hub.domain.text import mended
from hub.services.alerts import Finding, raise_finding
from hub.services.context import Context
from hub.store import devices as store
from hub.store.cameras import DEVICE_ALARM
from hub.store.tables import CameraRow, RuleRow

SEVERITIES: Final = {1: "critical", 2: "major", 3: "minor", 4: "info"}
"""GB/T 28181-2016 A.2.5: 1 is the first level of police matters, 4 the lowest; 0 is not said."""


async def take_alarm(ctx: Context, report: AlarmReport) -> AlertId | None:
    """Raise or fold an alert; None where the channel has no camera or its rule is switched off."""
    severity = SEVERITIES.get(report.priority, "major")
    async with ctx.sessions.begin() as db:
        camera = await _camera(db, report)
        if camera is None:
            return None
        rule = await _rule(ctx, db, camera, severity)
    what = f"GB/T 28181 {report.method}/{report.alarm_type if report.alarm_type is not None else '-'}"
    finding = Finding(camera.id, rule, report.at, 1.0, 1, [], mended(f"{what} {report.description}", 80), False)
    return await raise_finding(ctx, finding)


async def _camera(db: AsyncSession, report: AlarmReport) -> CameraRow | None:
    """The camera of the channel; else the only or first one of the device: an alarm input has no picture."""
    found = await store.camera_of(db, report.device, report.channel)
    if found is not None:
        return found
    cameras = await store.cameras_of(db, report.device)
    return min(cameras, key=lambda row: row.channel or "", default=None)


async def _rule(ctx: Context, db: AsyncSession, camera: CameraRow, severity: str) -> RuleId:
    query = select(RuleRow).where(
        RuleRow.camera == camera.id, RuleRow.kind == DEVICE_ALARM, RuleRow.removed_at.is_(None)
    )
    rule = (await db.scalars(query.limit(1))).first()
    if rule is None:
        now = ctx.clock()
        rule = RuleRow(
            id=new_id("rule", now_ms=now), camera=camera.id, kind=DEVICE_ALARM, name="设备报警", severity=severity,
            enabled=True, params={}, created_at=now,
        )  # fmt: skip
        db.add(rule)
    elif rule.enabled:
        rule.severity = severity
    return rule.id
