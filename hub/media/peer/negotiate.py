"""From a client's offer to what is sent or received: the choice of payload types, and the errors with their names."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hub.domain.errors import Conflict, Invalid
from hub.media.peer.publication import Publication
from hub.media.peer.publisher import Terms
from hub.media.rtp.extension import Layout, layout
from hub.media.rtp.track import Track
from hub.media.rtp.unit import Codec, Kind
from signaling.sdp import Format, SdpError
from signaling.subscribe import Answer, read_answer
from signaling.whip import (
    LEVEL,
    MID,
    REPAIRED_RID,
    RID,
    SEND_TIME,
    TRANSPORT,
    Offer,
    Section,
    read_fragment,
    read_offer,
)
from signaling.whip import Track as AnswerTrack

VIDEO: Final = ("h264", "h265", "vp8")
MAX_LAYERS: Final = 4  # as many as a stream has at most
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


def fragment_of(text: str) -> str | None:
    """The new ICE fragment of a PATCH, ``None`` when it only trickles. Raises Invalid ``sdp.invalid``."""
    try:
        return read_fragment(text)
    except (SdpError, ValueError, IndexError) as error:
        raise Invalid("sdp.invalid", f"the fragment cannot be used: {error}"[:300]) from error


def answer_of(text: str, mids: Sequence[str]) -> Answer:
    """Read a subscriber's answer to sections with these mids. Raises Invalid ``sdp.invalid``."""
    try:
        return read_answer(text, mids)
    except (SdpError, ValueError, IndexError) as error:
        raise Invalid("sdp.invalid", f"the answer cannot be used: {error}"[:300]) from error


def decodes(offer: Offer) -> frozenset[str]:
    """The codecs of video that a viewer could be sent."""
    sections = [s for s in offer.sections if s.usable and s.kind == "video" and s.direction in ("recvonly", "sendrecv")]
    return frozenset(codec for codec in VIDEO for section in sections[:1] if section.choose(codec) is not None)


def takes(offer: Offer) -> frozenset[Kind]:
    """The kinds of media that a viewer has sections for."""
    kinds: tuple[Kind, ...] = ("video", "audio")
    mine = [s.kind for s in offer.sections if s.usable and s.direction in ("recvonly", "sendrecv")]
    return frozenset(kind for kind in kinds if kind in mine)


def chooses(offer: Offer) -> bool:
    """Whether what a viewer gets depends on what the source brings: he decodes more than is usual, or would hear."""
    sound = any(s.usable and s.kind == "audio" and s.direction in ("recvonly", "sendrecv") for s in offer.sections)
    return sound or "h265" in decodes(offer)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One track of a viewer, as agreed."""

    kind: Kind
    track: Track  # the first layer
    payload_type: int
    rtx: int | None  # payload type of retransmissions
    layout: Layout
    layer: int | None = None  # this one and no other, for a relay that gets each by a section of its own
    ssrcs: tuple[int, int] | None = None  # its own and its retransmissions', where not those of the track
    of: Publication | None = None  # where it is of another rendition than the session's


def for_viewer(offer: Offer, stream: Publication, *, each_layer: bool = False) -> dict[int, tuple[Wanted, AnswerTrack]]:
    """Section index to what is sent there; ``each_layer``: further sections of video get further layers.

    Raises Conflict ``stream.not_live``, Invalid ``sdp.no_codec``.
    """
    if stream.ended or not stream.tracks:
        raise Conflict("stream.not_live", "nothing is published on this stream")
    chosen: dict[int, tuple[Wanted, AnswerTrack]] = {}
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
            chosen[sections[0].index] = outgoing(sections[0], found, kind, track)
            if each_layer and len(stream.layers(kind)) > 1:
                chosen |= _by_layer(sections, stream.layers(kind), track)
    if not chosen or any(codec in VIDEO for codec in lacking):
        raise Invalid("sdp.no_codec", f"the offer has no section for {', '.join(lacking) or 'what is sent'}")
    return chosen


def with_layers(
    offer: Offer, chosen: Mapping[int, tuple[Wanted, AnswerTrack]], whole: Publication
) -> dict[int, tuple[Wanted, AnswerTrack]]:
    """Beside original pictures that were chosen for a relay: the stream's further layers, whose codec is another."""
    tracks, found = whole.layers("video"), dict(chosen)
    sections = [s for s in offer.sections if s.usable and s.kind == "video" and s.direction in ("recvonly", "sendrecv")]
    if len(tracks) < 2 or not sections or sections[0].index not in found:
        return found
    wanted, answer = found[sections[0].index]
    found[sections[0].index] = replace(wanted, layer=0), answer
    for index, (wanted, answer) in _by_layer(sections[1:], tracks[1:], tracks[0]).items():
        found[index] = replace(wanted, of=whole), answer
    return found


def _by_layer(
    sections: Sequence[Section], tracks: Sequence[Track], base: Track
) -> dict[int, tuple[Wanted, AnswerTrack]]:
    chosen: dict[int, tuple[Wanted, AnswerTrack]] = {}
    for section, track in zip(sections, tracks, strict=False):
        if (found := section.choose(track.codec)) is None:
            continue
        wanted, answer = outgoing(section, found, base.kind, base)
        one, two = ssrcs = two_ssrcs()
        repair = None if answer.rtx_ssrc is None else two
        wanted = replace(wanted, layer=track.layer, ssrcs=ssrcs)
        chosen[section.index] = wanted, replace(answer, ssrc=one, rtx_ssrc=repair)
    return chosen


def two_ssrcs() -> tuple[int, int]:
    """For a track on one connection, and for its retransmissions."""
    return secrets.randbelow(0xFFFFFFFE) + 1, secrets.randbelow(0xFFFFFFFE) + 1


def for_subscriber(section: Section, kind: Kind, track: Track) -> Wanted | None:
    """What is sent on an answered section; ``None`` when the client refused it or does not know the codec."""
    if not section.usable or section.kind != kind or (found := section.choose(track.codec)) is None:
        return None
    return outgoing(section, found, kind, track)[0]


def outgoing(section: Section, found: Format, kind: Kind, track: Track) -> tuple[Wanted, AnswerTrack]:
    """Retransmission and header extensions of a section that we send on.

    A number or a time that is new in each datagram needs retransmissions of their own, so that no packet is ever
    repeated; sound is not asked for again.
    """
    rtx = section.rtx(found) if kind == "video" else None
    feedback = [name for name in ("transport-cc", "goog-remb") if name in found.feedback]
    ids = dict(section.extensions)
    varies = rtx is not None or kind == "audio"
    if not (varies and TRANSPORT in ids and "transport-cc" in feedback):
        ids.pop(TRANSPORT, None)
    if not varies or TRANSPORT in ids or "goog-remb" not in feedback:
        ids.pop(SEND_TIME, None)
    feedback = [name for name in feedback if (name == "transport-cc") == (TRANSPORT in ids)]
    if not 0 < len(section.mid.encode()) <= 16:
        ids.pop(MID, None)
    names = (MID, SEND_TIME, TRANSPORT, *((LEVEL,) if kind == "audio" else ()))
    used = {name: ids[name] for name in names if name in ids}
    mid = (used[MID], section.mid) if MID in used else None
    placed = layout(mid, used.get(LEVEL, 0), used.get(SEND_TIME, 0), used.get(TRANSPORT, 0))
    answer = AnswerTrack(
        found, track.ssrc, rtx, track.rtx_ssrc if rtx is not None else None, used, tuple(feedback),
        repeats=kind == "video" or not placed.varies,
    )  # fmt: skip
    return Wanted(kind, track, found.payload_type, rtx, placed), answer


def for_publisher(offer: Offer, *, each_layer: bool = False) -> tuple[Terms, dict[int, AnswerTrack]]:
    """What a publisher may send, one section of each kind; ``each_layer``: of a relay further sections of video, too.

    Raises Invalid ``sdp.no_codec``.
    """
    codecs: dict[int, Codec] = {}
    repairs: dict[int, int] = {}
    pairs: dict[int, int] = {}
    ids: dict[str, int] = {}
    rids: tuple[str, ...] = ()
    answers: dict[int, AnswerTrack] = {}
    taken: set[str] = set()
    layers: dict[int, int] = {}  # by SSRC
    for section in offer.sections:
        further = section.kind in taken and each_layer and bool(section.repairs)
        if not section.usable or section.direction not in ("sendonly", "sendrecv"):
            continue
        if (section.kind in taken and not further) or (found := _first(section, relay=each_layer)) is None:
            continue
        codec, fmt = found
        taken.add(section.kind)
        if each_layer and section.kind == "video" and (layer := len(set(layers.values()))) < MAX_LAYERS:
            layers |= {ssrc: layer for pair in section.repairs.items() for ssrc in pair}
        answers[section.index] = answer = _incoming(section, fmt)
        codecs[fmt.payload_type] = codec
        if answer.rtx is not None:
            repairs[answer.rtx] = fmt.payload_type
            pairs.update(section.repairs)
        rids = rids or answer.rids
        ids |= answer.extensions
    if not codecs:
        raise Invalid("sdp.no_codec", "the offer publishes neither H.264 nor VP8, Opus or G.711")
    numbers = {name: ids.get(name, 0) for name in (RID, REPAIRED_RID, TRANSPORT, LEVEL)}
    terms = Terms(
        codecs, repairs, pairs, rids, numbers[RID], numbers[REPAIRED_RID], numbers[TRANSPORT], numbers[LEVEL],
        layers if len(set(layers.values())) > 1 else {},
    )  # fmt: skip
    return terms, answers


def _incoming(section: Section, fmt: Format) -> AnswerTrack:
    """Retransmission, layers and header extensions of a section that we receive on."""
    ids = dict(section.extensions)
    video = section.kind == "video"
    rtx = section.rtx(fmt) if video else None
    rids = section.rids if video and RID in ids else ()
    transport = TRANSPORT in ids and "transport-cc" in fmt.feedback
    names = [MID, *([RID, REPAIRED_RID] if rids else []), *([TRANSPORT] if transport else [])]
    names += [] if video else [LEVEL]
    used = {name: ids[name] for name in names if name in ids}
    feedback = ("transport-cc",) if transport else ("goog-remb",)
    return AnswerTrack(fmt, None, rtx, None, used, feedback, rids)


def _first(section: Section, *, relay: bool) -> tuple[Codec, Format] | None:
    """The codec of ours that the client prefers, in its best payload type."""
    known = _PUBLISHED.get(section.kind, ())
    for offered in section.formats:
        for codec in (*known, "h265") if relay and section.kind == "video" else known:
            if offered.encoding == codec and (found := section.choose(codec)) is not None:
                return codec, found
    return None
