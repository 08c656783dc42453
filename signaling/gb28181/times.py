"""Times in bodies and headers: devices write China's time without a zone (GB/T 28181-2016 annex A, 9.10)."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

LAST_S: Final = 253_402_200_000  # 9999: what is read can be written in every zone; nothing was filmed before 1970
CHINA: Final = timezone(timedelta(hours=8))
_TIME: Final = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[T ]+(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?\s*(Z|[+-]\d{2}:?\d{2})?"
)


def format_time(seconds: float) -> str:
    """``2026-07-01T08:30:00``, China's time, from Unix seconds."""
    return datetime.fromtimestamp(int(seconds), CHINA).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int | None:
    """Unix seconds; without a zone it is China's time. None when it is no time."""
    if (found := _TIME.match(text.strip()[:64])) is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    zone = found.group(7)
    offset = CHINA
    try:
        if zone == "Z":
            offset = timezone.utc  # noqa: UP017 - same type as its neighbours
        elif zone:
            minutes = int(zone[1:3]) * 60 + int(zone[-2:])
            offset = timezone(timedelta(minutes=minutes if zone[0] == "+" else -minutes))
        found_s = int(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=offset).timestamp())
    except (ValueError, OverflowError):
        return None
    return found_s if 0 <= found_s <= LAST_S else None


def format_date(ms: int) -> str:
    """``Date`` of a 200 to REGISTER: ``2026-07-01T08:30:00.123``, China's time (2016 9.10.1: no zone, milliseconds)."""
    return format_time(ms // 1_000) + f".{ms % 1_000:03d}"


def parse_date(text: str) -> int | None:
    """Milliseconds of a ``Date`` header: ISO with or without a zone, or the form of RFC 3261 §20.17. None: neither."""
    text = text.strip()[:64]
    if (seconds := parse_time(text)) is not None:
        fraction = re.search(r":\d{1,2}[.,](\d{1,6})", text)
        return seconds * 1_000 + (int(fraction.group(1).ljust(3, "0")[:3]) if fraction else 0)
    try:
        at = parsedate_to_datetime(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError, TypeError):
        return None


def format_sip_date(ms: int) -> str:
    """``Wed, 01 Jul 2026 00:30:00 GMT`` (RFC 3261 §20.17), for peers that are not GB/T 28181."""
    return format_datetime(datetime.fromtimestamp(ms // 1_000, UTC), usegmt=True)
