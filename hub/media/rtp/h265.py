"""H.265 over RTP (RFC 7798): Annex B apart, packets out, and what tells a key frame.

Without decoding order numbers (sprop-max-don-diff=0), as every camera sends it.
"""

from typing import Final

from hub.media.rtp import sps
from hub.media.rtp.h264 import MAX_PAYLOAD, split
from hub.media.rtp.packing import pack

VPS, SPS, PPS = 32, 33, 34  # ITU-T H.265 table 7-1
_AP, _FU = 48, 49
_SETS: Final = (VPS, SPS, PPS)
_IRAP: Final = frozenset(range(16, 24))
_USELESS: Final = (35, 36, 37, 38)  # delimiter, end of sequence, end of bitstream, filler
MAIN: Final = 1  # general_profile_idc
MAX_SETS: Final = 16

__all__ = ["ParameterSets", "begins_keyframe", "is_irap", "is_slice", "kind", "packetize", "size", "split"]


def kind(nal: bytes) -> int:
    """nal_unit_type."""
    return nal[0] >> 1 & 0x3F


def is_slice(nal: bytes) -> bool:
    """Whether it is a slice segment."""
    return kind(nal) < 32


class ParameterSets:
    """Remembers the newest VPS, SPS and PPS and puts them in front of an IRAP picture that comes without."""

    def __init__(self) -> None:
        self._sets: dict[int, dict[int, bytes]] = {each: {} for each in _SETS}

    def clear(self) -> None:
        """Forget: the source begins anew."""
        for sets in self._sets.values():
            sets.clear()

    @property
    def sequence(self) -> bytes | None:
        """The newest SPS."""
        sets = self._sets[SPS]
        return next(reversed(sets.values())) if sets else None

    def complete(self, nals: list[bytes]) -> list[bytes]:
        """The access unit without what no decoder needs, an IRAP picture with its parameter sets in front."""
        kept = [nal for nal in nals if len(nal) > 2 and kind(nal) not in _USELESS]
        kinds = {kind(nal) for nal in kept}
        for nal in kept:
            if kind(nal) in _SETS and (id := _id(nal)) is not None:
                sets = self._sets[kind(nal)]
                sets.pop(id, None)  # so that the newest is the last
                sets[id] = nal
                while len(sets) > MAX_SETS:
                    del sets[next(iter(sets))]
        if kinds & _IRAP:
            have = [nal for nal in kept if kind(nal) in _SETS]
            have += [nal for each in _SETS if each not in kinds for nal in self._sets[each].values()]
            have.sort(key=kind)
            kept = have + [nal for nal in kept if kind(nal) not in _SETS]
        return kept


def _id(nal: bytes) -> int | None:
    """The set's own id (7.3.2.1–7.3.2.3); ``None`` when it makes no sense."""
    try:
        if kind(nal) == VPS:
            return nal[2] >> 4
        if kind(nal) == PPS:
            found = sps.Bits(sps.raw(nal[1:16])).ue()
            return found if found < 64 else None
        return sps.parse_sps_h265(nal).id
    except ValueError:
        return None


def is_irap(nals: list[bytes]) -> bool:
    """Whether the access unit is one that decoding can begin with."""
    return any(kind(nal) in _IRAP for nal in nals)


def packetize(nals: list[bytes], limit: int = MAX_PAYLOAD) -> list[bytes]:
    """RTP payloads of one access unit (RFC 7798 §4.4).

    Neighbours that fit together become an aggregation packet; what does not fit is cut into fragmentation units of
    equal size but the last, so that one segmented send carries them all.
    """
    return pack(nals, limit, 2, _aggregate, _fragments)


def _aggregate(nals: list[bytes]) -> bytes:
    """§4.4.2: the lowest layer and temporal id of all."""
    if len(nals) == 1:
        return nals[0]
    forbidden = max(nal[0] & 0x80 for nal in nals)
    place = min((nal[0] & 1) << 8 | nal[1] & 0xF8 for nal in nals)
    temporal = min(nal[1] & 0x07 for nal in nals)
    header = bytes((forbidden | _AP << 1 | place >> 8, place & 0xF8 | temporal))
    return header + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragments(nal: bytes, limit: int) -> list[bytes]:
    """§4.4.3."""
    header, body = bytes((nal[0] & 0x81 | _FU << 1, nal[1])), len(nal) - 2
    count = -(-body // (limit - 3))
    size = -(-body // count)
    pieces = []
    for at in range(2, len(nal), size):
        flags = (0x80 if at == 2 else 0) | (0x40 if at + size >= len(nal) else 0)
        pieces.append(header + bytes((flags | kind(nal),)) + nal[at : at + size])
    return pieces


def _within(payload: bytes) -> list[bytes]:
    """The NAL units that begin in an RTP payload, of a fragment only its first bytes."""
    if len(payload) < 3:
        return []
    if kind(payload) == _AP:
        nals, at = [], 2
        while at + 4 < len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            nals.append(payload[at + 2 : end])
            at = end
        return [nal for nal in nals if len(nal) > 2]
    if kind(payload) == _FU:
        return [bytes(((payload[2] & 0x3F) << 1, payload[1])) + payload[3:]] if payload[2] & 0x80 else []
    return [payload]


def begins_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins an IRAP picture or carries the parameter sets in front of one."""
    return any(kind(nal) in _IRAP or kind(nal) in (VPS, SPS) for nal in _within(payload))


def size(payload: bytes) -> tuple[int, int] | None:
    """Width and height that the SPS in an RTP payload tells, ``None`` when there is none."""
    for nal in _within(payload):
        if kind(nal) == SPS:
            try:
                found = sps.parse_sps_h265(nal)
            except ValueError:
                return None
            return found.width, found.height
    return None
