"""Offers of a subscriber connection and the answers to them: the hub always offers, so glare cannot arise.

One section a track, all bundled. A section whose track left stays as inactive and is used again (RFC 9429 §5.2.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signaling.sdp import Format, Limits, Media, SdpError, parse
from signaling.whip import (
    EXTENSIONS,
    LEVEL,
    SEND_TIME,
    TRANSPORT,
    Local,
    Section,
    candidate_lines,
    extensions_of,
    fingerprints,
    strong,
)

MAX_SECTIONS: Final = 128  # 64 tracks of picture and sound
MAX_ANSWER: Final = 131_072  # characters
_ANSWER: Final = Limits(MAX_ANSWER, 16_384, MAX_SECTIONS)
_LOSS: Final = ("nack", "nack pli", "ccm fir")
_RATE: Final = ("transport-cc", "goog-remb")
_IDS: Final[Mapping[str, int]] = {LEVEL: 1, SEND_TIME: 2, TRANSPORT: 3}


@dataclass(frozen=True, slots=True)
class Payload:
    """How a codec is offered. ``rtx`` is the payload type of its retransmissions."""

    format: Format
    rtx: int | None = None


_H264: Final = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
_H265: Final = "level-id=153;profile-id=1;tier-flag=0;tx-mode=SRST"
PAYLOADS: Final[Mapping[str, Payload]] = {
    "h264": Payload(Format(102, "h264", 90_000, 1, _H264, (*_LOSS, *_RATE)), 103),
    "vp8": Payload(Format(96, "vp8", 90_000, 1, "", (*_LOSS, *_RATE)), 97),
    "h265": Payload(Format(104, "h265", 90_000, 1, _H265, (*_LOSS, *_RATE)), 105),
    "opus": Payload(Format(111, "opus", 48_000, 2, "minptime=10;useinbandfec=1", ("transport-cc",))),
    "pcma": Payload(Format(8, "pcma", 8_000, 1, "", ("transport-cc",))),
    "pcmu": Payload(Format(0, "pcmu", 8_000, 1, "", ("transport-cc",))),
}
"""One payload type means one codec in all sections of a connection (RFC 9143 §9.1)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One section as offered. ``codec`` is of ``PAYLOADS``; ``ssrc`` 0: nothing is sent there, the section rests."""

    mid: str
    kind: str
    codec: str
    ssrc: int = 0
    rtx_ssrc: int = 0
    stream: str = ""  # what belongs together is played in step


def write_offer(local: Local, revision: int, lines: Sequence[Line]) -> str:
    """The offer. ``lines`` are all sections ever offered on this connection, in their order, and at least one."""
    mids = " ".join(line.mid for line in lines)
    rows = [
        "v=0", f"o=- {local.session} {revision} IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite",
        f"a=group:BUNDLE {mids}", "a=msid-semantic: WMS *",
    ]  # fmt: skip
    for index, line in enumerate(lines):
        rows += _section(line, local, first=index == 0)
    return "\r\n".join(rows) + "\r\n"


def _section(line: Line, local: Local, *, first: bool) -> list[str]:
    payload = PAYLOADS[line.codec]
    fmt, pt = payload.format, payload.format.payload_type
    address = local.addresses[0]
    name = fmt.encoding if fmt.encoding == "opus" else fmt.encoding.upper()
    rtx = f" {payload.rtx}" if payload.rtx is not None else ""
    rows = [
        f"m={line.kind} {local.port} UDP/TLS/RTP/SAVPF {pt}{rtx}",
        f"c=IN {'IP6' if ':' in address else 'IP4'} {address}",
        f"a=mid:{line.mid}", f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}",
        f"a=fingerprint:{local.fingerprint[0]} {local.fingerprint[1]}", "a=setup:actpass",
        "a=rtcp-mux", "a=rtcp-rsize", "a=sendonly" if line.ssrc else "a=inactive",
        f"a=rtpmap:{pt} {name}/{fmt.clock_rate}" + (f"/{fmt.channels}" if fmt.channels > 1 else ""),
        *([f"a=fmtp:{pt} {fmt.fmtp}"] if fmt.fmtp else []),
        *(f"a=rtcp-fb:{pt} {kind}" for kind in fmt.feedback),
    ]  # fmt: skip
    if payload.rtx is not None:
        rows += [f"a=rtpmap:{payload.rtx} rtx/{fmt.clock_rate}", f"a=fmtp:{payload.rtx} apt={pt}"]
    rows += [f"a=extmap:{id} {EXTENSIONS[name]}" for name, id in _IDS.items() if line.kind == "audio" or name != LEVEL]
    if line.ssrc:
        rows.append(f"a=msid:{line.stream} {line.mid}-{line.ssrc}")
        rows += [f"a=ssrc-group:FID {line.ssrc} {line.rtx_ssrc}"] if payload.rtx is not None else []
        ssrcs = [line.ssrc, *([line.rtx_ssrc] if payload.rtx is not None else [])]
        rows += [f"a=ssrc:{ssrc} cname:{local.cname}" for ssrc in ssrcs]
    return rows + (candidate_lines(local) if first else [])


@dataclass(frozen=True, slots=True)
class Answer:
    """What matters of a client's answer. ``sections`` are as many as were offered, with ``usable`` false: refused."""

    ufrag: str
    fingerprints: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    dead: frozenset[int]  # indexes of sections that the client will never use


def read_answer(text: str, mids: Sequence[str]) -> Answer:
    """Read the answer to an offer of sections with these mids. Raises SdpError for what cannot be one."""
    description = parse(text, _ANSWER)
    if len(description.media) != len(mids):
        raise SdpError(f"the answer has {len(description.media)} sections, the offer has {len(mids)}")
    sections = []
    for index, (media, mid) in enumerate(zip(description.media, mids, strict=True)):
        if media.value("mid") not in (mid, *([None] if media.port == 0 else [])):
            raise SdpError("the answer's mid is not that of the offer", media.line)
        usable = media.port != 0 and media.direction in ("recvonly", "sendrecv") and "SAVPF" in media.protocol
        formats = media.formats() if usable else ()
        ids = {name: id for name, id in extensions_of(media).items() if _IDS.get(name) == id}
        sections.append(
            Section(index, mid, media.kind, media.protocol, media.format_ids, media.direction, formats, usable, ids)
        )
    first = next((m for m in description.media if m.port != 0), None)
    if first is None:
        raise SdpError("the answer refuses every section")
    ufrag, prints = _transport(
        [first.value("ice-ufrag"), description.value("ice-ufrag")],
        [*first.values("fingerprint"), *description.values("fingerprint")],
        first,
    )
    if (first.value("setup") or description.value("setup")) != "active":
        raise SdpError("the answer must open DTLS itself (setup active)", first.line)
    dead = frozenset(index for index, media in enumerate(description.media) if media.port == 0)
    return Answer(ufrag, prints, tuple(sections), dead)


def _transport(
    fragments: Sequence[str | None], prints: Sequence[str], media: Media
) -> tuple[str, tuple[tuple[str, str], ...]]:
    ufrag = next((u for u in fragments if u), None)
    if ufrag is None or not 4 <= len(ufrag) <= 256:
        raise SdpError("the answer has no ICE fragment, or a wrong one", media.line)
    found = fingerprints(prints)
    if not strong(found):
        raise SdpError("the answer has no fingerprint of sha-256, sha-384 or sha-512", media.line)
    return ufrag, tuple(dict.fromkeys(found))
