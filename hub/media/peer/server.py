"""One UDP socket for every viewer and publisher: WHEP out, WHIP in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hub.domain.clock import Clock, system_clock

if TYPE_CHECKING:
    from hub.media.peer.publication import Publication


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client: the SDP answer, and the session's id for DELETE."""

    sdp: str
    session_id: str


class PeerServer:
    """Everybody's media over one port (ICE-lite, DTLS passive, SRTP).

    ``server = await PeerServer.open("0.0.0.0", 0, announce=["203.0.113.7"])``, and ``await server.close()``.
    ``counters`` maps names (packets_in, packets_out, drops, nacks, ...) to totals since the start.
    """

    port: int
    counters: dict[str, int]

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        announce: Sequence[str],
        clock: Clock = system_clock,
        max_sessions: int = 512,
        handshake_s: float = 10.0,
        consent_s: float = 30.0,
    ) -> Self:
        """Bind and start. ``announce`` are the addresses put into answers. Raises OSError when the port is taken."""
        raise NotImplementedError

    async def whep(
        self,
        stream: "Publication",
        offer_sdp: str,
        *,
        owner: str,
        label: str = "",
        on_end: Callable[[str, str], None] | None = None,
    ) -> Answer:
        """Let a viewer in. Counts as a subscriber from now on, so a pull source opens while ICE and DTLS run.

        ``on_end(session_id, reason)`` is called once. Raises Invalid ``sdp.invalid`` or ``sdp.no_codec``,
        TooMany ``relay.full``, Conflict ``stream.not_live`` when nothing is or will be published.
        """
        raise NotImplementedError

    async def whip(
        self,
        stream: "Publication",
        offer_sdp: str,
        *,
        owner: str,
        label: str = "",
        on_media: Callable[[str], None] | None = None,
        on_end: Callable[[str, str], None] | None = None,
    ) -> Answer:
        """Let a publisher in; a session that published this stream before ends with ``replaced``.

        ``on_media(session_id)`` is called at the first RTP packet. Raises as ``whep`` does.
        """
        raise NotImplementedError

    @property
    def sessions(self) -> Sequence[object]:
        """The sessions that run, with ``id``, ``owner``, ``label``, ``stream_id``, ``publishes`` and ``state``."""
        raise NotImplementedError

    async def end(self, session_id: str, reason: str) -> bool:
        """End one session (RTCP BYE, DTLS close_notify). False when it is unknown."""
        raise NotImplementedError

    async def end_owner(self, owner: str, reason: str = "withdrawn") -> int:
        """End every session of a person; returns how many there were."""
        raise NotImplementedError

    async def close(self) -> None:
        """End everything and give the port back."""
        raise NotImplementedError
