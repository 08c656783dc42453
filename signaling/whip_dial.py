"""The client's half of WHIP and WHEP, as one relay speaks to another: an offer of ours, and what the answer says."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from signaling.sdp import Format, Media, SdpError, parse
from signaling.whip import EXTENSIONS, Section, credentials, fingerprints

MAX_CANDIDATES: Final = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """One section of our offer. ``ssrc`` and ``rtx_ssrc`` are ours, where we send."""

    kind: str
    direction: str  # "recvonly", "sendonly"
    formats: Sequence[Format]
    extensions: Mapping[str, int] = field(default_factory=dict)  # names of signaling.whip.EXTENSIONS to ids
    ssrc: int | None = None
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer of an ICE-lite, DTLS-passive peer says. A section that was refused is not ``usable``."""

    ufrag: str
    pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    candidates: tuple[tuple[str, int], ...]  # UDP, in the other side's order
    sections: tuple[Section, ...]


def write_offer(
    ufrag: str, pwd: str, fingerprint: tuple[str, str], session: int, asked: Sequence[Asked], *, name: str
) -> str:
    """Our offer; we open ICE and DTLS, so it holds no candidate. ``name`` is the cname of what we send."""
    mids = " ".join(str(n) for n in range(len(asked)))
    lines = ["v=0", f"o=- {session} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    for mid, section in enumerate(asked):
        lines += _section(mid, section, name)
        lines += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}"]
        lines += [f"a=fingerprint:{fingerprint[0]} {fingerprint[1]}", "a=setup:active"]
    return "\r\n".join(lines) + "\r\n"


def _section(mid: int, asked: Asked, name: str) -> list[str]:
    types = " ".join(str(format.payload_type) for format in asked.formats)
    lines = [f"m={asked.kind} 9 UDP/TLS/RTP/SAVPF {types}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}"]
    lines += [f"a={asked.direction}", "a=rtcp-mux", "a=rtcp-rsize"]
    for format in asked.formats:
        pt, channels = format.payload_type, f"/{format.channels}" if format.channels > 1 else ""
        encoding = format.encoding if format.encoding in ("opus", "rtx") else format.encoding.upper()
        lines.append(f"a=rtpmap:{pt} {encoding}/{format.clock_rate}{channels}")
        if format.fmtp:
            lines.append(f"a=fmtp:{pt} {format.fmtp}")
        lines += [f"a=rtcp-fb:{pt} {reply}" for reply in format.feedback]
    lines += [f"a=extmap:{id} {EXTENSIONS[extension]}" for extension, id in asked.extensions.items()]
    if asked.ssrc is not None:
        if asked.rtx_ssrc is not None:
            lines.append(f"a=ssrc-group:FID {asked.ssrc} {asked.rtx_ssrc}")
        ssrcs = [asked.ssrc, *([asked.rtx_ssrc] if asked.rtx_ssrc is not None else [])]
        lines += [f"a=ssrc:{ssrc} cname:{name}" for ssrc in ssrcs]
    return lines


def read_answer(text: str) -> Said:
    """Read the answer to our offer. Raises SdpError when there is nothing to connect to."""
    description = parse(text)
    live = [media for media in description.media if media.port]
    if not live:
        raise SdpError("answer refuses every section")
    first = live[0]
    ufrag, pwd = credentials(description, first, "answer")
    prints = fingerprints(first.values("fingerprint") or description.values("fingerprint"))
    if not prints:
        raise SdpError("answer has no fingerprint", first.line)
    if (first.value("setup") or description.value("setup")) != "passive":
        raise SdpError("answer wants to open DTLS itself", first.line)
    candidates = _candidates(first)
    if not candidates:
        raise SdpError("answer has no UDP candidate", first.line)
    sections = tuple(_answered(index, media) for index, media in enumerate(description.media))
    return Said(ufrag, pwd, prints, candidates, sections)


def _answered(index: int, media: Media) -> Section:
    offered = media.extensions()
    ids = {name: offered[uri] for name, uri in EXTENSIONS.items() if offered.get(uri, 15) < 15}
    usable = media.port != 0
    return Section(
        index, media.value("mid") or "", media.kind, media.protocol, media.format_ids, media.direction,
        media.formats() if usable else (), usable, ids, (), media.repairs(),
    )  # fmt: skip


def _candidates(media: Media) -> tuple[tuple[str, int], ...]:
    """Host candidates over UDP (RFC 8839 §5.1); what cannot be read is passed over."""
    found = []
    for value in media.values("candidate")[:MAX_CANDIDATES]:
        words = value.split()
        if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or not words[5].isdecimal():
            continue
        try:
            address = str(ipaddress.ip_address(words[4]))
        except ValueError:
            continue
        if len(words[5]) < 6 and 0 < int(words[5]) < 65_536:
            found.append((address, int(words[5])))
    return tuple(found)
