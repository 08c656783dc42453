"""Identifiers of devices, channels, groups and places (GB/T 28181-2016 annex D.1; -2022 annex E).

By the book twenty digits: centre code (8: province, city, county, base unit), industry (2), type (3), network (1),
serial (6). A civil code alone (2, 4, 6 or 8 digits) stands for a place in a catalog. Old devices have eighteen digits.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from signaling.gb28181.errors import GbError

_ANY: Final = re.compile(r"[0-9A-Za-z]{1,32}")
_CIVIL: Final = frozenset({2, 4, 6, 8})


class Kind(StrEnum):
    """What an identifier stands for. The names are those of the catalog between gateway and api."""

    CHANNEL = "channel"
    DEVICE = "device"
    ALARM = "alarm"
    AUDIO = "audio"
    SERVER = "server"
    USER = "user"
    CIVIL_CODE = "civil_code"
    BUSINESS_GROUP = "business_group"
    VIRTUAL_ORGANISATION = "virtual_organisation"
    OTHER = "other"


# 111-130 front-end main devices, 131-199 peripherals, 200-299 platform, 300-499 users (2016 table D.1).
_KINDS: Final = {
    131: Kind.CHANNEL,  # camera
    132: Kind.CHANNEL,  # network camera
    133: Kind.OTHER,  # display
    134: Kind.ALARM,  # alarm input
    135: Kind.ALARM,  # alarm output
    136: Kind.AUDIO,  # sound input
    137: Kind.AUDIO,  # sound output
    138: Kind.CHANNEL,  # mobile transmission device: body-worn and vehicle cameras
    139: Kind.OTHER,  # other peripheral
    200: Kind.SERVER,
    215: Kind.BUSINESS_GROUP,
    216: Kind.VIRTUAL_ORGANISATION,
}


@dataclass(frozen=True, slots=True)
class GbId:
    """An identifier taken apart. Of one that is not twenty digits only ``text`` is known; ``type_code`` is 0."""

    text: str
    centre: str = ""
    industry: str = ""
    type_code: int = 0
    network: str = ""
    serial: str = ""

    @property
    def standard(self) -> bool:
        """Twenty digits, as the standard asks."""
        return bool(self.centre)

    @property
    def domain(self) -> str:
        """The ten digits that name the SIP domain: centre code and industry; empty when not standard."""
        return self.centre + self.industry

    @property
    def kind(self) -> Kind:
        """What it stands for."""
        return kind_of(self.text)


def parse_id(text: str) -> GbId:
    """Take an identifier apart; any 1 to 32 digits or letters are accepted. Raises GbError ``gb28181.id``."""
    text = text.strip()
    if not _ANY.fullmatch(text):
        raise GbError("gb28181.id", f"not an identifier: {text[:40]!r}")
    if len(text) == 20 and text.isdigit():
        return GbId(text, text[:8], text[8:10], int(text[10:13]), text[13], text[14:])
    return GbId(text)


def is_id(text: str) -> bool:
    """Whether ``parse_id`` would take it."""
    return _ANY.fullmatch(text) is not None


def kind_of(text: str, *, has_children: bool | None = None) -> Kind:
    """What an identifier stands for.

    ``has_children`` is the catalog's Parental where it was said; devices say it wrongly, so it only decides where the
    type code does not (an eighteen-digit identifier has none that can be trusted).
    """
    if text.isascii() and text.isdigit() and len(text) in _CIVIL:
        return Kind.CIVIL_CODE
    if len(text) != 20 or not (text.isascii() and text.isdigit()):
        return Kind.DEVICE if has_children else Kind.CHANNEL
    code = int(text[10:13])
    if code in _KINDS:
        return _KINDS[code]
    if 111 <= code <= 130:
        return Kind.DEVICE
    if 200 <= code <= 299:
        return Kind.SERVER
    if 300 <= code <= 499:
        return Kind.USER
    return Kind.OTHER


def make_id(centre: str, type_code: int, serial: int, *, industry: str = "00", network: str = "0") -> str:
    """Twenty digits. ``centre`` is filled up with zeros to eight. Raises GbError when a part does not fit."""
    if not (centre.isdigit() and 2 <= len(centre) <= 8 and len(centre) % 2 == 0):
        raise GbError("gb28181.id", f"a centre code has 2, 4, 6 or 8 digits: {centre[:20]!r}")
    if not (0 <= type_code <= 999 and 0 <= serial <= 999_999):
        raise GbError("gb28181.id", "type code or serial number out of range")
    if not (industry.isdigit() and len(industry) == 2 and network.isdigit() and len(network) == 1):
        raise GbError("gb28181.id", "industry has two digits, network one")
    return f"{centre:0<8}{industry}{type_code:03d}{network}{serial:06d}"


def civil_parent(code: str) -> str | None:
    """The place above: 32050602 -> 320506 -> 3205 -> 32 -> None."""
    return code[:-2] if len(code) > 2 else None
