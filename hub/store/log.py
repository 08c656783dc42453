"""The event log: one appender turns outbox rows into links of a hash chain, numbered without holes.

Only what the appender committed has a number, and numbers are given in one transaction with the chain's head; so
whoever has read up to ``seq`` misses nothing by asking for ``after=seq``. The head row is locked while a batch is
appended: two appenders can wait for each other, but never fork the chain.
"""

import json
import secrets
from collections.abc import Collection
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.chain import ALGORITHM, GENESIS, SALT_BYTES, Anchor, payload_hash, row_hash
from hub.domain.errors import Unavailable
from hub.domain.events import Envelope
from hub.store.tables import LogHeadRow, LogPayloadRow, LogRow, OutboxRow

BATCH: Final = 500


async def append_batch(db: AsyncSession, *, limit: int = BATCH) -> int:
    """Move the oldest outbox rows into the chain; return the last sequence number given, 0 when none was waiting.

    The caller owns the (writing) transaction. Raises Unavailable (``log.headless``) when the chain has rows but
    no head: appending would hide a tampering.
    """
    head = await _locked_head(db)
    waiting = (await db.scalars(select(OutboxRow).order_by(OutboxRow.id).limit(limit))).all()
    if not waiting:
        return 0
    seq, prev = head.seq, head.hash
    links: list[dict[str, object]] = []
    payloads: list[dict[str, object]] = []
    for row in waiting:
        seq += 1
        salt = secrets.token_hex(SALT_BYTES)
        sealed = payload_hash(ALGORITHM, salt, row.data)
        fields = {"seq": seq, "kind": row.kind, "at": row.at, "unit": row.unit, "ref": row.ref}
        hash_ = row_hash(
            ALGORITHM, seq=seq, kind=row.kind, at=row.at, unit=row.unit, ref=row.ref, payload_hash=sealed, prev=prev
        )
        data = json.loads(row.data)
        links.append(
            fields
            | {"alg": ALGORITHM, "payload_hash": sealed, "prev": prev, "hash": hash_}
            | {"incident": incident_of(row.kind, row.ref, data), "run": data.get("run")}
        )
        payloads.append({"seq": seq, "salt": salt, "data": row.data})
        prev = hash_
    await db.execute(insert(LogRow), links)
    await db.execute(insert(LogPayloadRow), payloads)
    await db.execute(delete(OutboxRow).where(OutboxRow.id.in_([row.id for row in waiting])))
    moved = await db.execute(
        update(LogHeadRow).where(LogHeadRow.id == 1, LogHeadRow.seq == head.seq).values(seq=seq, hash=prev),
        execution_options={"synchronize_session": False},
    )
    if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE gives a CursorResult, which has it
        raise Unavailable("log.raced", "another appender moved the log's head")
    return seq


def incident_of(kind: str, ref: str, data: dict[str, object]) -> str | None:
    """The incident whose file an event belongs to: the payload's, or the aggregate itself."""
    incident = data.get("incident")
    if isinstance(incident, str):
        return incident
    return ref if kind.startswith("incident.") else None


async def _locked_head(db: AsyncSession) -> LogHeadRow:
    head = await db.get(LogHeadRow, 1, with_for_update=True, populate_existing=True)
    if head is not None:
        return head
    if await db.scalar(select(LogRow.seq).limit(1)) is not None:
        raise Unavailable("log.headless", "the log has rows but no head; run `sharpeyes log verify`")
    head = LogHeadRow(id=1, seq=0, hash=GENESIS)
    db.add(head)
    await db.flush()
    return head


async def head_seq(db: AsyncSession) -> int:
    """Sequence number of the last event; 0: none yet."""
    return await db.scalar(select(LogHeadRow.seq).where(LogHeadRow.id == 1)) or 0


async def head(db: AsyncSession) -> Anchor:
    """The chain's end, as the appender left it."""
    row = await db.get(LogHeadRow, 1)
    return Anchor(0, GENESIS) if row is None else Anchor(row.seq, row.hash)


async def read(
    db: AsyncSession,
    *,
    after: int = 0,
    limit: int = 200,
    kind: str | None = None,
    ref: str | None = None,
    incident: str | None = None,
    run: str | None = None,
    units: Collection[str] | None = None,
    newest: bool = False,
) -> list[Envelope]:
    """Events with ``seq > after``, in order, at most ``limit``; ``units`` None: of all. ``newest``: the last ones."""
    query = select(LogRow, LogPayloadRow.data).join(LogPayloadRow, LogPayloadRow.seq == LogRow.seq, isouter=True)
    query = query.where(LogRow.seq > after)
    for column, value in ((LogRow.kind, kind), (LogRow.ref, ref), (LogRow.incident, incident), (LogRow.run, run)):
        if value is not None:
            query = query.where(column == value)
    if units is not None:
        query = query.where(LogRow.unit.in_(units))
    query = query.order_by(LogRow.seq.desc() if newest else LogRow.seq).limit(limit)
    found = [_envelope(row, data) for row, data in (await db.execute(query))]
    return found[::-1] if newest else found


async def erase(db: AsyncSession, seq: int) -> None:
    """Take away what an event says, for privacy. The chain stays whole: it holds only the payload's salted hash."""
    await db.execute(update(LogPayloadRow).where(LogPayloadRow.seq == seq).values(salt=None, data=None))


def _envelope(row: LogRow, data: str | None) -> Envelope:
    return Envelope(
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        unit=row.unit,
        ref=row.ref,
        data=None if data is None else json.loads(data),
    )
