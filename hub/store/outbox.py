"""Events leave a use case here: one row in the caller's transaction, so that state and event are one fact."""

import json
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.events import Payload
from hub.domain.ids import UnitId
from hub.store.tables import OutboxRow


def record(db: AsyncSession, payload: Payload, *, unit: UnitId, ref: str, at: int) -> None:
    """Record an event with the caller's transaction; the appender gives it a sequence number after the commit.

    ``unit`` is the unit that it concerns, ``ref`` the aggregate, ``at`` milliseconds by the hub's clock.
    """
    db.add(OutboxRow(kind=payload.kind, at=at, unit=unit, ref=ref, data=canonical(payload.model_dump(mode="json"))))
    db.info["recorded"] = True


def canonical(data: dict[str, Any]) -> str:
    """JSON with sorted keys, no spaces and no escapes but the needed ones: the same text for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
