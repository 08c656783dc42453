"""Session descriptions and Subject of INVITE (GB/T 28181-2016 9.2, annex C.2, annex F; -2022 annex G): both directions.

On top of ``signaling.sdp`` the lines that only this standard has: ``y=`` (SSRC), ``f=`` (formats), ``u=`` (channel and
type of a playback), and names of sessions.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from signaling import sdp
from signaling.gb28181.errors import GbError
from signaling.gb28181.ssrc import format_y, parse_y
from signaling.gb28181.substream import FORMS, SubForm, attribute

CONTENT_TYPE: Final = "application/sdp"
MAX_BODY: Final = 16_384
Purpose: TypeAlias = Literal["play", "playback", "download", "talk"]
Setup: TypeAlias = Literal["active", "passive", "actpass", ""]
_NAMES: Final[Mapping[str, Purpose]] = {
    "play": "play", "playback": "playback", "download": "download", "talk": "talk",
    "voicebroadcast": "talk", "broadcast": "talk",
}  # fmt: skip
_LINE: Final = re.compile(r"[a-z]=")
_HOST: Final = re.compile(r"[0-9A-Za-z.:_-]{1,64}")
_ENCODING: Final = re.compile(r"[A-Za-z0-9._-]{1,16}")


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload type: 96 PS/90000."""

    number: int
    encoding: str  # upper case: PS, H264, H265, PCMA, SVAC, MPEG4
    clock: int = 90_000


PS: Final = Payload(96, "PS")
OFFERED: Final = (PS, Payload(97, "MPEG4"), Payload(98, "H264"), Payload(99, "H265"))  # 2022 adds H.265
PCMA: Final = Payload(8, "PCMA", 8_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """One description, offer or answer. Times are Unix seconds; ``setup`` is empty on UDP.

    ``ssrc`` None: ``y=`` was missing or zero, so the stream is known by port or connection only.
    """

    owner: str
    host: str
    port: int
    purpose: Purpose = "play"
    kind: Literal["video", "audio"] = "video"
    tcp: bool = False
    setup: Setup = ""
    direction: Literal["sendrecv", "sendonly", "recvonly", "inactive"] = "recvonly"
    payloads: tuple[Payload, ...] = (PS,)
    ssrc: int | None = None
    start_s: int = 0
    end_s: int = 0
    channel: str = ""  # u=: whose recording
    speed: int | None = None  # a=downloadspeed
    size: int | None = None  # a=filesize of the answer, bytes
    stream: int | None = None  # 0 main, 1 sub
    form: SubForm = "streamnumber"  # the line that says so
    format: str = ""  # f=


def write(media: Media) -> bytes:
    """The body. Raises GbError ``gb28181.sdp`` for a host that cannot stand in a line."""
    if not (_HOST.fullmatch(media.host) and re.fullmatch(r"[0-9A-Za-z._-]{1,64}", media.owner)):
        raise GbError("gb28181.sdp", "owner or host cannot stand in a description")
    family = "IP6" if ":" in media.host else "IP4"
    name = {"play": "Play", "playback": "Playback", "download": "Download", "talk": "Talk"}[media.purpose]
    lines = ["v=0", f"o={media.owner} 0 0 IN {family} {media.host}", f"s={name}"]
    if media.channel:
        lines.append(f"u={media.channel}:0")
    timed = media.purpose in ("playback", "download")
    lines += [f"c=IN {family} {media.host}", f"t={media.start_s} {media.end_s}" if timed else "t=0 0"]
    numbers = " ".join(str(each.number) for each in media.payloads)
    lines.append(f"m={media.kind} {media.port} {'TCP/' if media.tcp else ''}RTP/AVP {numbers}")
    lines += [f"a=rtpmap:{each.number} {each.encoding}/{each.clock}" for each in media.payloads]
    lines.append(f"a={media.direction}")
    if media.tcp:
        lines += [f"a=setup:{media.setup or 'passive'}", "a=connection:new"]
    if media.speed is not None:
        lines.append(f"a=downloadspeed:{media.speed}")
    if media.size is not None:
        lines.append(f"a=filesize:{media.size}")
    if media.stream is not None:
        lines.append(attribute(media.form, media.stream))
    if media.ssrc is not None:
        lines.append(f"y={format_y(media.ssrc)}")
    lines.append(f"f={media.format}")
    return ("\r\n".join(lines) + "\r\n").encode()


def parse(body: bytes) -> Media:
    """The first usable section of a description. Raises GbError ``gb28181.sdp``: none, or no address."""
    if len(body) > MAX_BODY:
        raise GbError("gb28181.sdp", "the description is too long")
    rows = [row.strip("\0 \t") for row in body.decode("utf-8", "replace").replace("\r", "\n").split("\n")]
    rows = [row for row in rows if _LINE.match(row)]
    try:
        description = sdp.parse("\r\n".join(rows))
        section = next((each for each in description.media if each.kind in ("video", "audio")), None)
        if section is None:
            raise GbError("gb28181.sdp", "the description offers neither video nor audio")
        payloads = _payloads(section)
    except sdp.SdpError as error:
        raise GbError("gb28181.sdp", f"the description is no SDP: {error}") from None
    single = {row[0]: row[2:].strip() for row in reversed(rows)}  # the first of each letter
    where = [row[2:].split() for row in rows if row.startswith("c=")]
    host = next((parts[2].split("/")[0] for parts in where if len(parts) == 3 and _HOST.fullmatch(parts[2])), "")
    origin = single.get("o", "").split()
    if not host and len(origin) == 6 and _HOST.fullmatch(origin[5]):
        host = origin[5]  # some leave c= out
    if not host:
        raise GbError("gb28181.sdp", "the description names no address")

    def value(name: str) -> str | None:
        found = section.value(name)
        return description.value(name) if found is None else found

    start, end = _times(single.get("t", ""))
    stream, form = _stream(value)
    return Media(
        owner=origin[0][:64] if origin else "",
        host=host,
        port=section.port,
        purpose=_NAMES.get(single.get("s", "").lower(), "play"),
        kind="audio" if section.kind == "audio" else "video",
        tcp="TCP" in section.protocol.upper(),
        setup=_setup(value("setup")),
        direction=_direction(section, description),
        payloads=payloads,
        ssrc=parse_y(single.get("y", "")),
        start_s=start,
        end_s=end,
        channel=single.get("u", "").split(":")[0][:32],
        speed=_number(value("downloadspeed"), 64),
        size=_number(value("filesize"), 2**53),
        stream=stream,
        form=form,
        format=single.get("f", "")[:200],
    )


def _payloads(section: sdp.Media) -> tuple[Payload, ...]:
    found = [Payload(each.payload_type, each.encoding.upper(), each.clock_rate) for each in section.formats()]
    known = {each.number for each in found}
    if "96" in section.format_ids and 96 not in known:  # without rtpmap it is PS to every device
        found.append(PS)
    return tuple(each for each in found if _ENCODING.fullmatch(each.encoding))


def _setup(text: str | None) -> Setup:
    match (text or "").strip().lower():
        case "active":
            return "active"
        case "passive":
            return "passive"
        case "actpass":
            return "actpass"
    return ""


def _direction(
    section: sdp.Media, description: sdp.Description
) -> Literal["sendrecv", "sendonly", "recvonly", "inactive"]:
    for each in (*section.attributes, *description.attributes):
        match each.name:
            case "sendonly":
                return "sendonly"
            case "recvonly":
                return "recvonly"
            case "inactive":
                return "inactive"
    return "sendrecv"


def _times(text: str) -> tuple[int, int]:
    parts = text.split()
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,12}", part) for part in parts):
        return 0, 0
    return int(parts[0]), int(parts[1])


def _number(text: str | None, most: int) -> int | None:
    if text is None or not re.fullmatch(r"\s*[0-9]{1,16}\s*", text) or int(text) > most:
        return None
    return int(text)


def _stream(value: Callable[[str], str | None]) -> tuple[int | None, SubForm]:
    for form in FORMS:
        if form != "streamMode" and (found := _number(value(form), 9)) is not None:
            return found, form
    mode = (value("streamMode") or "").strip().upper()
    return {"MAIN": 0, "SUB": 1}.get(mode), "streamMode" if mode in ("MAIN", "SUB") else "streamnumber"


def subject(sender: str, ssrc: int, receiver: str, number: int = 0) -> str:
    """``sender:ssrc,receiver:number`` (2016 annex L)."""
    return f"{sender}:{format_y(ssrc)},{receiver}:{number}"


def parse_subject(text: str) -> tuple[str, str] | None:
    """(sender, receiver) of a Subject; None: it is none."""
    parts = [part.split(":")[0].strip() for part in text[:200].split(",")]
    return (parts[0][:32], parts[1][:32]) if len(parts) == 2 and all(parts) else None
