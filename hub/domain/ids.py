"""Identifiers: short, sortable by creation time, safe in a path."""

import secrets
import time
from typing import Annotated, Final, TypeAlias

from pydantic import StringConstraints

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32, lower case

Id: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
CameraId: TypeAlias = Id
UnitId: TypeAlias = Id
UserId: TypeAlias = Id
RuleId: TypeAlias = Id
AlertId: TypeAlias = Id
IncidentId: TypeAlias = Id
OrderId: TypeAlias = Id
ConferenceId: TypeAlias = Id
MemberId: TypeAlias = Id
RunId: TypeAlias = Id
StreamId: TypeAlias = Id
GbId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,32}$")]  # GB/T 28181: 20 digits by the book


def encode(value: int, digits: int) -> str:
    """Return the lowest ``digits`` base-32 digits of ``value``, most significant first."""
    return "".join(ALPHABET[(value >> 5 * place) & 31] for place in reversed(range(digits)))


def new_id(prefix: str, *, now_ms: int | None = None) -> str:
    """Return ``prefix-`` and 18 digits: 9 of time (ms, good for 1,000 years) and 9 of chance (45 bit)."""
    at = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return f"{prefix}-{encode(at, 9)}{encode(secrets.randbits(45), 9)}"
