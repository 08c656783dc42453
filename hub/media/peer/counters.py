"""Totals of the peer half since the start, for /metrics."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final


def _of(text: str) -> Any:
    """A total that begins with zero, and what it counts."""
    return field(default=0, metadata={"text": text})


@dataclass(slots=True)
class Counters:
    """Only ever growing. Packets are RTP unless a name says otherwise."""

    packets_in: int = _of("RTP packets that publishers sent")
    packets_out: int = _of("RTP packets that left")
    bytes_in: int = _of("Octets of RTP that publishers sent")
    bytes_out: int = _of("Octets of RTP that left")
    drops: int = _of("Packets that the socket would not take")
    send_errors: int = _of("Sends that failed otherwise")
    nacks: int = _of("NACKs of viewers")
    retransmitted: int = _of("Packets sent again")
    retransmit_missed: int = _of("Packets asked for again that are gone, or over the limit")
    pli: int = _of("Requests of viewers for a key frame")
    replays: int = _of("Cached GOPs sent once more to a viewer that lost its picture")
    paced: int = _of("Packets of bursts that were spread")
    unpaced: int = _of("Packets of bursts too large for that")
    layer_switches: int = _of("Changes of a viewer's layer")
    probe_packets: int = _of("Packets sent once more to find out what a path carries")
    padding_in: int = _of("Retransmissions without a packet: probes of a publisher")
    feedback_in: int = _of("Transport-wide feedback of viewers")
    feedback_out: int = _of("Transport-wide feedback to publishers")
    keyframe_requests: int = _of("Key frames asked of publishers")
    stun_in: int = _of("STUN messages")
    stun_bad: int = _of("STUN messages without a proof, or that are none")
    ice_restarts: int = _of("ICE restarts")
    dtls_failed: int = _of("DTLS handshakes that came to nothing")
    dtls_dropped: int = _of("DTLS datagrams that say nothing to a session, or too many to wait")
    srtp_bad: int = _of("SRTP and SRTCP that is false, truncated or repeated")
    protect_failed: int = _of("Packets that could not be encrypted")
    malformed: int = _of("Datagrams and packets that are not what they should be")
    unknown_path: int = _of("Datagrams from addresses of no session")
    flooded: int = _of("Datagrams over what one peer may send in a second")
    sdp_refused: int = _of("Offers, answers and fragments that cannot be used")
    tcp_opened: int = _of("TCP connections")
    tcp_refused: int = _of("TCP connections that were too many, or proved nothing in time or by what came first")
    tcp_stalled: int = _of("TCP connections that were full and took nothing for seconds")
    tcp_dropped: int = _of("Packets for a TCP connection that takes no more")
    tcp_shed: int = _of("Times that a viewer over TCP lost pictures up to the next key frame")
    internal_errors: int = _of("Errors of the relay itself; there should be none")
    sessions_opened: int = _of("Sessions that began")
    sessions_refused: int = _of("Sessions refused because there are too many")

    def as_dict(self) -> dict[str, int]:
        """Name to total."""
        return asdict(self)


TEXTS: Final[Mapping[str, str]] = {each.name: each.metadata["text"] for each in fields(Counters)}
"""What each total counts."""


class Tally:
    """The totals of many short lives: those that are over, and those that run."""

    def __init__(self) -> None:
        self._over = Counters()
        self._running: list[Counters] = []

    def begin(self, totals: Counters) -> None:
        """One more runs."""
        self._running.append(totals)

    def end(self, totals: Counters) -> None:
        """It is over; what it counted stays."""
        self._running = [other for other in self._running if other is not totals]
        for name, value in totals.as_dict().items():
            setattr(self._over, name, getattr(self._over, name) + value)

    def as_dict(self) -> dict[str, int]:
        """Name to total."""
        found = self._over.as_dict()
        for totals in self._running:
            for name, value in totals.as_dict().items():
                found[name] += value
        return found
