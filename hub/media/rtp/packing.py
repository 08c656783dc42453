"""NAL units into RTP payloads: what H.264 (RFC 6184) and H.265 (RFC 7798) do alike."""

from collections.abc import Callable


def pack(
    nals: list[bytes],
    limit: int,
    header: int,
    aggregate: Callable[[list[bytes]], bytes],
    fragments: Callable[[bytes, int], list[bytes]],
) -> list[bytes]:
    """Payloads of at most ``limit`` bytes of one access unit, in order.

    Neighbours that fit together behind ``header`` bytes become one by ``aggregate``; what does not fit is cut by
    ``fragments``.
    """
    payloads: list[bytes] = []
    small: list[bytes] = []
    room = limit
    for nal in nals:
        cost = len(nal) + 2
        if small and cost > room:
            payloads.append(aggregate(small))
            small = []
        if len(nal) > limit:
            payloads += fragments(nal, limit)
            continue
        if not small:
            room = limit - header
        small.append(nal)
        room -= cost
    if small:
        payloads.append(aggregate(small))
    return payloads
