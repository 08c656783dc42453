"""``gb28181://<device>/<channel>?stream=0``, ``?start=<Unix seconds>&end=…`` for a recording: which picture.

``?stream=1&sub=streamprofile`` is the sub stream, and how the device is asked for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, urlsplit

from hub.domain.errors import Invalid

SCHEME: Final = "gb28181"
REFUSED: Final = "camera.url_refused"
_ID: Final = re.compile(r"[0-9A-Za-z]{1,32}")
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_FIELDS: Final = frozenset(("stream", "start", "end", "speed", "listen"))
SubPolicy: TypeAlias = Literal["auto", "off", "streamnumber", "streamprofile", "streamMode", "stream"]
SUB_POLICIES: Final[Mapping[str, SubPolicy]] = {each: each for each in get_args(SubPolicy)}
MAX_SPAN_S: Final = 31 * 86_400


@dataclass(frozen=True, slots=True)
class GbAddress:
    """One channel's picture; ``start_s`` and ``end_s`` are zero for the live one."""

    device: str
    channel: str
    stream: Literal[0, 1] = 0
    start_s: int = 0
    end_s: int = 0
    speed: int = 1
    sub: SubPolicy = "auto"
    listen: bool = False  # a platform above us speaks: sound alone

    @property
    def live(self) -> bool:
        """No recording."""
        return self.start_s == 0


def parse_gb_url(url: str) -> GbAddress:
    """Take such an address apart. Raises Invalid ``camera.url_refused``."""
    try:
        parts = urlsplit(url[:400])
        device, path, query = parts.netloc, parts.path, dict(parse_qsl(parts.query, max_num_fields=8))
    except ValueError:
        raise _refusal() from None
    channel = path.removeprefix("/")
    if parts.scheme != SCHEME or parts.fragment or not (_ID.fullmatch(device) and _ID.fullmatch(channel)):
        raise _refusal()
    sub = SUB_POLICIES.get(query.pop("sub", "auto"))
    if sub is None or not query.keys() <= _FIELDS or not all(_NUMBER.fullmatch(value) for value in query.values()):
        raise _refusal()
    numbers = {name: int(value) for name, value in query.items()}
    stream, start, end = numbers.get("stream", 0), numbers.get("start", 0), numbers.get("end", 0)
    speed = numbers.get("speed", 1)
    spans = 0 < end - start <= MAX_SPAN_S if start else end == 0
    if stream not in (0, 1) or not spans or not 1 <= speed <= 16:
        raise _refusal()
    return GbAddress(device, channel, 1 if stream else 0, start, end, speed, sub, bool(numbers.get("listen", 0)))


def _refusal() -> Invalid:
    return Invalid(REFUSED, "not an address of a GB/T 28181 channel", why="syntax", field="url")
