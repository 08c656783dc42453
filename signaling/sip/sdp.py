"""Session descriptions of GB/T 28181 (2016 annex F, 2022 annex G): ``signaling.sdp`` with y=, f=, u= and one medium.

Read for devices as they are: y= missing, of six digits, or zero; c= in the section or in the session; setup where none
was asked for; text that is GB18030. What stands in a device's SDP and is not understood is left alone.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from signaling import sdp
from signaling.sdp import SdpError

Session: TypeAlias = Literal["Play", "Playback", "Download", "Talk", "EmbeddedNetDVR"]
PS: Final = "PS/90000"
# What real devices mean by a number without a=rtpmap (2016 C.2.4, and QUIRKS of cameras).
USUAL: Final = {0: "PCMU/8000", 8: "PCMA/8000", 33: "MP2T/90000", 96: PS, 97: "MPEG4/90000", 98: "H264/90000",
                99: "SVAC/90000", 100: "H265/90000"}  # fmt: skip
MAX_SSRC_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class GbSdp:
    """One description with one medium, as both sides of GB/T 28181 send it.

    ``protocol`` is ``RTP/AVP`` or ``TCP/RTP/AVP``; ``setup`` and ``connection`` are "" where they are not said.
    ``ssrc`` is the digits of y= ("" when it is missing); ``start`` and ``stop`` are seconds of Unix time, 0 for live.
    """

    owner: str  # user of o=: the device's or the platform's identifier
    address: str
    port: int
    session: str = "Play"
    uri: str = ""  # "34020000001320000001:0", for records
    start: int = 0
    stop: int = 0
    kind: str = "video"
    protocol: str = "RTP/AVP"
    formats: tuple[tuple[int, str], ...] = ((96, PS),)  # payload type, encoding/clock
    direction: str = "recvonly"
    setup: str = ""
    connection: str = ""
    ssrc: str = ""
    f: str | None = None
    download_speed: int | None = None
    file_size: int | None = None
    more: tuple[tuple[str, str], ...] = ()  # other attributes, in order

    @property
    def tcp(self) -> bool:
        """Whether the media goes over TCP."""
        return self.protocol.upper().startswith("TCP")

    @property
    def ssrc_number(self) -> int | None:
        """The SSRC as RTP carries it; None when it is missing, zero or senseless: know the sender by its port then."""
        if not self.ssrc.isascii() or not self.ssrc.isdecimal() or len(self.ssrc) > MAX_SSRC_DIGITS:
            return None
        number = int(self.ssrc)
        return number if 0 < number < 2**32 else None

    def encode(self) -> bytes:
        """As it goes into a body; y= and f= last. Raises SdpError: a line break in a value."""
        lines = ["v=0", f"o={self.owner} 0 0 IN {_ip(self.address)}", f"s={self.session}"]
        if self.uri:
            lines.append(f"u={self.uri}")
        lines += [f"c=IN {_ip(self.address)}", f"t={self.start} {self.stop}"]
        numbers = " ".join(str(number) for number, _ in self.formats)
        lines += [f"m={self.kind} {self.port} {self.protocol} {numbers}", f"a={self.direction}"]
        lines += [f"a=rtpmap:{number} {encoding}" for number, encoding in self.formats]
        for name, value in (("setup", self.setup), ("connection", self.connection)):
            if value:
                lines.append(f"a={name}:{value}")
        if self.download_speed is not None:
            lines.append(f"a=downloadspeed:{self.download_speed}")
        if self.file_size is not None:
            lines.append(f"a=filesize:{self.file_size}")
        lines += [f"a={name}:{value}" if value else f"a={name}" for name, value in self.more]
        if self.ssrc:
            lines.append(f"y={self.ssrc}")
        if self.f is not None:
            lines.append(f"f={self.f}")
        if any("\r" in line or "\n" in line or "\0" in line for line in lines):
            raise SdpError("line break inside a value")
        return ("\r\n".join(lines) + "\r\n").encode()


_KNOWN: Final = frozenset((*sdp.DIRECTIONS, "rtpmap", "setup", "connection", "downloadspeed", "filesize"))


def _ip(address: str) -> str:
    return f"{'IP6' if ':' in address else 'IP4'} {address}"


def parse_gb(body: bytes) -> GbSdp:
    """A description of a device or a platform; of several media the first with a port. Raises SdpError."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("gb18030", "replace")
    found = sdp.parse(text)
    if not found.media:
        raise SdpError("no medium")
    media = next((each for each in found.media if each.port), found.media[0])
    origin = (found.value_of("o") or "").split()
    start, stop = _times(found.value_of("t"))
    y = _last(found, media, "y") or ""
    return GbSdp(
        owner=origin[0] if origin else "",
        address=_address(media.value_of("c") or found.value_of("c")) or (origin[5] if len(origin) > 5 else ""),
        port=media.port,
        session=found.value_of("s") or "",
        uri=found.value_of("u") or "",
        start=start,
        stop=stop,
        kind=media.kind,
        protocol=media.protocol,
        formats=_formats(media),
        direction=media.direction,
        setup=(media.value("setup") or found.value("setup") or "").lower(),
        connection=(media.value("connection") or found.value("connection") or "").lower(),
        ssrc=y if y.isascii() and y.isdecimal() else "",
        f=_last(found, media, "f"),
        download_speed=_number(media.value("downloadspeed")),
        file_size=_number(media.value("filesize")),
        more=tuple((each.name, each.value) for each in media.attributes if each.name not in _KNOWN),
    )


def _last(found: sdp.Description, media: sdp.Media, letter: str) -> str | None:
    """y= and f= stand behind the last medium, whichever that is, or in the session."""
    values = (media.value_of(letter), *(each.value_of(letter) for each in found.media), found.value_of(letter))
    return next((value for value in values if value is not None), None)


def _address(connection: str | None) -> str:
    parts = (connection or "").split()
    return parts[2].partition("/")[0] if len(parts) > 2 else ""


def _times(text: str | None) -> tuple[int, int]:
    numbers = [_number(each) or 0 for each in (text or "").split()[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _formats(media: sdp.Media) -> tuple[tuple[int, str], ...]:
    maps = dict(pair for value in media.values("rtpmap") if len(pair := value.split(None, 1)) == 2)
    found = []
    for text in media.format_ids:
        number = _number(text)
        if number is not None and number < 128:
            found.append((number, maps.get(text, USUAL.get(number, "")).strip()))
    return tuple(found)
