"""Offers and answers of WHIP (RFC 9725) and WHEP: what a client offered, what an ICE-lite, DTLS-passive peer says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from signaling.sdp import Description, Format, Media, SdpError, parse

MAX_FINGERPRINTS: Final = 8
ANY_TAG: Final = "*"
_ENCODINGS: Final = {"h264": 90_000, "h265": 90_000, "vp8": 90_000, "opus": 48_000, "pcma": 8_000, "pcmu": 8_000}
_H264_PROFILES: Final = ("42e0", "4200", "4d00", "6400", "640c", "f400")  # what most decoders know, first
_TCP_PRIORITY: Final = 90 << 24 | (4 << 13 | 0x1FFF) << 8 | 255  # a type below every one of UDP; 4: passive
_FEEDBACK: Final = ("nack", "nack pli", "ccm fir")
MID, RID, REPAIRED_RID = "mid", "rid", "repaired-rid"
SEND_TIME, TRANSPORT, LEVEL = "abs-send-time", "transport-cc", "audio-level"
EXTENSIONS: Final[Mapping[str, str]] = {
    MID: "urn:ietf:params:rtp-hdrext:sdes:mid",
    RID: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    REPAIRED_RID: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    SEND_TIME: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    TRANSPORT: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    LEVEL: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One media section of the offer, reduced to what we deal in. ``usable`` is false for what we refuse."""

    index: int
    mid: str
    kind: str
    protocol: str
    format_ids: tuple[str, ...]
    direction: str
    formats: tuple[Format, ...]
    usable: bool
    extensions: Mapping[str, int] = field(default_factory=dict)  # names of ours (MID ...) to ids of theirs
    rids: tuple[str, ...] = ()  # of simulcast that the client sends
    repairs: Mapping[int, int] = field(default_factory=dict)  # SSRC of a retransmission stream to the repaired one

    def rtx(self, chosen: Format) -> int | None:
        """The payload type that retransmits a chosen format (RFC 4588 §8.6), ``None`` when there is none."""
        fits = (f for f in self.formats if f.encoding == "rtx" and f.clock_rate == chosen.clock_rate)
        return next((f.payload_type for f in fits if f.parameter("apt") == str(chosen.payload_type)), None)

    def choose(self, codec: str) -> Format | None:
        """The payload type that fits a codec ("h264" …) best, ``None`` when the client did not offer it."""
        fits = [f for f in self.formats if f.encoding == codec and f.clock_rate == _ENCODINGS.get(codec)]
        if codec == "h264":  # single NAL mode cannot carry our FU-A (RFC 6184 §6.2)
            fits = [f for f in fits if f.parameter("packetization-mode") == "1"]
            fits.sort(key=_h264_rank)
        if codec == "h265":  # profile Main over a single RTP stream (RFC 7798 §7.1), which is what we pass on
            fits = [f for f in fits if f.parameter("profile-id") in (None, "1")]
            fits = [f for f in fits if (f.parameter("tx-mode") or "SRST").upper() == "SRST"]
        return fits[0] if fits else None


@dataclass(frozen=True, slots=True)
class Offer:
    """What matters of a client's offer."""

    ufrag: str
    pwd: str
    fingerprints: tuple[tuple[str, str], ...]  # algorithm, value
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """One accepted section of the answer. ``ssrc`` is ours when we send, ``None`` when we receive."""

    format: Format
    ssrc: int | None
    rtx: int | None = None  # payload type of retransmissions
    rtx_ssrc: int | None = None  # ours, when we send
    extensions: Mapping[str, int] = field(default_factory=dict)
    feedback: tuple[str, ...] = ()  # beyond NACK and key frame requests: "transport-cc", "goog-remb"
    rids: tuple[str, ...] = ()
    repeats: bool = True  # lost packets may be asked for


@dataclass(frozen=True, slots=True)
class Local:
    """What we say of ourselves: one transport for everything."""

    session: int
    ufrag: str
    pwd: str
    fingerprint: tuple[str, str]
    addresses: Sequence[str]
    port: int
    cname: str
    stream: str
    tcp: bool = False  # the same port by TCP as well


def _h264_rank(offered: Format) -> int:
    profile = (offered.parameter("profile-level-id") or "420010").lower()[:4]
    return _H264_PROFILES.index(profile) if profile in _H264_PROFILES else len(_H264_PROFILES)


def credentials(description: Description, media: Media, of: str) -> tuple[str, str]:
    """ICE's user fragment and password, a section's own before the session's (RFC 8839 §5.4). Raises SdpError."""
    ufrag = media.value("ice-ufrag") or description.value("ice-ufrag")
    pwd = media.value("ice-pwd") or description.value("ice-pwd")
    if not ufrag or not pwd or len(ufrag) > 256 or len(pwd) > 256:
        raise SdpError(f"{of} has no ICE credentials", media.line)
    return ufrag, pwd


def fingerprints(values: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Algorithm, in lower case, and digest of certificates (RFC 8122 §5); at most 8 of them."""
    found = (value.partition(" ") for value in values[:MAX_FINGERPRINTS])
    return tuple((algorithm.lower(), digest.strip()) for algorithm, _, digest in found)


def strong(prints: Sequence[tuple[str, str]]) -> bool:
    """Whether one of these fingerprints can be relied on."""
    return any(algorithm in ("sha-256", "sha-384", "sha-512") for algorithm, _ in prints)


def _transport(description: Description, media: Media) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    ufrag, pwd = credentials(description, media, "offer")
    prints = fingerprints(media.values("fingerprint") or description.values("fingerprint"))
    if not strong(prints):
        raise SdpError("offer has no fingerprint of sha-256, sha-384 or sha-512", media.line)
    setup = media.value("setup") or description.value("setup") or "actpass"
    if setup not in ("actpass", "active"):
        raise SdpError("offer must let the client open DTLS (setup actpass or active)", media.line)
    return ufrag, pwd, prints


def read_offer(text: str) -> Offer:
    """Read a client's offer. Raises SdpError for what no answer could repair."""
    description = parse(text)
    if description.value("ice-lite") is not None:
        raise SdpError("both sides would be ICE-lite")
    live = [m for m in description.media if m.kind in ("audio", "video") and _live(m)]
    if not live:
        raise SdpError("offer has no audio or video section")
    ufrag, pwd, prints = _transport(description, live[0])
    bundle = description.bundle()
    sections = []
    for index, media in enumerate(description.media):
        mid = media.value("mid") or ""
        if len(mid) > 32:
            raise SdpError("mid is too long", media.line)
        together = media is live[0] or mid in bundle  # one transport: what is not bundled is refused
        usable = media in live and together and media.value("rtcp-mux") is not None
        formats = media.formats() if usable else ()
        sections.append(
            Section(
                index, mid, media.kind, media.protocol, media.format_ids, media.direction, formats, usable,
                extensions_of(media), media.simulcast() if media.kind == "video" else (), media.repairs(),
            )
        )  # fmt: skip
    return Offer(ufrag, pwd, prints, tuple(sections))


def extensions_of(media: Media) -> dict[str, int]:
    """What we know of the section's header extensions; ids above 14 would need the two-byte form."""
    offered = media.extensions()
    ids = {name: offered[uri] for name, uri in EXTENSIONS.items() if uri in offered}
    return {name: id for name, id in ids.items() if id < 15}


def _live(media: Media) -> bool:
    return "SAVPF" in media.protocol and (media.port != 0 or media.value("bundle-only") is not None)


def write_answer(offer: Offer, local: Local, tracks: Mapping[int, Track]) -> str:
    """The answer: ``tracks`` maps section indexes to what was accepted, all others are refused (RFC 9429 §5.3)."""
    mids = " ".join(s.mid for s in offer.sections if s.index in tracks)
    lines = [
        "v=0", f"o=- {local.session} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite",
        f"a=group:BUNDLE {mids}", f"a=msid-semantic: WMS {local.stream}",
    ]  # fmt: skip
    for section in offer.sections:
        track = tracks.get(section.index)
        lines += _refused(section) if track is None else _accepted(section, track, local)
    return "\r\n".join(lines) + "\r\n"


def read_fragment(text: str) -> str | None:
    """The new ICE fragment of a PATCH (RFC 8840 §9, RFC 9725 §4.3); ``None`` when it only trickles candidates.

    Candidates are of no use to a lite agent, which sends no checks. Raises SdpError.
    """
    description = parse("v=0\r\n" + text)
    sections = [section for section in description.media if section.port]
    ufrag = next((u for s in sections if (u := s.value("ice-ufrag"))), None) or description.value("ice-ufrag")
    pwd = next((p for s in sections if (p := s.value("ice-pwd"))), None) or description.value("ice-pwd")
    if (ufrag is None) != (pwd is None) or (ufrag is not None and not 4 <= len(ufrag) <= 256):
        raise SdpError("fragment has half of its ICE credentials, or too short ones")
    return ufrag


def tag_matches(header: str, ufrag: str) -> bool:
    """Whether an If-Match names the ICE session of this fragment, by its strong tag (RFC 9110 §13.1.1, §8.8.3)."""
    if header.strip() == ANY_TAG:
        return True
    return f'"{ufrag}"' in (each.strip() for each in header.split(","))


def write_fragment(local: Local, mid: str) -> str:
    """Our side of an ICE restart (RFC 9725 §4.3.2)."""
    lines = [f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}"]
    return "\r\n".join(
        ["a=ice-lite", "m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=mid:{mid}", *lines, *candidate_lines(local), ""]
    )


def candidate_lines(local: Local) -> list[str]:
    """Host candidates, and that there are no more; those by TCP are for clients that get nothing through by UDP.

    RFC 6544 §4.2, §4.5.
    """
    lines = [
        f"a=candidate:{n} 1 udp {2_130_706_431 - n} {ip} {local.port} typ host"
        for n, ip in enumerate(local.addresses, 1)
    ]
    if local.tcp:
        lines += [
            f"a=candidate:{n} 1 tcp {_TCP_PRIORITY - (n << 8)} {ip} {local.port} typ host tcptype passive"
            for n, ip in enumerate(local.addresses, len(local.addresses) + 1)
        ]
    return [*lines, "a=end-of-candidates"]


def _refused(section: Section) -> list[str]:
    lines = [f"m={section.kind} 0 {section.protocol} {section.format_ids[0]}", "c=IN IP4 0.0.0.0", "a=inactive"]
    return [*lines, f"a=mid:{section.mid}"] if section.mid else lines


def _accepted(section: Section, track: Track, local: Local) -> list[str]:
    fmt, pt = track.format, track.format.payload_type
    channels = f"/{fmt.channels}" if fmt.channels > 1 else ""
    name = {"opus": "opus"}.get(fmt.encoding, fmt.encoding.upper())
    address = local.addresses[0]
    lines = [
        f"m={section.kind} {local.port} {section.protocol} {pt}" + (f" {track.rtx}" if track.rtx is not None else ""),
        f"c=IN {'IP6' if ':' in address else 'IP4'} {address}",
        f"a=mid:{section.mid}",
        f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}",
        f"a=fingerprint:{local.fingerprint[0]} {local.fingerprint[1]}", "a=setup:passive",
        "a=rtcp-mux", "a=rtcp-rsize",
        "a=sendonly" if track.ssrc is not None else "a=recvonly",
        f"a=rtpmap:{pt} {name}/{fmt.clock_rate}{channels}",
    ]  # fmt: skip
    if fmt.fmtp:
        lines.append(f"a=fmtp:{pt} {fmt.fmtp}")
    replies = (*(_FEEDBACK if track.repeats else _FEEDBACK[1:]), *track.feedback)
    lines += [f"a=rtcp-fb:{pt} {kind}" for kind in replies if kind in fmt.feedback]
    lines += _extras(track, pt) + _sources(track, local, section.kind)
    return lines + candidate_lines(local)


def _extras(track: Track, pt: int) -> list[str]:
    """Retransmission, header extensions and layers that were accepted."""
    lines: list[str] = []
    if track.rtx is not None:
        lines += [f"a=rtpmap:{track.rtx} rtx/{track.format.clock_rate}", f"a=fmtp:{track.rtx} apt={pt}"]
    lines += [f"a=extmap:{id} {EXTENSIONS[name]}" for name, id in track.extensions.items()]
    if track.rids:
        lines += [f"a=rid:{rid} recv" for rid in track.rids] + [f"a=simulcast:recv {';'.join(track.rids)}"]
    return lines


def _sources(track: Track, local: Local, kind: str) -> list[str]:
    """What we send, the repaired SSRC in front of the repairing one: Chromium takes the first for the picture."""
    if track.ssrc is None:
        return []
    lines = [f"a=msid:{local.stream} {kind}"]
    if track.rtx_ssrc is not None:
        lines.append(f"a=ssrc-group:FID {track.ssrc} {track.rtx_ssrc}")
    ssrcs = [track.ssrc, *([track.rtx_ssrc] if track.rtx_ssrc is not None else [])]
    return lines + [f"a=ssrc:{ssrc} cname:{local.cname}" for ssrc in ssrcs]
