"""SIP messages on bytes (RFC 3261 §7): parsed once, serialised safely, bounded in every direction.

Header text is UTF-8; bytes that are not survive a round trip (surrogate escapes). The body is never touched. A parsed
message's headers are checked as far as every receiver needs them (``checked``): a request that fails is a SipError
with the status to answer and, in ``refused``, as much of the request as an answer takes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from signaling.sip.address import (
    NameAddr,
    SipError,
    Uri,
    Via,
    is_token,
    parse_name_addr,
    parse_uri,
    parse_via,
    split_list,
)
from signaling.sip.headers import KEYS, SHOWN, SINGLE, Field, Headers, spelled

MAX_MESSAGE: Final = 2**20  # on a stream; a page of a record list may be long
MAX_HEAD: Final = 65_535
MAX_LINE: Final = 8_192
MAX_HEADERS: Final = 256
MAX_VIAS: Final = 70  # one a hop, and Max-Forwards begins with 70
MAGIC: Final = "z9hG4bK"

_METHODS: Final = "INVITE ACK BYE CANCEL OPTIONS REGISTER INFO MESSAGE SUBSCRIBE NOTIFY UPDATE PRACK REFER PUBLISH"
METHODS: Final = frozenset(_METHODS.split())

REASONS: Final[Mapping[int, str]] = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 204: "No Notification",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
    412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
    422: "Session Interval Too Small", 423: "Interval Too Brief", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete",
    486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event",
    491: "Request Pending", 493: "Undecipherable", 500: "Server Internal Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}  # fmt: skip

_BREAK: Final = re.compile(rb"\r?\n\r?\n")
_CSEQ: Final = re.compile(r"([0-9]{1,10})[ \t]+([A-Za-z0-9\-.!%*_+`'~]+)")
_STATUS: Final = re.compile(r"SIP/([0-9]+\.[0-9]+) +([0-9]{3})(?: (.*))?", re.IGNORECASE)
_VERSION: Final = re.compile(r"SIP/([0-9]+)\.([0-9]+)", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{1,10}")


class CSeq(NamedTuple):
    """RFC 3261 §20.16."""

    number: int
    method: str


@dataclass(slots=True)
class _Message:
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def call_id(self) -> str:
        """ "" when it is missing."""
        return self.headers.get("Call-ID") or ""

    @property
    def cseq(self) -> CSeq:
        """Raises SipError."""
        match = _CSEQ.fullmatch(self.headers.get("CSeq") or "")
        if match is None or int(match[1]) >= 2**31:
            raise SipError("CSeq is malformed")
        return CSeq(int(match[1]), match[2])

    @property
    def from_(self) -> NameAddr:
        """Raises SipError."""
        return parse_name_addr(self.headers.get("From") or "")

    @property
    def to(self) -> NameAddr:
        """Raises SipError."""
        return parse_name_addr(self.headers.get("To") or "")

    @property
    def via(self) -> Via:
        """The top one. Raises SipError."""
        vias = split_list(self.headers.get("Via") or "")
        return parse_via(vias[0] if vias else "")

    @property
    def contact(self) -> NameAddr | None:
        """The first one; None when it is missing or a star. Raises SipError."""
        found = self.headers.all("Contact")
        return parse_name_addr(found[0]) if found and found[0] != "*" else None

    @property
    def content_type(self) -> str:
        """In lower case without parameters; "" when it is missing."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def expires(self) -> int | None:
        """The Expires field in seconds; None when it is missing or senseless."""
        return number_of(self.headers.get("Expires"))


@dataclass(slots=True, kw_only=True)
class Request(_Message):
    """A request (RFC 3261 §7.1). ``uri`` is the Request-URI as text."""

    method: str
    uri: str

    @property
    def target(self) -> Uri:
        """The Request-URI. Raises SipError."""
        return parse_uri(self.uri)

    def encode(self) -> bytes:
        """Bytes to send; Content-Length is set from the body. Raises SipError when a line break hides anywhere."""
        if not is_token(self.method) or " " in self.uri:
            raise SipError("request line would be malformed")
        return _encode(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)

    @property
    def summary(self) -> str:
        """A few words for a trace."""
        return self.method


@dataclass(slots=True, kw_only=True)
class Response(_Message):
    """A response (RFC 3261 §7.2)."""

    status: int
    reason: str = ""

    def encode(self) -> bytes:
        """Bytes to send; Content-Length is set from the body. Raises SipError when a line break hides anywhere."""
        return _encode(f"SIP/2.0 {self.status} {self.reason}", self.headers, self.body)

    @property
    def summary(self) -> str:
        """A few words for a trace."""
        return f"{self.status} {self.reason}".rstrip()


Message: TypeAlias = Request | Response


class Refused(SipError):
    """A request that cannot be taken. ``request`` holds what an answer copies; None when there is nothing to answer."""

    def __init__(self, error: SipError, request: Request | None) -> None:
        super().__init__(str(error).rpartition(" (byte")[0], offset=error.offset, status=error.status)
        self.request = request


def number_of(text: str | None) -> int | None:
    """A bounded count of seconds or bytes; None when it is none (RFC 3261 §25.1 delta-seconds)."""
    if text is None or _DIGITS.fullmatch(text := text.strip(" \t")) is None:
        return None
    return int(text)


def _encode(start: str, headers: Headers, body: bytes) -> bytes:
    lines = [start]
    lines += [f"{name}: {value}" for key, name, value in headers.fields if key != "content-length"]
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    text = "\r\n".join(lines)
    breaks = len(lines) + 1
    if text.count("\r") != breaks or text.count("\n") != breaks:
        raise SipError("line break inside a field")
    return text.encode("utf-8", "surrogateescape") + body


# reading ------------------------------------------------------------------------------------------


def parse(data: bytes) -> Message:
    """One whole message, as a datagram holds it or as ``stream`` cut it (RFC 3261 §7, §18.3).

    Bytes behind Content-Length are cut off. Raises SipError; Refused where it is a request that can be answered.
    """
    if len(data) > MAX_MESSAGE:
        raise SipError("message is too long", offset=MAX_MESSAGE, status=513)
    skipped = len(data)
    data = data.lstrip(b"\r\n")
    skipped -= len(data)
    end = data.find(b"\r\n\r\n")
    after = end + 4
    if end < 0 or b"\n\n" in data[:end]:
        match = _BREAK.search(data)
        end, after = (match.start(), match.end()) if match else (len(data), len(data))
    if end > MAX_HEAD:
        raise SipError("headers are too long", offset=skipped + MAX_HEAD, status=513)
    message = _head(data[:end], skipped)
    message.body = data[after:]
    try:
        checked(message)
    except SipError as error:
        if isinstance(message, Request):
            raise Refused(error, message) from error
        raise
    return message


def _head(head: bytes, offset: int) -> Message:
    text = head.decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        lines = text.replace("\r\n", "\n").split("\n")
        if "\r" in text.replace("\r\n", "\n"):
            raise SipError("bare CR in the headers", offset=offset)
    if len(lines) > MAX_HEADERS:
        raise SipError("too many headers", offset=offset, status=513)
    if len(text) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
        raise SipError("line is too long", offset=offset, status=513)
    fields, failed = _fields(lines, offset)
    message, bad = _start(lines[0], offset)
    message.headers.fields = fields
    if (error := bad or failed) is not None:
        if isinstance(message, Request) and message.method:
            raise Refused(error, message)
        raise error
    return message


def _fields(lines: list[str], offset: int) -> tuple[list[Field], SipError | None]:
    """Every field that can be read, and the first error: an answer to the sender needs the good ones."""
    fields: list[Field] = []
    failed: SipError | None = None
    at = len(lines[0]) + 2
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            if fields:  # folded (RFC 3261 §7.3.1)
                last = fields[-1]
                fields[-1] = Field(last.key, last.name, f"{last.value} {line.strip()}".strip())
            else:
                failed = failed or SipError("first header is folded", offset=offset + at)
        else:
            name, colon, value = line.partition(":")
            try:
                pair = KEYS.get(name) or spelled(name)
                if not colon:
                    raise SipError("header without a colon")
                fields.append(Field(pair[0], pair[1], value.strip(" \t")))
            except SipError as error:
                failed = failed or SipError(str(error).rpartition(" (byte")[0], offset=offset + at)
        at += len(line) + 2
    return fields, failed


def _start(line: str, offset: int) -> tuple[Message, SipError | None]:
    """The start line; what is wrong with it comes back beside a request, so that it can be answered."""
    if line[:4].upper() == "SIP/":
        match = _STATUS.fullmatch(line)
        if match is None or match[1] != "2.0" or not 100 <= int(match[2]) <= 699:
            raise SipError("status line is malformed", offset=offset)
        return Response(status=int(match[2]), reason=match[3] or ""), None
    method, _, rest = line.partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not is_token(method):
        raise SipError("request line is malformed", offset=offset)
    request = Request(method=method, uri=uri)
    found = _VERSION.fullmatch(version)
    if found is None:
        return request, SipError("request line is malformed", offset=offset + len(line) - len(version))
    if (found[1], found[2]) != ("2", "0"):
        return request, SipError("version is not 2.0", offset=offset + len(line) - len(version), status=505)
    if len(uri) > MAX_LINE // 2:
        return request, SipError("Request-URI is too long", offset=offset + len(method) + 1, status=414)
    try:
        scheme = parse_uri(uri).scheme
    except SipError:
        return request, SipError("Request-URI is malformed", offset=offset + len(method) + 1)
    if scheme not in ("sip", "sips", "tel"):
        return request, SipError("scheme of the Request-URI is unknown", offset=offset + len(method) + 1, status=416)
    return request, None


def checked(message: Message) -> None:
    """What every receiver relies on (RFC 3261 §8.1.1, §8.2, §18.3, §20). Raises SipError."""
    seen: dict[str, str] = {}
    vias = 0
    for key, name, value in message.headers.fields:
        if key in seen and key in SINGLE:
            raise SipError(f"{name} is there twice")
        if key == "via":
            vias += 1
        elif key in ("contact", "route", "record-route"):
            for part in split_list(value):
                if part != "*":
                    parse_name_addr(part)
        seen.setdefault(key, value)
    for key in ("via", "from", "to", "call-id", "cseq"):
        if not seen.get(key):
            raise SipError(f"{SHOWN[key]} is missing")
    if vias > MAX_VIAS:
        raise SipError("too many hops", status=483)
    for value in message.headers.all("Via"):
        parse_via(value)
    parse_name_addr(seen["from"])
    parse_name_addr(seen["to"])
    method = message.cseq.method
    if isinstance(message, Request) and method != message.method:
        raise SipError("CSeq names another method", status=400 if message.method in METHODS else 501)
    for key in ("max-forwards", "expires"):
        if key in seen and (_DIGITS.fullmatch(seen[key]) is None or int(seen[key]) >= 2**32):
            raise SipError(f"{SHOWN[key]} is no number")
    if "max-forwards" in seen and int(seen["max-forwards"]) > 255:
        raise SipError("Max-Forwards is out of range")
    length = content_length(seen.get("content-length"))
    if length is not None:
        if length > len(message.body):
            raise SipError("body is shorter than Content-Length")
        message.body = message.body[:length]
    if len(message.body) > MAX_MESSAGE:
        raise SipError("body is too long", status=413)


def content_length(text: str | None) -> int | None:
    """Bytes; None without the field. Raises SipError for what is no length."""
    if text is None:
        return None
    length = number_of(text)
    if length is None:
        raise SipError("Content-Length is no length")
    return length


# building -----------------------------------------------------------------------------------------

_COPIED: Final = frozenset(("via", "from", "to", "call-id", "cseq"))


def respond(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str | None = None,
) -> Response:
    """The response to a request (RFC 3261 §8.2.6): Via, From, To, Call-ID and CSeq as they came, To with our tag.

    ``tag`` is added where To has none. Raises SipError for a header with a line break.
    """
    made = Response(status=status, reason=REASONS.get(status, "") if reason is None else reason, body=body)
    fields = made.headers.fields
    for each in request.headers.fields:
        if each[0] in _COPIED:
            if tag and status > 100 and each[0] == "to" and ";tag=" not in each[2].lower().replace(" ", ""):
                fields.append(Field("to", "To", f"{each[2]};tag={tag}"))
            else:
                fields.append(each)
        elif (each[0] == "record-route" and 100 < status < 300) or (each[0] == "timestamp" and status == 100):
            fields.append(each)
    for name, value in headers:
        made.headers.add(name, value)
    if content_type is not None:
        made.headers.add("Content-Type", content_type)
    return made


def make_request(
    method: str,
    uri: str,
    *,
    from_: str,
    to: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str | None = None,
) -> Request:
    """A request outside a dialog. ``from_`` and ``to`` are URIs or whole name-addr texts; Via, tag, Call-ID, CSeq and
    Max-Forwards are set by the stack when it is sent (RFC 3261 §8.1.1)."""
    made = Request(method=method, uri=uri, body=body)
    made.headers.add("From", from_ if "<" in from_ else f"<{from_}>")
    made.headers.add("To", to if "<" in to else f"<{to}>")
    for name, value in headers:
        made.headers.add(name, value)
    if content_type is not None:
        made.headers.add("Content-Type", content_type)
    return made
