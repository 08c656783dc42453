"""VP8 over RTP (RFC 7741), as far as a relay must know it."""

from typing import NamedTuple


class Descriptor(NamedTuple):
    """What a payload descriptor says (RFC 7741 §4.2). Places are offsets in the payload, -1 where there is nothing."""

    begins: bool  # a frame
    key: bool  # and that frame is a key frame
    layer: int  # temporal layer, 0 when not told
    sync: bool  # may be switched up to: depends on the base layer alone
    picture: int  # picture id, -1 without one
    picture_at: int
    base: int  # TL0PICIDX
    base_at: int
    at: int  # of the VP8 payload header
    narrow: bool = False  # the picture id has 7 bits, not 15


PLAIN = Descriptor(False, False, 0, False, -1, -1, -1, -1, 1)


def describe(payload: bytes) -> Descriptor:
    """Read a payload's descriptor; ``PLAIN`` for what is cut off."""
    if not payload:
        return PLAIN
    begins = bool(payload[0] & 0x10) and not payload[0] & 0x07
    at, layer, sync, narrow = 1, 0, False, False
    picture = picture_at = base = base_at = -1
    try:
        if payload[0] & 0x80:  # X: extension byte
            flags, at = payload[1], 2
            if flags & 0x80:  # I: picture id, 7 or 15 bits
                picture_at, narrow = at, not payload[at] & 0x80
                picture = payload[at] if narrow else int.from_bytes(payload[at : at + 2], "big") & 0x7FFF
                at += 1 if narrow else 2
            if flags & 0x40:  # L: TL0PICIDX
                base, base_at = payload[at], at
                at += 1
            if flags & 0x30:  # T or K: temporal layer, sync, key index
                if flags & 0x20:
                    layer, sync = payload[at] >> 6, bool(payload[at] & 0x20)
                at += 1
        key = begins and not payload[at] & 0x01
    except IndexError:
        return PLAIN
    return Descriptor(begins, key, layer, sync, picture, picture_at, base, base_at, at, narrow)


def begins_keyframe(payload: bytes) -> bool:
    """Whether a payload begins a key frame: start of partition 0, inverse key frame flag 0 (RFC 7741 §4.2, §4.3)."""
    return describe(payload).key


def size(payload: bytes) -> tuple[int, int] | None:
    """Width and height that a payload beginning a key frame tells (RFC 6386 §9.1), ``None`` when it does not."""
    found = describe(payload)
    head = payload[found.at : found.at + 10]
    if not found.key or len(head) < 10 or head[3:6] != b"\x9d\x01\x2a":
        return None
    width, height = int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return (width, height) if width and height else None
