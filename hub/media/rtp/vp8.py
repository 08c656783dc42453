"""VP8 over RTP (RFC 7741), as far as a relay must know it."""


def begins_keyframe(payload: bytes) -> bool:
    """Whether a payload begins a key frame: start of partition 0, inverse key frame flag 0 (RFC 7741 §4.2, §4.3)."""
    if not payload or not payload[0] & 0x10 or payload[0] & 0x07:
        return False
    at = 1
    if payload[0] & 0x80:  # X: extension byte
        if len(payload) < 2:
            return False
        flags, at = payload[1], 2
        if flags & 0x80:  # I: picture id, 7 or 15 bits
            at += 2 if len(payload) > at and payload[at] & 0x80 else 1
        at += (1 if flags & 0x40 else 0) + (1 if flags & 0x30 else 0)
    return len(payload) > at and not payload[at] & 0x01
