"""A simulated camera, and what it does wrong on purpose."""

import random
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from hub.demo.film import Film
from signaling.rtsp.auth import Guard


@dataclass
class Faults:
    """Switches for tests and trials. The shares are of packets, 0 to 1; ``seed`` makes them the same every time.

    ``quirks`` may hold: no_options, no_get_parameter, no_session, no_cseq, no_range (each is refused or missing),
    foreign_base (Content-Base names an address of its own network), odd_channels, transport_without_tcp, udp_only,
    tcp_only, junk (bytes between frames), early (packets before PLAY is answered), annex_b (start codes in RTP),
    markers (one on every packet that ends a NAL unit), strict_timeout (only requests keep the session alive).
    """

    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    seed: int = 1
    quirks: frozenset[str] = frozenset()
    redirect: str | None = None
    timeout_s: int = 0  # of the session; 0: as usual
    more_sdp: bytes = b""  # further sections of the description
    dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - repeatable on purpose


@dataclass
class CameraFile:
    """One simulated camera. ``online`` and ``stalled`` are switches: no answer at all, or a frozen picture."""

    path: str
    file: Path
    guard: Guard | None = None
    online: bool = True
    stalled: bool = False
    plays: int = 0  # sessions ever started
    playing: int = 0  # sessions now
    most: int = 0  # sessions ever at the same time
    film: Film | None = field(default=None, repr=False)
    faults: Faults = field(default_factory=Faults)
    asked: deque[str] = field(default_factory=lambda: deque(maxlen=64))  # the last methods
    reports: int = 0  # receiver reports that came
