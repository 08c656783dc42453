"""One viewer's track: where it stands, which layer it gets, and what it may still ask for."""

from enum import Enum, auto
from typing import Any, Final

from hub.media.peer.fanout import Repair, Target
from hub.media.rtp.extension import PLAIN, Layout
from hub.media.rtp.layers import Seen, Temporal
from hub.media.rtp.numbering import Numbering
from hub.media.rtp.sendlog import SendLog

REPLAY_EVERY_MS: Final = 1_000
NACK_RATE: Final = 1_000  # packets a second and viewer that are sent again
NACK_BURST: Final = 500
NARROW: Final = 60
NACK_LEAST: Final = 15
PACKET: Final = 1_200


class Phase(Enum):
    """Of one viewer's track."""

    WAITING = auto()  # for a key frame
    CATCHING = auto()  # sent from the history, in portions
    LIVE = auto()
    PAUSED = auto()  # nobody looks: nothing is sent


class Sender(Target):
    """Numbers, phase, layer. ``aim`` is the layer that it goes to at that layer's next key frame."""

    __slots__ = (
        "aim", "allowance", "allowance_at", "cursor", "held", "layer", "nack_rate", "phase", "replayed_at",
        "reported_at", "seen", "temporal",
    )  # fmt: skip

    def __init__(
        self,
        srtp: Any,
        tag: int,
        payload_type: int,
        path: bytes,
        numbering: Numbering | None = None,
        *,
        layout: Layout = PLAIN,
        log: SendLog | None = None,
        repair: Repair | None = None,
        ssrc: int = 0,
    ) -> None:
        super().__init__(
            srtp, tag, payload_type, path, numbering or Numbering(), layout=layout, log=log, repair=repair, ssrc=ssrc
        )  # fmt: skip
        self.phase = Phase.WAITING
        self.layer = 0
        self.aim = 0
        self.temporal = Temporal()
        self.seen: Seen | None = None
        self.cursor = 0
        self.held = 0  # turns of a catch-up that a full line held up
        self.allowance = float(NACK_BURST)
        self.allowance_at = 0
        self.nack_rate = NACK_RATE
        self.replayed_at = -REPLAY_EVERY_MS
        self.reported_at = 0

    @property
    def even(self) -> bool:
        """Whether it may share a template with others: every packet, rewritten in nothing but its number, by UDP."""
        return self.line is None and self.numbering.plain and self.temporal.idle

    @property
    def clogged(self) -> bool:
        """Whether it goes by a TCP connection that takes no more for now."""
        return self.line is not None and self.line.full

    def afford(self, budget: int | None) -> None:
        """On a path of ``budget`` bit/s retransmissions may take half of it: more would lose more."""
        packets = NACK_RATE if budget is None else budget // (2 * 8 * PACKET)
        self.nack_rate = max(NACK_LEAST, min(packets, NACK_RATE))

    @property
    def narrow(self) -> bool:
        """Whether its path has no room for packets that may come too late anyway."""
        return self.nack_rate < NARROW

    def allow(self, wanted: int, now_ms: int) -> int:
        """How many packets may go again now: a bucket of NACK_BURST, filled with NACK_RATE a second at most."""
        earned = max(now_ms - self.allowance_at, 0) * self.nack_rate / 1000
        self.allowance = min(NACK_BURST, self.nack_rate, self.allowance + earned)
        self.allowance_at = now_ms
        granted = min(wanted, int(self.allowance))
        self.allowance -= granted
        return granted
