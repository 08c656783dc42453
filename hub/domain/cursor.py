"""Opaque cursors of paged lists: the sort key of the last row shown, so that new rows never shift a page."""

import base64
import binascii
import json
from typing import Final

from hub.domain.errors import Invalid

MAX_CHARS: Final = 400


def encode(*key: str | int) -> str:
    """The cursor of a sort key."""
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def decode(cursor: str, *types: type) -> tuple[str | int, ...]:
    """The sort key of a cursor. Raises Invalid (``cursor.invalid``) for anything we did not make."""
    try:
        if len(cursor) > MAX_CHARS:
            raise ValueError("too long")
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise _invalid() from None
    if not isinstance(key, list) or [type(part) for part in key] != list(types) or not all(map(_storable, key)):
        raise _invalid()
    return tuple(key)


def _storable(part: str | int) -> bool:
    """Whether a database takes it: 64 bits, and no NUL or half a surrogate pair."""
    if isinstance(part, int):
        return -(2**63) <= part < 2**63
    return "\x00" not in part and not any("\ud800" <= char <= "\udfff" for char in part)


def _invalid() -> Invalid:
    return Invalid("cursor.invalid", "this is no cursor of this list", field="cursor")
