"""Which edition a device speaks: header ``X-GB-Ver`` of 2022 (annex I), and what follows from it."""

import re
from typing import Final, Literal, TypeAlias

Edition: TypeAlias = Literal["2011", "2016", "2022"]
HEADER: Final = "X-GB-Ver"
OURS: Final = "3.0"
_VERSION: Final = re.compile(r"\s*(\d{1,2})(?:\.(\d{1,2}))?")
_MAJOR: Final[dict[int, Edition]] = {1: "2011", 2: "2016", 3: "2022"}


def edition_of(header: str | None) -> Edition | None:
    """1.0 and 1.1 are 2011, 2.0 is 2016, 3.0 is 2022; None: the header is absent or senseless."""
    if header is None or (found := _VERSION.match(header)) is None:
        return None
    return _MAJOR.get(int(found.group(1)))


def knows_2022(edition: Edition | None) -> bool:
    """Whether SnapShotConfig, PTZPreciseCtrl and the like may be asked. Unknown: no."""
    return edition == "2022"
