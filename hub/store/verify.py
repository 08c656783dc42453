"""Checking the log: is every link there, unchanged, and does the chain end where it was left?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.chain import GENESIS, Anchor, known, payload_hash, row_hash
from hub.store.log import incident_of
from hub.store.tables import LogHeadRow, LogPayloadRow, LogRow

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found. ``broken_at`` is the first number that is wrong or missing, ``reason`` says why."""

    ok: bool
    rows: int
    head: int
    erased: int
    broken_at: int | None = None
    reason: str = ""


class _Broken(Exception):
    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.seq = seq
        self.reason = reason


@dataclass(slots=True)
class _Walk:
    seq: int = 0
    hash: str = GENESIS
    erased: int = 0


async def verify(db: AsyncSession, *, anchors: Sequence[Anchor] = ()) -> Verdict:
    """Walk the whole chain in the reader's snapshot. Cost: one hash per row and payload."""
    walk = _Walk()
    try:
        while await _batch(db, walk, {anchor.seq: anchor.hash for anchor in anchors}):
            pass
        await _ends(db, walk, anchors)
    except _Broken as broken:
        return Verdict(False, walk.seq, walk.seq, walk.erased, broken.seq, broken.reason)
    return Verdict(True, walk.seq, walk.seq, walk.erased)


async def _batch(db: AsyncSession, walk: _Walk, anchors: dict[int, str]) -> int:
    query = (
        select(LogRow, LogPayloadRow)
        .join(LogPayloadRow, LogPayloadRow.seq == LogRow.seq, isouter=True)
        .where(LogRow.seq > walk.seq if walk.seq else LogRow.seq > -(2**62))
        .order_by(LogRow.seq)
        .limit(BATCH)
    )
    count = 0
    for row, payload in await db.execute(query):
        _link(walk, row)
        _payload(walk, row, payload)
        if anchors.get(row.seq, row.hash) != row.hash:
            raise _Broken(row.seq, "differs from the anchor that was noted outside the database")
        walk.seq, walk.hash = row.seq, row.hash
        count += 1
    db.expunge_all()
    return count


def _link(walk: _Walk, row: LogRow) -> None:
    if row.seq != walk.seq + 1:
        raise _Broken(walk.seq + 1, f"missing: after {walk.seq} comes {row.seq}")
    if not known(row.alg):
        raise _Broken(row.seq, "the hash algorithm is not known")
    if row.prev != walk.hash:
        raise _Broken(row.seq, "does not point to the row before it")
    expected = row_hash(
        row.alg,
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        unit=row.unit,
        ref=row.ref,
        payload_hash=row.payload_hash,
        prev=row.prev,
    )
    if row.hash != expected:
        raise _Broken(row.seq, "changed: its hash does not fit")


def _payload(walk: _Walk, row: LogRow, payload: LogPayloadRow | None) -> None:
    if payload is None:
        raise _Broken(row.seq, "its payload row was removed (an erasure keeps the row)")
    if payload.salt is None and payload.data is None:
        walk.erased += 1
        return
    if payload.salt is None or payload.data is None:
        raise _Broken(row.seq, "its payload was half erased")
    try:
        fits = payload_hash(row.alg, payload.salt, payload.data) == row.payload_hash
    except ValueError:  # the salt is no hexadecimal text any more
        fits = False
    if not fits:
        raise _Broken(row.seq, "its payload was changed")
    data = json.loads(payload.data)
    if (row.incident, row.run) != (incident_of(row.kind, row.ref, data), data.get("run")):
        raise _Broken(row.seq, "its incident or run was changed")


async def _ends(db: AsyncSession, walk: _Walk, anchors: Sequence[Anchor]) -> None:
    head = await db.get(LogHeadRow, 1)
    if head is None:
        if walk.seq:
            raise _Broken(walk.seq, "the head row was removed")
    elif head.seq > walk.seq:
        raise _Broken(walk.seq + 1, f"missing: the log went up to {head.seq}")
    elif (head.seq, head.hash) != (walk.seq, walk.hash):
        raise _Broken(min(head.seq, walk.seq) + 1, "the head row was changed, or rows were added past it")
    for anchor in anchors:
        if anchor.seq > walk.seq:
            raise _Broken(walk.seq + 1, f"missing: an anchor says that the log went up to {anchor.seq}")
    stray = await db.scalar(select(func.min(LogPayloadRow.seq)).where(LogPayloadRow.seq.not_in(select(LogRow.seq))))
    if stray is not None:
        raise _Broken(stray, "a payload without its row")
