"""Events leave a use case here: one row in the caller's transaction, so that state and event are one fact."""

from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.chain import canonical
from hub.domain.events import Payload
from hub.domain.ids import UnitId
from hub.store.tables import OutboxRow


def record(db: AsyncSession, payload: Payload, *, unit: UnitId, ref: str, at: int) -> None:
    """Record an event with the caller's transaction; the appender gives it a sequence number after the commit.

    ``unit`` is the unit that it concerns, ``ref`` the aggregate, ``at`` milliseconds by the hub's clock.
    """
    db.add(OutboxRow(kind=payload.kind, at=at, unit=unit, ref=ref, data=canonical(payload.model_dump(mode="json"))))
    db.info["recorded"] = True
