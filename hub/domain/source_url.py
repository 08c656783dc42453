"""Which addresses the hub may pull from: the pure half, asked by the api when a camera is added and by the relay.

The relay asks again for every address that a name resolves to (``hub.media.sources.policy``).
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from hub.domain.errors import Invalid

PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935}
MAX_URL: Final = 1_000
REFUSED: Final = "camera.url_refused"

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"
    )
)  # AWS and most others, Alibaba, Oracle, Azure; AWS and Google over IPv6  # fmt: skip
METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "instance-data"})
# Networks whose last 32 bits are an IPv4 address: NAT64 (RFC 6052, RFC 8215), IPv4-compatible (RFC 4291 §2.5.5.1).
_INNER: Final = tuple(ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
_OWN: Final = frozenset({ipaddress.IPv6Address("::1")})  # lies in ::/96 and is no IPv4 address
_SECRET_NAME: Final = re.compile(r"pass|pwd|token|key|secret|auth|sign", re.IGNORECASE)
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)
_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?", re.IGNORECASE)
_USERINFO: Final = re.compile(r"//[^/\s]*@")


@dataclass(frozen=True)
class ParsedSource:
    """A source's address in parts. ``tail`` is path and query as they go on the wire."""

    scheme: str
    host: str
    port: int
    tail: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def netloc(self) -> str:
        """Host and port without credentials; IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def masked(self) -> str:
        """The address for a human: user name kept, secrets as ``***``."""
        if self.scheme == "file":
            return f"file://{self.tail}"
        user = "" if self.username is None else f"{quote(self.username)}:***@"
        path, mark, query = self.tail.partition("?")
        parts = [_masked_pair(pair) for pair in query.split("&")]
        return f"{self.scheme}://{user}{self.netloc}{path}{mark}{'&'.join(parts)}"

    def url(self, host: str | None = None) -> str:
        """The whole address with its secrets, for the demuxer only; ``host`` replaces the name."""
        if self.scheme == "file":
            return self.tail
        user = ""
        if self.username is not None:
            user = quote(self.username, safe="") + ":" + quote(self.password or "", safe="") + "@"
        where = self.host if host is None else host
        return f"{self.scheme}://{user}{f'[{where}]' if ':' in where else where}:{self.port}{self.tail}"

    def scrub(self, text: str) -> str:
        """The text without this source's secrets: what a library says about an error holds the whole URL."""
        secrets = {self.password or "", quote(self.password or "", safe=""), quote(self.password or "")}
        secrets.update(value for name, value in parse_qsl(self.tail.partition("?")[2]) if _SECRET_NAME.search(name))
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return _USERINFO.sub("//***@", text)


def _masked_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=***" if equals and _SECRET_NAME.search(unquote(name)) else pair


def check_url(url: str, *, files: bool = False) -> ParsedSource:
    """Take a source's address apart and refuse what may never be pulled.

    ``files`` allows ``file:`` (the caller must then confine it to a folder). Raises Invalid
    ``camera.url_refused`` with ``details["why"]``: syntax, scheme, file, address.
    """
    if not 1 <= len(url) <= MAX_URL or any(ord(c) <= 0x20 or ord(c) == 0x7F or c in '\\"<>^`{|}' for c in url):
        raise _refusal("syntax", "the address is empty, too long, or holds blanks or characters that no URL has")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        raise _refusal("syntax", "the address is not a URL") from None
    if scheme == "file":
        if not files or parts.netloc or not parts.path.startswith("/"):
            raise _refusal("file", "a file is no camera")
        return ParsedSource("file", "", 0, unquote(parts.path))
    if scheme not in PORTS:
        raise _refusal(
            "scheme", f"only {', '.join(PORTS)} are pulled, not {scheme[:20] or 'an address without scheme'}"
        )
    if port == 0 or not host or parts.fragment:
        raise _refusal("syntax", "the address lacks a host, has port 0, or has an unescaped #")
    tail = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        tail += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in (user or "") + (password or "") + unquote(tail)):
        raise _refusal("syntax", "the address holds control characters")
    return ParsedSource(scheme, _checked_host(host), port or PORTS[scheme], tail, user, password)


def _checked_host(host: str) -> str:
    """The host in one form. Raises Invalid for addresses and names that are never pulled."""
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise _refusal("syntax", "the host name cannot be written in DNS") from None
    try:  # after IDNA, which turns digits and dots of other scripts into ours
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        if (why := refuse_address(address)) is not None:
            raise _refusal("address", why)
        return str(address)
    if _NUMERIC.fullmatch(name):  # 2852039166, 0xa9.0xfe.0.1: forms that hide an address
        raise _refusal("address", "write the address as four decimal numbers")
    if not _NAME.fullmatch(name):
        raise _refusal("syntax", "the host name is not one")
    if name.lower().rstrip(".") in METADATA_NAMES:
        raise _refusal("address", "that is a cloud's metadata service")
    return name.lower()


def refuse_address(address: Address) -> str | None:
    """Why an address is never pulled from, or None. Private and loopback networks are where cameras live."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "addresses with a zone are link-local"
        for inner in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()), _last_bits(address)):
            if inner is not None and (why := refuse_address(inner)) is not None:
                return why
    if address in METADATA:
        return "that is a cloud's metadata service"
    if address.is_link_local:
        return "link-local addresses are not pulled"
    if address.is_multicast:
        return "multicast addresses are not pulled"
    if address.is_unspecified or address == ipaddress.IPv4Address("255.255.255.255"):
        return "that is nobody's address"
    if isinstance(address, ipaddress.IPv4Address) and (int(address) >> 24 == 0 or int(address) >> 28 == 15):
        return "reserved addresses are not pulled"
    return None


def refuse_device_address(host: str, seen: str = "") -> str | None:
    """Why we neither dial nor send to an address that a device or platform names, or None.

    ``seen`` is where its signalling comes from; "" where that is not known. Loopback, where our own roles and Redis
    listen, is only named by who is there itself.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "that is no address"
    if (why := refuse_address(address)) is not None:
        return why
    try:
        near = not seen or ipaddress.ip_address(seen).is_loopback
    except ValueError:
        near = False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if (address.is_loopback or (inner is not None and inner.is_loopback)) and not near:
        return "that is our own machine"
    return None


def _last_bits(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _OWN or not any(address in network for network in _INNER):
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _refusal(why: str, message: str) -> Invalid:
    return Invalid(REFUSED, message, why=why, field="url")
