"""Totals of the peer half since the start, for /metrics."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counters:
    """Only ever growing. Packets are RTP unless a name says otherwise."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    drops: int = 0  # packets the socket would not take
    send_errors: int = 0
    nacks: int = 0
    retransmitted: int = 0
    retransmit_missed: int = 0  # asked for, and gone or over the limit
    pli: int = 0
    replays: int = 0
    paced: int = 0  # packets of bursts that were spread
    unpaced: int = 0  # of bursts too large for that
    layer_switches: int = 0
    probe_packets: int = 0  # sent once more to find out what a path carries
    padding_in: int = 0  # retransmissions without a packet: probes of a publisher
    feedback_in: int = 0  # transport-wide feedback of viewers
    feedback_out: int = 0  # and to publishers
    keyframe_requests: int = 0
    stun_in: int = 0
    stun_bad: int = 0
    ice_restarts: int = 0
    dtls_failed: int = 0
    srtp_bad: int = 0
    protect_failed: int = 0
    malformed: int = 0
    unknown_path: int = 0
    tcp_opened: int = 0
    tcp_refused: int = 0  # too many, or nothing proved in time, or not by what came first
    tcp_stalled: int = 0  # full, and took nothing for seconds
    tcp_dropped: int = 0  # packets for a line that takes no more
    tcp_shed: int = 0  # times that a viewer over TCP lost pictures up to the next key frame
    internal_errors: int = 0
    sessions_opened: int = 0
    sessions_refused: int = 0

    def as_dict(self) -> dict[str, int]:
        """Name to total."""
        return asdict(self)
