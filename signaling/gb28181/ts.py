"""A transport stream where a program stream was promised (ISO/IEC 13818-1 2.4): one program's picture and sound."""

from typing import Final

from signaling.gb28181 import psm
from signaling.gb28181.es import MediaUnit, Pictures, Sound
from signaling.gb28181.ps import stamp

PACKET: Final = 188
SYNC: Final = 0x47
MAX_PIDS: Final = 32


def looks_like(payload: bytes) -> bool:
    """Whether a payload is whole transport packets."""
    return len(payload) >= PACKET and len(payload) % PACKET == 0 and set(payload[::PACKET]) == {SYNC}


class TsDemuxer:
    """State of one connection; the same face as ``PsDemuxer``."""

    def __init__(self) -> None:
        self.packs = 0  # transport packets
        self.maps = 0
        self.garbage = 0
        self.undecodable: str | None = None
        self.silent: str | None = None
        self.pictures = Pictures()
        self.sound: Sound | None = None
        self.noticed: set[str] = self.pictures.noticed
        self._carry = b""
        self._map_pid: int | None = None
        self._map: dict[int, int] = {}
        self._video: int | None = None
        self._audio: int | None = None
        self._counters: dict[int, int] = {}

    @property
    def dropped(self) -> int:
        """Pictures and sounds that could not be shown."""
        return self.pictures.dropped + (self.sound.dropped if self.sound is not None else 0)

    def feed(self, data: bytes, *, time: int | None = None, marker: bool = False) -> list[MediaUnit]:
        """Take the next bytes; the units that are complete now."""
        data, self._carry = self._carry + data, b""
        out: list[MediaUnit] = []
        at = 0
        while at + PACKET <= len(data):
            if data[at] != SYNC:
                found = data.find(b"G", at)
                self.garbage += (found if found >= 0 else len(data)) - at
                at = found if found >= 0 else len(data)
                continue
            self._packet(data[at : at + PACKET], time, out)
            at += PACKET
        self._carry = data[at : at + PACKET]
        if marker and not self._carry:
            out += self.pictures.flush()
        return out

    def lost(self) -> None:
        """Something before the next bytes is missing."""
        self._carry = b""
        self._counters.clear()
        self.pictures.lose()
        if self.sound is not None:
            self.sound.lose()

    def end(self) -> list[MediaUnit]:
        """Nothing follows: what is complete now."""
        return [*self.pictures.close(), *(self.sound.end() if self.sound is not None else ())]

    # inside -----------------------------------------------------------------------------------------

    def _packet(self, packet: bytes, time: int | None, out: list[MediaUnit]) -> None:
        """2.4.3.2."""
        self.packs += 1
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        control = packet[3] >> 4 & 3
        at = 4 if control == 1 else 5 + packet[4]
        if not control & 1 or at >= PACKET or packet[1] & 0x80:
            return
        begins = bool(packet[1] & 0x40)
        if pid == 0 and begins:
            self._read_pat(packet[at:])
        elif pid == self._map_pid and begins:
            self._read_map(packet[at:], out)
        elif pid == self._video or pid == self._audio:
            counter = packet[3] & 15
            last = self._counters.get(pid)
            self._counters[pid] = counter
            if last is not None and counter != last + 1 & 15:
                if counter == last:
                    return  # sent twice (2.4.3.3)
                if pid == self._video:
                    self.pictures.lose()
                elif self.sound is not None:
                    self.sound.lose()
            self._payload(pid, packet[at:], begins, time, out)

    def _payload(self, pid: int, payload: bytes, begins: bool, time: int | None, out: list[MediaUnit]) -> None:
        sink = self.pictures if pid == self._video else self.sound
        if sink is None:
            return
        if begins and payload[:3] == b"\0\0\1" and len(payload) >= 9:
            size = payload[8]
            pts = stamp(payload, 9) if payload[7] & 0x80 and size >= 5 and len(payload) >= 14 else None
            payload = payload[9 + size :]
            if isinstance(sink, Pictures):
                out += sink.begin(pts, time, payload[:8])
            else:
                out += sink.begin(pts)
        if payload:
            sink.add(payload)

    def _read_pat(self, section: bytes) -> None:
        """2.4.4.3: the first program."""
        at = 1 + section[0] + 8
        while at + 4 <= len(section) - 4:
            if section[at] or section[at + 1]:
                self._map_pid = (section[at + 2] & 0x1F) << 8 | section[at + 3]
                return
            at += 4

    def _read_map(self, section: bytes, out: list[MediaUnit]) -> None:
        """2.4.4.8."""
        start = 1 + section[0]
        if start + 12 > len(section) or section[start] != 2:
            return
        end = min(start + 3 + ((section[start + 1] & 0x0F) << 8 | section[start + 2]) - 4, len(section))
        at = start + 12 + ((section[start + 10] & 0x0F) << 8 | section[start + 11])
        found: dict[int, int] = {}
        while at + 5 <= end and len(found) < MAX_PIDS:
            found[(section[at + 1] & 0x1F) << 8 | section[at + 2]] = section[at]
            at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
        self.maps += 1
        if not found or found == self._map:
            return
        self._map = found
        self._video = self._audio = self.undecodable = self.silent = None
        for pid, kind in found.items():
            if (codec := psm.TAKEN_VIDEO.get(kind)) is not None and self._video is None:
                self._video = pid
                out += self.pictures.know(codec)
            elif (voice := psm.TAKEN_AUDIO.get(kind)) is not None and self._audio is None:
                self._audio = pid
                self.sound = Sound(voice)
        if self._video is None:
            self.undecodable = next((psm.VIDEO[kind] for kind in found.values() if kind in psm.VIDEO), None)
