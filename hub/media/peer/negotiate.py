"""From a client's offer to what is sent or received: the choice of payload types, and the errors with their names."""

from collections.abc import Mapping
from typing import Final

from hub.domain.errors import Conflict, Invalid
from hub.media.peer.publication import Publication
from hub.media.rtp.track import Track
from hub.media.rtp.unit import Codec, Kind
from signaling.sdp import Format, SdpError
from signaling.whip import Offer, Section, read_offer

_PUBLISHED: Final[Mapping[str, tuple[Codec, ...]]] = {
    "video": ("h264", "vp8"),
    "audio": ("opus", "pcma", "pcmu"),
}


def offer_of(text: str) -> Offer:
    """Read an offer. Raises Invalid ``sdp.invalid``."""
    try:
        return read_offer(text)
    except (SdpError, ValueError, IndexError) as error:
        raise Invalid("sdp.invalid", f"the offer cannot be used: {error}"[:300]) from error


def for_viewer(offer: Offer, stream: Publication) -> dict[int, tuple[Kind, Track, Format]]:
    """Section index to track and payload type. Raises Conflict ``stream.not_live``, Invalid ``sdp.no_codec``."""
    if stream.ended or not stream.tracks:
        raise Conflict("stream.not_live", "nothing is published on this stream")
    chosen: dict[int, tuple[Kind, Track, Format]] = {}
    lacking: list[str] = []
    kinds: tuple[Kind, ...] = ("video", "audio")
    for kind in kinds:
        track = stream.tracks.get(kind)
        usable = [s for s in offer.sections if s.usable and s.kind == kind]
        sections = [s for s in usable if s.direction in ("recvonly", "sendrecv")]
        if track is None or not sections:
            continue
        if (found := sections[0].choose(track.codec)) is None:
            lacking.append(track.codec)
        else:
            chosen[sections[0].index] = (kind, track, found)
    if not chosen or any(codec in ("h264", "vp8") for codec in lacking):
        raise Invalid("sdp.no_codec", f"the offer has no section for {', '.join(lacking) or 'what is sent'}")
    return chosen


def for_publisher(offer: Offer) -> dict[int, tuple[Codec, Format]]:
    """Section index to codec and payload type, one of each kind. Raises Invalid ``sdp.no_codec``."""
    chosen: dict[int, tuple[Codec, Format]] = {}
    taken: set[str] = set()
    for section in offer.sections:
        if not section.usable or section.kind in taken or section.direction not in ("sendonly", "sendrecv"):
            continue
        if (found := _first(section)) is not None:
            taken.add(section.kind)
            chosen[section.index] = found
    if not chosen:
        raise Invalid("sdp.no_codec", "the offer publishes neither H.264 nor VP8, Opus or G.711")
    return chosen


def _first(section: Section) -> tuple[Codec, Format] | None:
    """The codec of ours that the client prefers, in its best payload type."""
    for offered in section.formats:
        for codec in _PUBLISHED.get(section.kind, ()):
            if offered.encoding == codec and (found := section.choose(codec)) is not None:
                return codec, found
    return None
