"""H.264 and H.265 out of RTP: packets in their order in, whole access units out, nothing that refers to what is lost.

Single NAL units, aggregates and fragments: non-interleaved mode of RFC 6184 (§5.2, §6.3), and RFC 7798 without decoding
order numbers (§4.4). After a loss everything is dropped until the next picture that decoding can begin with, and
counted: a picture that refers to a lost one is grey, and so are all after it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from hub.media.rtp import h265
from hub.media.rtp.h264 import split
from hub.media.rtp.packet import RtpPacket

MAX_UNIT: Final = 8 * 2**20
MAX_NALS: Final = 512
IDR, STAP_A, FU_A = 5, 24, 28
AP, FU = 48, 49
_START: Final = (b"\0\0\0\1", b"\0\0\1")
_VCL: Final = frozenset({1, 2, 3, 4, 5})


@dataclass(slots=True)
class Unit:
    """One access unit: NAL units without start codes, and the RTP timestamp."""

    nals: list[bytes]
    timestamp: int
    key: bool


class Depacketizer(ABC):
    """State of one track. ``dropped`` counts access units, ``malformed`` packets that are not what they should be."""

    def __init__(self) -> None:
        self.dropped = 0
        self.malformed = 0
        self.ambiguous_markers = False  # the camera sets the marker on every slice: time tells pictures apart
        self._nals: list[bytes] = []
        self._size = 0
        self._timestamp: int | None = None
        self._fragments: list[bytes] | None = None
        self._damaged = False
        self._gap = False  # something was lost just before this unit: does its first slice begin the picture?
        self._wants_key = True
        self._finished: int | None = None  # timestamp of the last unit that a marker ended

    def push(self, packet: RtpPacket, lost: int) -> list[Unit]:
        """Take one packet, before which ``lost`` never came; the access units that are complete now."""
        units: list[Unit] = []
        if lost:
            self._lose()
        if self._timestamp is not None and packet.timestamp != self._timestamp:
            units += self._finish()
        if self._timestamp is None:
            self._timestamp = packet.timestamp
        if not self._payload(packet.payload):
            self.malformed += 1
            self._damaged = True
            self._fragments = None
        if self._nals and self._timestamp == self._finished and not self.ambiguous_markers:
            self._look_for_rest()
        if packet.marker and not self.ambiguous_markers:
            self._finished = self._timestamp
            units += self._finish()
        return units

    def reset(self) -> None:
        """Another source begins: nothing of the old one counts."""
        self._nals, self._size, self._timestamp, self._fragments = [], 0, None, None
        self._damaged = self._gap = False
        self._wants_key = True
        self._finished = None

    # inside -----------------------------------------------------------------------------------------

    def _lose(self) -> None:
        self._wants_key = True
        self._gap = True
        if self._timestamp is not None:
            self._damaged = True
        self._fragments = None

    @abstractmethod
    def _payload(self, payload: bytes) -> bool:
        """Take a payload apart; False when it is not what it should be."""

    @staticmethod
    @abstractmethod
    def _is_slice(nal: bytes) -> bool: ...

    @staticmethod
    @abstractmethod
    def _is_key(nal: bytes) -> bool: ...

    @staticmethod
    @abstractmethod
    def _begins_picture(nal: bytes) -> bool:
        """Whether a slice is the first of its picture."""

    def _aggregate(self, payload: bytes, at: int) -> bool:
        """RFC 6184 §5.7.1, RFC 7798 §4.4.2: sizes and NAL units from ``at`` on."""
        begin = at
        while at + 2 <= len(payload):
            size = payload[at] << 8 | payload[at + 1]
            if size == 0 or at + 2 + size > len(payload) or not self._add(payload[at + 2 : at + 2 + size]):
                return False
            at += 2 + size
        return at == len(payload) > begin

    def _fragment(self, header: bytes, flags: int, body: bytes) -> bool:
        """RFC 6184 §5.8, RFC 7798 §4.4.3. ``header`` is that of the whole NAL unit."""
        if flags & 0x80:
            complete = self._fragments is None  # else the end of the last one is missing
            self._fragments = [header, body]
        elif self._fragments is None:  # its beginning is lost, or never was
            self._damaged = True
            return True
        else:
            complete = True
            self._fragments.append(body)
        self._size += len(body)
        if self._size > MAX_UNIT:
            return False
        if flags & 0x40:
            nal = b"".join(self._fragments)
            self._fragments = None
            self._size -= len(nal) - len(header)
            return self._add(nal) and complete
        return complete

    def _add(self, nal: bytes) -> bool:
        self._size += len(nal)
        if len(self._nals) >= MAX_NALS or self._size > MAX_UNIT:
            return False
        if self._fragments is not None:  # a fragment that was never finished
            self._fragments, self._damaged = None, True
        self._nals.append(nal)
        return True

    def _look_for_rest(self) -> None:
        """After a marker more of the same time: a slice that does not begin a picture belongs to the last one."""
        first = next((nal for nal in self._nals if self._is_slice(nal)), None)
        if first is not None and not self._begins_picture(first):
            self.ambiguous_markers = True
            self._damaged = True  # its first part is gone out already
            self._wants_key = True

    def _finish(self) -> list[Unit]:
        """The unit so far, if it is whole and can be decoded."""
        nals, timestamp = self._nals, self._timestamp
        whole = not self._damaged and self._fragments is None
        first = next((nal for nal in nals if self._is_slice(nal)), None)
        if self._gap and first is not None and not self._begins_picture(first):
            whole = False
        self._nals, self._size, self._timestamp, self._fragments, self._damaged = [], 0, None, None, False
        if timestamp is None or (not nals and whole):
            return []
        key = any(self._is_key(nal) for nal in nals)
        if first is not None or not whole:
            self._gap = False
        if not whole:
            self._wants_key = True
        elif key:
            self._wants_key = False
        if not whole or (self._wants_key and first is not None):
            self.dropped += 1
            return []
        return [Unit(nals, timestamp, key)]


class H264Depacketizer(Depacketizer):
    """RFC 6184."""

    def _payload(self, payload: bytes) -> bool:
        if not payload:
            return True  # some cameras send empty packets to keep a path open
        kind = payload[0] & 0x1F
        if 1 <= kind <= 23:
            return self._add(payload)
        if kind == STAP_A:
            return self._aggregate(payload, 1)
        if kind == FU_A:
            if len(payload) < 3:
                return False
            return self._fragment(bytes((payload[0] & 0xE0 | payload[1] & 0x1F,)), payload[1], payload[2:])
        if payload.startswith(_START):  # Annex B in RTP: some cameras forget to take it off
            return all(self._add(nal) for nal in split(payload))
        return False

    @staticmethod
    def _is_slice(nal: bytes) -> bool:
        return nal[0] & 0x1F in _VCL

    @staticmethod
    def _is_key(nal: bytes) -> bool:
        return nal[0] & 0x1F == IDR

    @staticmethod
    def _begins_picture(nal: bytes) -> bool:
        """first_mb_in_slice is 0 (ITU-T H.264 7.3.3)."""
        return len(nal) > 1 and bool(nal[1] & 0x80)


class H265Depacketizer(Depacketizer):
    """RFC 7798."""

    def _payload(self, payload: bytes) -> bool:
        if not payload:
            return True
        if payload.startswith(_START):  # no NAL unit begins so: nuh_temporal_id_plus1 is never 0 (7.4.2.2)
            return all(self._unit(nal) for nal in split(payload))
        if len(payload) < 3 or payload[1] & 0x07 == 0:
            return False
        kind = h265.kind(payload)
        if kind == AP:
            return self._aggregate(payload, 2)
        if kind == FU:
            if len(payload) < 4:
                return False
            header = bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))
            return self._fragment(header, payload[2], payload[3:])
        return self._unit(payload)

    def _unit(self, nal: bytes) -> bool:
        return len(nal) > 2 and h265.kind(nal) < AP and self._add(nal)

    @staticmethod
    def _is_slice(nal: bytes) -> bool:
        return h265.is_slice(nal)

    @staticmethod
    def _is_key(nal: bytes) -> bool:
        return h265.is_irap([nal])

    @staticmethod
    def _begins_picture(nal: bytes) -> bool:
        """first_slice_segment_in_pic_flag (ITU-T H.265 7.3.6.1)."""
        return len(nal) > 2 and bool(nal[2] & 0x80)
