"""Addresses of SIP: URIs, name-addr, Via, and lists of them (RFC 3261 §19.1, §20, §25.1).

Written for devices as they are: a host that is digits only (``3402000000``) is legal here, an underscore too.
Everything is bounded by the line length that ``message`` allows, and no pattern backtracks over more than a token.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

MAX_CACHED: Final = 256  # characters: longer texts are parsed each time, so that nobody fills the memory
MAX_PARAMS: Final = 64

Params: TypeAlias = tuple[tuple[str, str | None], ...]
"""Names in lower case, values as they came (quotes included), None for a bare flag."""

_SIP: Final = re.compile(
    r"(sips?):(?:([^@:\s<>\"]+)(?::([^@\s<>\"]*))?@)?"
    r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(;[^?@\s<>\"]*)?(?:\?([^@\s<>\"]*))?",
    re.IGNORECASE,
)
_OTHER: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([^\s<>\"]+)")
_PARAM: Final = re.compile(
    r"\s*;\s*([A-Za-z0-9\-.!%*_+`'~]+)(?:\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^;\s\",<>]*))?\s*", re.DOTALL
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_VIA: Final = re.compile(
    r"([A-Za-z0-9\-.!%*_+`'~]+)\s*/\s*([A-Za-z0-9.]+)\s*/\s*([A-Za-z0-9\-]+)\s+"
    r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]+)(?:\s*:\s*([0-9]{1,5}))?\s*"
)


class SipError(ValueError):
    """What came is not SIP. ``offset`` is the byte (of the message) where that shows, as near as is known;
    ``status`` what a request of this kind is answered with (RFC 3261 §21.4)."""

    def __init__(self, message: str, *, offset: int = 0, status: int = 400) -> None:
        super().__init__(f"{message} (byte {offset})")
        self.offset = offset
        self.status = status


def is_token(text: str) -> bool:
    """Whether the text is one token (RFC 3261 §25.1)."""
    return _TOKEN.fullmatch(text) is not None


def unquoted(text: str) -> str:
    """Contents of a quoted string; anything else as it is."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def quoted(text: str) -> str:
    """A quoted string of the text, without control characters (RFC 3261 §25.1)."""
    return '"' + "".join(c for c in text if c >= " ").replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_params(text: str) -> Params:
    """``;a;b=c;d="e"``. Raises SipError."""
    found: list[tuple[str, str | None]] = []
    at, size = 0, len(text)
    while at < size:
        match = _PARAM.match(text, at)
        if match is None:
            if not text[at:].strip(" \t;"):  # devices end with a lone semicolon
                break
            raise SipError("parameter is malformed")
        if len(found) == MAX_PARAMS:
            raise SipError("too many parameters")
        found.append((match[1].lower(), match[2]))
        at = match.end()
    return tuple(found)


def show_params(params: Params) -> str:
    """The inverse of ``parse_params``."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def param(params: Params, name: str) -> str | None:
    """First value of a parameter, unquoted; "" for a bare flag, None when it is missing."""
    for key, value in params:
        if key == name:
            return "" if value is None else unquoted(value)
    return None


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP URI, or one of another scheme, of which only ``scheme`` and ``opaque`` are known (RFC 3261 §19.1)."""

    scheme: str
    user: str
    host: str
    port: int | None = None
    params: Params = ()
    headers: str = ""
    password: str | None = None
    opaque: str = ""

    def param(self, name: str) -> str | None:
        """Value of a URI parameter; "" for a bare flag, None when it is missing."""
        return param(self.params, name)

    @property
    def lr(self) -> bool:
        """Whether a route of this URI is a loose one (RFC 3261 §19.1.1)."""
        return self.param("lr") is not None

    def __str__(self) -> str:
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        user = self.user if self.password is None else f"{self.user}:{self.password}"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{'@' if user else ''}{self.host}{port}{show_params(self.params)}{headers}"


def sip_uri(user: str, host: str, port: int | None = None) -> str:
    """``sip:user@host:port`` as text."""
    return f"sip:{user}@{host}" if port is None else f"sip:{user}@{host}:{port}"


def _parse_uri(text: str) -> Uri:
    match = _SIP.fullmatch(text)
    if match is not None:
        scheme, user, password, host, port, params, headers = match.groups()
        number = int(port) if port else None
        if number is not None and number > 65_535:
            raise SipError("port of a URI is out of range")
        pairs = _uri_params(params) if params else ()
        return Uri(scheme.lower(), user or "", host, number, pairs, headers or "", password)
    other = _OTHER.fullmatch(text)
    if other is None or other[1].lower() in ("sip", "sips"):
        raise SipError("URI is malformed")
    return Uri(other[1].lower(), "", "", opaque=other[2])


def _uri_params(text: str) -> Params:
    """Parameters of a URI may hold characters that those of a header may not, like a colon or a bracket."""
    parts = text[1:].split(";")
    if len(parts) > MAX_PARAMS:
        raise SipError("too many parameters")
    pairs = (part.partition("=") for part in parts if part)
    return tuple((name.lower(), value if equals else None) for name, equals, value in pairs)


_cached_uri = lru_cache(maxsize=32_768)(_parse_uri)  # a city's devices, at most 30 MB


def parse_uri(text: str) -> Uri:
    """A URI without brackets (RFC 3261 §25.1). Raises SipError."""
    return _cached_uri(text) if len(text) <= MAX_CACHED else _parse_uri(text)


@dataclass(frozen=True, slots=True)
class NameAddr:
    """What stands in From, To, Contact, Route (RFC 3261 §20.10): display name, URI, parameters of the header."""

    uri: Uri
    params: Params = ()
    display: str = ""

    @property
    def tag(self) -> str | None:
        """The dialog's tag on this side; None without."""
        return param(self.params, "tag")

    def param(self, name: str) -> str | None:
        """Value of a header parameter; "" for a bare flag, None when it is missing."""
        return param(self.params, name)

    def with_tag(self, tag: str) -> "NameAddr":
        """The same address with this tag."""
        rest = tuple(pair for pair in self.params if pair[0] != "tag")
        return NameAddr(self.uri, (*rest, ("tag", tag)), self.display)

    def __str__(self) -> str:
        display = f"{quoted(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{show_params(self.params)}"


def parse_name_addr(text: str) -> NameAddr:
    """One name-addr or addr-spec with parameters. Raises SipError."""
    text = text.strip()
    display = ""
    if text.startswith('"'):
        match = _QUOTED.match(text)
        if match is None:
            raise SipError("quotes are not balanced")
        display, text = unquoted(match[0]), text[match.end() :].lstrip()
        if not text.startswith("<"):
            raise SipError("no URI behind the display name")
    opening = text.find("<")
    if opening < 0:
        # Without brackets the parameters belong to the header (RFC 3261 §20), and a question mark may not stand there.
        spec, semicolon, rest = text.partition(";")
        if "?" in spec or "," in spec:
            raise SipError("URI with headers needs brackets")
        return NameAddr(parse_uri(spec.rstrip()), parse_params(semicolon + rest))
    if opening:
        display = text[:opening].strip()
        if '"' in display or ";" in display or ":" in display:
            raise SipError("display name is malformed")
    closing = text.find(">", opening)
    if closing < 0:
        raise SipError("bracket is not closed")
    rest = text[closing + 1 :].strip()
    if rest and rest[0] != ";":
        raise SipError("text behind the bracket")
    return NameAddr(parse_uri(text[opening + 1 : closing].strip()), parse_params(rest), display)


@dataclass(frozen=True, slots=True)
class Via:
    """One hop (RFC 3261 §20.42, RFC 3581)."""

    transport: str  # upper case
    host: str
    port: int | None
    params: Params = ()

    @property
    def branch(self) -> str:
        """The transaction's name; "" without."""
        return param(self.params, "branch") or ""

    @property
    def sent_by(self) -> str:
        """host:port as the sender names itself, in lower case, the port always there."""
        return f"{self.host.lower()}:{self.port or 5060}"

    def param(self, name: str) -> str | None:
        """Value of a parameter; "" for a bare flag, None when it is missing."""
        return param(self.params, name)

    def received_from(self, host: str, port: int) -> "Via":
        """As the receiver notes where it really came from (RFC 3261 §18.2.1, RFC 3581 §4)."""
        rest = tuple(pair for pair in self.params if pair[0] not in ("received", "rport"))
        wanted = any(name == "rport" for name, _ in self.params)
        noted: Params = (("rport", str(port)),) if wanted else ()
        if wanted or host != self.host:
            noted = (*noted, ("received", host))
        return Via(self.transport, self.host, self.port, rest + noted)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{show_params(self.params)}"


def parse_via(text: str) -> Via:
    """One Via value. Raises SipError."""
    match = _VIA.match(text)
    if match is None:
        raise SipError("Via is malformed")
    protocol, version, transport, host, port = match.groups()
    if protocol.upper() != "SIP" or version != "2.0":
        raise SipError("Via of another protocol")
    number = int(port) if port else None
    if number is not None and not 0 < number < 65_536:
        raise SipError("port of a Via is out of range")
    return Via(transport.upper(), host, number, parse_params(text[match.end() :]))


def split_list(text: str) -> list[str]:
    """Cut at the commas that stand neither in quotes nor in brackets; empty elements are passed over."""
    if "," not in text:
        return [text]
    found, begin, at, size, inside = [], 0, 0, len(text), False
    while at < size:
        char = text[at]
        if char == '"':
            match = _QUOTED.match(text, at)
            if match is None:
                raise SipError("quotes are not balanced")
            at = match.end()
            continue
        if char == "<":
            inside = True
        elif char == ">":
            inside = False
        elif char == "," and not inside:
            found.append(text[begin:at].strip())
            begin = at + 1
        at += 1
    found.append(text[begin:].strip())
    return [part for part in found if part]
