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
    if not isinstance(key, list) or [type(part) for part in key] != list(types):
        raise _invalid()
    return tuple(key)


def _invalid() -> Invalid:
    return Invalid("cursor.invalid", "this is no cursor of this list", field="cursor")
