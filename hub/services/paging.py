"""Pages of lists: where one goes on, and how the next is asked for."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from hub.domain import cursor

MAX_PAGE: Final = 200
R = TypeVar("R")


def newest(after: str | None) -> tuple[int, str] | None:
    """Time and id behind which a list of the newest first goes on. Raises Invalid (``cursor.invalid``)."""
    if after is None:
        return None
    at, id = cursor.decode(after, int, str)
    return int(at), str(id)


def by_name(after: str | None) -> tuple[str, str] | None:
    """Name and id behind which a list by name goes on. Raises Invalid (``cursor.invalid``)."""
    if after is None:
        return None
    name, id = cursor.decode(after, str, str)
    return str(name), str(id)


def more(rows: Sequence[R], limit: int, key: Callable[[R], tuple[str | int, str]]) -> str | None:
    """The cursor of the next page, where one row more than ``limit`` was found; else None."""
    return cursor.encode(*key(rows[limit - 1])) if len(rows) > limit else None
