"""RTP payloads of one device to pictures and sound, whatever it is that comes under the name of PS.

Transport streams and H.264 or H.265 without any program stream come labelled PS, payload types mean little, and some
devices send G.711 beside the program stream. So the first packets are looked at, not their labels.
"""

from typing import Final, Literal, TypeAlias

from signaling.gb28181 import raw, ts
from signaling.gb28181.es import AudioCodec, MediaUnit, unwrap
from signaling.gb28181.ps import PsDemuxer

Form: TypeAlias = Literal["ps", "ts", "h264", "h265", "annexb"]
Demuxer: TypeAlias = PsDemuxer | ts.TsDemuxer | raw.RawDepacketizer

MAX_SNIFFED: Final = 96  # packets looked at before something is decided or forgotten
MAX_SNIFFED_BYTES: Final = 192 * 1_024
BESIDE: Final[dict[int, AudioCodec]] = {0: "pcmu", 8: "pcma"}  # RFC 3551 table 4
MAX_BESIDE: Final = 4_096
_STARTS: Final = tuple(b"\0\0\1" + bytes((code,)) for code in (0xBA, 0xBB, 0xBC, 0xE0))


class Intake:
    """State of one connection. ``form`` is what it turned out to be, None as long as nothing is recognised."""

    def __init__(self) -> None:
        self.form: Form | None = None
        self.unknown = 0  # packets in which nothing was recognised
        self.beside = 0  # packets of sound beside the program stream
        self.demuxer: Demuxer | None = None
        self._sniffed: list[tuple[bytes, int, bool, bool]] = []
        self._size = 0
        self._votes: dict[Form, int] = {}
        self._gap = False
        self._beside_at: int | None = None

    @property
    def undecodable(self) -> str | None:
        """A picture coding that nobody can decode."""
        return None if self.demuxer is None else self.demuxer.undecodable

    @property
    def dropped(self) -> int:
        """Pictures and sounds that could not be shown."""
        return 0 if self.demuxer is None else self.demuxer.dropped

    def packet(self, payload: bytes, payload_type: int, time: int, marker: bool) -> list[MediaUnit]:
        """The payload of the next RTP packet; the units that are complete now."""
        if payload_type in BESIDE and not payload.startswith(_STARTS):
            return self._sound(payload, BESIDE[payload_type], time)
        if self.demuxer is not None:
            return self.demuxer.feed(payload, time=time, marker=marker)
        return self._sniff(payload, time, marker)

    def stream(self, data: bytes) -> list[MediaUnit]:
        """The next piece of a program stream without RTP."""
        if self.demuxer is None:
            self._take("ps")
        assert self.demuxer is not None
        return self.demuxer.feed(data)

    def lost(self) -> None:
        """A packet before the next one never came."""
        if self.demuxer is not None:
            self.demuxer.lost()
        self._gap = True

    def end(self) -> list[MediaUnit]:
        """Nothing follows: what is complete now."""
        return [] if self.demuxer is None else self.demuxer.end()

    # inside -----------------------------------------------------------------------------------------

    def _sound(self, payload: bytes, codec: AudioCodec, time: int) -> list[MediaUnit]:
        """G.711 on its own: its times are on a line of their own."""
        self.beside += 1
        inner = None if self.demuxer is None else self.demuxer.sound
        if not payload or len(payload) > MAX_BESIDE or inner is not None:
            return []
        self._beside_at = unwrap(time, self._beside_at, 32)
        return [MediaUnit(codec, self._beside_at * 90 // 8, True, data=payload, apart=True)]

    def _sniff(self, payload: bytes, time: int, marker: bool) -> list[MediaUnit]:
        self._sniffed.append((payload, time, marker, self._gap))
        self._size += len(payload)
        self._gap = False
        form: Form | None
        if payload.startswith(_STARTS) or _STARTS[0] in payload:
            form = "ps"
        else:
            form = self._vote("ts" if ts.looks_like(payload) else raw.way_of(payload))
        full = len(self._sniffed) >= MAX_SNIFFED or self._size > MAX_SNIFFED_BYTES
        if form is not None:
            return self._take(form)
        if full:
            self.unknown += len(self._sniffed)
            self._sniffed, self._size = [], 0
            self._votes.clear()
        return []

    def _vote(self, form: Form | None) -> Form | None:
        """One packet may look like anything; two that look alike are believed."""
        if form is None:
            return None
        self._votes[form] = self._votes.get(form, 0) + 1
        return form if self._votes[form] > 1 else None

    def _take(self, form: Form) -> list[MediaUnit]:
        """From now on it is this; what was looked at is read again."""
        self.form = form
        if form == "ps":
            self.demuxer = PsDemuxer()
        else:
            self.demuxer = ts.TsDemuxer() if form == "ts" else raw.RawDepacketizer(form)
        sniffed, self._sniffed, self._size = self._sniffed, [], 0
        out: list[MediaUnit] = []
        for payload, time, marker, gap in sniffed:
            if gap:
                self.demuxer.lost()
            out += self.demuxer.feed(payload, time=time, marker=marker)
        return out
