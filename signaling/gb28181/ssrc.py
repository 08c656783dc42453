"""SSRC as ``y=`` carries it (GB/T 28181-2016 annex F): ten decimal digits.

The first is 0 for live and 1 for playback, five are digits 4 to 8 of the domain, four are a number of our own.
"""

import re
from collections import deque
from typing import Final, Literal

from signaling.gb28181.errors import GbError

SERIALS: Final = 10_000
_Y: Final = re.compile(r"[0-9]{1,10}")
Purpose = Literal["live", "playback"]


def format_y(ssrc: int) -> str:
    """``y=`` value: ten digits, zeros in front."""
    return f"{ssrc & 0xFFFFFFFF:010d}"


def parse_y(text: str) -> int | None:
    """SSRC of a ``y=`` value; six digits are common. None: absent, no number, or zero (which Dahua sends)."""
    text = text.strip()
    if not _Y.fullmatch(text):
        return None
    value = int(text)
    return value if 0 < value <= 0xFFFFFFFF else None


def is_playback(ssrc: int) -> bool:
    """Whether the first of the ten digits says playback."""
    return format_y(ssrc)[0] == "1"


class SsrcAllocator:
    """Numbers for one domain; live and playback have 10,000 each. A number given back is used again last of all.

    So a late packet of a call that ended is not taken for the next call's.
    """

    def __init__(self, domain: str) -> None:
        if not (domain.isdigit() and len(domain) >= 8):
            raise GbError("gb28181.domain", "an SSRC needs a domain of at least eight digits")
        self._middle = domain[3:8]
        self._free: dict[Purpose, deque[int]] = {"live": deque(range(SERIALS)), "playback": deque(range(SERIALS))}
        self._taken: set[int] = set()

    def take(self, purpose: Purpose) -> int:
        """A number nobody uses. Raises GbError ``gb28181.ssrc_exhausted`` after 10,000 at once."""
        free = self._free[purpose]
        if not free:
            raise GbError("gb28181.ssrc_exhausted", f"all {SERIALS} {purpose} numbers of the domain are in use")
        digit = 0 if purpose == "live" else 1
        ssrc = int(f"{digit}{self._middle}{free.popleft():04d}")
        self._taken.add(ssrc)
        return ssrc

    def give_back(self, ssrc: int) -> None:
        """The call ended. Giving back twice, or a number that was never taken, changes nothing."""
        if ssrc in self._taken:
            self._taken.discard(ssrc)
            self._free["playback" if is_playback(ssrc) else "live"].append(ssrc % SERIALS)

    @property
    def in_use(self) -> int:
        """Numbers out."""
        return len(self._taken)
