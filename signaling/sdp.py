"""The one SDP parser (RFC 8866): text in, sections and attributes out. Bounded in every direction."""

from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_BYTES: Final = 65_536
MAX_LINES: Final = 4_096
MAX_LINE: Final = 4_096
MAX_MEDIA: Final = 32
MAX_FORMATS: Final = 128
MAX_EXTENSIONS: Final = 32
MAX_FEEDBACK: Final = 32  # of one format, and of all of a section
MAX_RIDS: Final = 4
MAX_RID: Final = 16  # what the one-byte form of a header extension holds
DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


class Limits(NamedTuple):
    """How much a description may hold."""

    characters: int = MAX_BYTES
    lines: int = MAX_LINES
    media: int = MAX_MEDIA


USUAL: Final = Limits()


class SdpError(ValueError):
    """The description is not usable. ``line`` counts from 1; 0 when no single line is to blame."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"{message} (line {line})" if line else message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Attribute:
    """One ``a=name`` or ``a=name:value`` line."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type of a section (RFC 8866 §6.6, §6.15; RFC 4585 §4.2)."""

    payload_type: int
    encoding: str  # lower case
    clock_rate: int
    channels: int
    fmtp: str
    feedback: tuple[str, ...]

    def parameter(self, name: str) -> str | None:
        """Value of one fmtp parameter, names compared without case; ``None`` when it is missing."""
        for part in self.fmtp.split(";"):
            key, _, value = part.strip().partition("=")
            if key.lower() == name.lower():
                return value.strip()
        return None


class _Attributes:
    """What the session level and a media section have in common."""

    __slots__ = ()
    attributes: tuple[Attribute, ...]

    def value(self, name: str) -> str | None:
        """First value of an attribute ("" for a bare flag), ``None`` when absent."""
        return next((a.value for a in self.attributes if a.name == name), None)

    def values(self, name: str) -> tuple[str, ...]:
        """All values of an attribute, in order."""
        return tuple(a.value for a in self.attributes if a.name == name)


@dataclass(frozen=True, slots=True)
class Media(_Attributes):
    """One ``m=`` section."""

    kind: str
    port: int
    protocol: str
    format_ids: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    line: int
    lines: tuple[tuple[str, str], ...] = ()
    """The other lines of the section, as c= and b=, and y= and f= of GB/T 28181, which stand behind everything."""

    def value_of(self, letter: str) -> str | None:
        """Value of the first line of that letter (no m= or a=), None when absent."""
        return next((value for name, value in self.lines if name == letter), None)

    @property
    def direction(self) -> str:
        """sendrecv unless told (RFC 8866 §6.7)."""
        return next((a.name for a in self.attributes if a.name in DIRECTIONS), "sendrecv")

    def formats(self) -> tuple[Format, ...]:
        """Dynamic and static formats of the section, in order of preference; unknown static ones are left out."""
        maps = dict(_numbered(self.values("rtpmap")))
        fmtps = dict(_numbered(self.values("fmtp")))
        feedback: dict[str, list[str]] = {}
        for pt, value in _numbered(self.values("rtcp-fb")):
            feedback.setdefault(pt, []).append(value)
        common = feedback.get("*", [])[:MAX_FEEDBACK]
        found = []
        for text in self.format_ids:
            rtpmap = maps.get(text) or _STATIC.get(text)
            if rtpmap is None or not text.isdecimal() or int(text) > 127:
                continue
            encoding, clock, channels = _rtpmap(rtpmap, self.line)
            replies = (*feedback.get(text, [])[:MAX_FEEDBACK], *common)
            found.append(Format(int(text), encoding, clock, channels, fmtps.get(text, ""), replies))
        return tuple(found)

    def extensions(self) -> dict[str, int]:
        """Header extensions by URI (RFC 8285 §8); an id outside 1..255 and a second id of one URI are passed over."""
        found: dict[str, int] = {}
        for value in self.values("extmap")[:MAX_EXTENSIONS]:
            number, _, rest = value.partition(" ")
            number, uri = number.partition("/")[0], (rest.split() or [""])[0]
            if number.isascii() and number.isdecimal() and len(number) < 4 and 0 < int(number) < 256 and uri:
                found.setdefault(uri, int(number))
        return found

    def simulcast(self) -> tuple[str, ...]:
        """Restriction ids that the other side sends, in its order (RFC 8853 §5.1); of alternatives the first.

        A rid counts only where a line of its own describes it (RFC 8851 §10).
        """
        described = {words[0] for v in self.values("rid") if len(words := v.split()) > 1 and words[1] == "send"}
        words = (self.value("simulcast") or "").split()
        pairs = dict(zip(words[::2], words[1::2], strict=False))
        rids = [choice.split(",")[0].removeprefix("~") for choice in pairs.get("send", "").split(";")]
        good = [rid for rid in dict.fromkeys(rids) if rid in described and len(rid) <= MAX_RID and rid.isalnum()]
        return tuple(good[:MAX_RIDS])

    def repairs(self) -> dict[int, int]:
        """SSRC of a retransmission stream to the SSRC that it repairs (RFC 5576 §4.2, FID of RFC 4588)."""
        found: dict[int, int] = {}
        for value in self.values("ssrc-group")[:MAX_FORMATS]:
            semantics, *ssrcs = value.split()
            if semantics == "FID" and len(ssrcs) == 2 and all(s.isdecimal() and len(s) < 11 for s in ssrcs):
                found[int(ssrcs[1])] = int(ssrcs[0])
        return found


@dataclass(frozen=True, slots=True)
class Description(_Attributes):
    """A whole session description."""

    attributes: tuple[Attribute, ...]
    media: tuple[Media, ...]
    lines: tuple[tuple[str, str], ...] = ()
    """The session's other lines, in order: o=, s=, u=, c=, t= and what there is."""

    def value_of(self, letter: str) -> str | None:
        """Value of the session's first line of that letter, None when absent."""
        return next((value for name, value in self.lines if name == letter), None)

    def bundle(self) -> tuple[str, ...]:
        """The mids of the first BUNDLE group (RFC 9143), empty when there is none."""
        for group in self.values("group"):
            semantics, *mids = group.split() or ("",)
            if semantics == "BUNDLE":
                return tuple(mids)
        return ()


_STATIC: Final = {"0": "PCMU/8000", "8": "PCMA/8000"}  # RFC 3551 §6; others are of no use here


def _numbered(values: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = (value.split(None, 1) for value in values)
    return [(pair[0], pair[1].strip()) for pair in pairs if len(pair) == 2]


def _rtpmap(text: str, line: int) -> tuple[str, int, int]:
    name, *rest = text.split("/")
    if not rest or not rest[0].isascii() or not rest[0].isdecimal() or len(rest[0]) > 9:
        raise SdpError("rtpmap has no clock rate", line)
    channels = int(rest[1]) if len(rest) > 1 and rest[1].isascii() and rest[1].isdecimal() and len(rest[1]) < 4 else 1
    return name.lower(), int(rest[0]), channels


def _media(value: str, line: int) -> tuple[str, int, str, tuple[str, ...]]:
    parts = value.split()
    if len(parts) < 4:
        raise SdpError("m= line has fewer than four parts", line)
    port = parts[1].split("/")[0]
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65_535:
        raise SdpError("m= line has no port", line)
    if len(parts) - 3 > MAX_FORMATS:
        raise SdpError("m= line has too many formats", line)
    return parts[0], int(port), parts[2], tuple(parts[3:])


def _lines(text: str, limits: Limits) -> list[tuple[int, str, str]]:
    if len(text) > limits.characters:
        raise SdpError("description is too long")
    rows = text.replace("\r\n", "\n").split("\n")
    if len(rows) > limits.lines:
        raise SdpError("description has too many lines")
    found = []
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        if len(row) > MAX_LINE:
            raise SdpError("line is too long", number)
        if len(row) < 2 or row[1] != "=" or "\0" in row or "\r" in row:
            raise SdpError("line is not of the form x=value", number)
        found.append((number, row[0], row[2:]))
    return found


def parse(text: str, limits: Limits = USUAL) -> Description:
    """Parse one description (RFC 8866 §5). Raises SdpError with the line."""
    lines = _lines(text, limits)
    if not lines or lines[0][1:] != ("v", "0"):
        raise SdpError("description does not begin with v=0", lines[0][0] if lines else 0)
    session: list[Attribute] = []
    others: list[tuple[str, str]] = []
    sections: list[tuple[tuple[str, int, str, tuple[str, ...]], int, list[Attribute], list[tuple[str, str]]]] = []
    for number, letter, value in lines[1:]:
        if letter == "m":
            if len(sections) == limits.media:
                raise SdpError("description has too many media sections", number)
            sections.append((_media(value, number), number, [], []))
        elif letter == "a":
            name, _, rest = value.partition(":")
            (sections[-1][2] if sections else session).append(Attribute(name.strip(), rest.strip()))
        else:
            (sections[-1][3] if sections else others).append((letter, value.strip()))
    media = tuple(
        Media(kind, port, protocol, formats, tuple(attributes), number, tuple(lines))
        for (kind, port, protocol, formats), number, attributes, lines in sections
    )
    return Description(tuple(session), media, tuple(others))
