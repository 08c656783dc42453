"""H.264 over RTP (RFC 6184): Annex B apart, packets out; and key frames recognised in packets that come in."""

from typing import Final

from hub.media.rtp import sps
from hub.media.rtp.packing import pack

MAX_PAYLOAD: Final = 1_172  # 1200 bytes with the RTP header and an SRTP tag of 16
_SLICE, _IDR, _SEI, _SPS, _PPS, _AUD, _STAP_A, _FU_A = 1, 5, 6, 7, 8, 9, 24, 28
_USELESS: Final = (_AUD, 10, 11, 12)  # delimiter, end of sequence, end of stream, filler


def split(annex_b: bytes) -> list[bytes]:
    """NAL units of an Annex B byte stream, without start codes and trailing zeros (H.264 Annex B.1)."""
    units = []
    end = len(annex_b)
    at = annex_b.rfind(b"\0\0\1")  # from behind: CPython's rfind takes a third of what find takes here
    while at >= 0:
        if unit := annex_b[at + 3 : end].rstrip(b"\0"):
            units.append(unit)
        end = at
        at = annex_b.rfind(b"\0\0\1", 0, end)
    units.reverse()
    return units


class ParameterSets:
    """Remembers the newest SPS and PPS and puts them in front of an IDR that comes without (RFC 6184 §8.4)."""

    def __init__(self) -> None:
        self._sets: dict[int, dict[bytes, bytes]] = {_SPS: {}, _PPS: {}}

    def clear(self) -> None:
        """Forget: the source begins anew."""
        for sets in self._sets.values():
            sets.clear()

    def complete(self, nals: list[bytes]) -> list[bytes]:
        """The access unit without what no decoder needs, an IDR with its parameter sets in front."""
        kept = [nal for nal in nals if nal[0] & 0x1F not in _USELESS]
        kinds = [nal[0] & 0x1F for nal in kept]
        for nal, kind in zip(kept, kinds, strict=True):
            if kind in self._sets:
                sets = self._sets[kind]
                sets[nal[1:4] if kind == _SPS else nal[1:2]] = nal  # the PPS id is in its first byte
                while len(sets) > 16:
                    del sets[next(iter(sets))]
        if _IDR in kinds:
            missing = [nal for kind in (_SPS, _PPS) if kind not in kinds for nal in self._sets[kind].values()]
            kept = missing + kept
        return kept


def is_idr(nals: list[bytes]) -> bool:
    """Whether the access unit holds an IDR picture."""
    return any(nal[0] & 0x1F == _IDR for nal in nals)


def packetize(nals: list[bytes], limit: int = MAX_PAYLOAD) -> list[bytes]:
    """RTP payloads of one access unit, in non-interleaved mode (RFC 6184 §5.6–5.8).

    Neighbours that fit together become a STAP-A; what does not fit is cut into FU-A pieces of equal size but the
    last, so that one segmented send carries them all.
    """
    return pack(nals, limit, 1, _aggregate, _fragments)


def _aggregate(nals: list[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    indicator = max(nal[0] & 0x60 for nal in nals) | _STAP_A
    return bytes((indicator,)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragments(nal: bytes, limit: int) -> list[bytes]:
    indicator, kind, body = nal[0] & 0x60 | _FU_A, nal[0] & 0x1F, len(nal) - 1
    count = -(-body // (limit - 2))
    size = -(-body // count)
    pieces = []
    for at in range(1, len(nal), size):
        flags = (0x80 if at == 1 else 0) | (0x40 if at + size >= len(nal) else 0)
        pieces.append(bytes((indicator, flags | kind)) + nal[at : at + size])
    return pieces


def begins_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload begins an IDR picture or carries the SPS in front of one (RFC 6184 §5.2)."""
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == _STAP_A:
        at = 1
        while at + 2 < len(payload):
            if payload[at + 2] & 0x1F in (_IDR, _SPS):
                return True
            at += 2 + int.from_bytes(payload[at : at + 2], "big")
        return False
    if kind == _FU_A:
        return len(payload) > 1 and bool(payload[1] & 0x80) and payload[1] & 0x1F == _IDR
    return kind in (_IDR, _SPS)


def size(payload: bytes) -> tuple[int, int] | None:
    """Width and height that the SPS in an RTP payload tells, ``None`` when there is none (RFC 6184 §5.7)."""
    nals = [payload]
    if payload and payload[0] & 0x1F == _STAP_A:
        nals, at = [], 1
        while at + 2 < len(payload):
            end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
            nals.append(payload[at + 2 : end])
            at = end
    for nal in nals:
        if nal and nal[0] & 0x1F == _SPS:
            try:
                found = sps.parse_sps(nal)
            except ValueError:
                return None
            return found.width, found.height
    return None
