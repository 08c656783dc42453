"""Lists by name: what people search for, and a page of what was found."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

R = TypeVar("R")


def holds(q: str, *fields: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Whether one of the fields holds a text that people type; the wildcards of LIKE mean themselves in it."""
    like = "%" + q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return or_(*(field.ilike(like, escape="\\") for field in fields))


async def page(
    db: AsyncSession,
    query: Select[R],
    name: InstrumentedAttribute[str],
    id: InstrumentedAttribute[str],
    *,
    after: tuple[str, str] | None,
    limit: int,
) -> tuple[Sequence[R], int]:
    """The first ``limit`` rows of a query behind ``after``, by name and id; and how many there are without paging."""
    total = await db.scalar(select(func.count()).select_from(query.subquery())) or 0
    if after is not None:
        query = query.where(tuple_(name, id) > after)
    rows = await db.scalars(query.order_by(name, id).limit(limit))
    return rows.all(), total
