"""STUN (RFC 8489) as far as ICE-lite (RFC 8445 §2.5) needs it, and the lite agent itself. Sans-I/O."""

import binascii
import hashlib
import hmac
import ipaddress
import secrets
import struct
from dataclasses import dataclass, field
from typing import Final

COOKIE: Final = 0x2112A442
BINDING_REQUEST: Final = 0x0001
BINDING_SUCCESS: Final = 0x0101
BINDING_ERROR: Final = 0x0111
MAX_MESSAGE: Final = 1_280
MAX_ATTRIBUTES: Final = 32
MAX_PATHS: Final = 16

_USERNAME, _INTEGRITY, _ERROR, _UNKNOWN, _XOR_ADDRESS = 0x0006, 0x0008, 0x0009, 0x000A, 0x0020
_PRIORITY, _USE_CANDIDATE, _FINGERPRINT, _CONTROLLED, _CONTROLLING = 0x0024, 0x0025, 0x8028, 0x8029, 0x802A
_INTEGRITY_SHA256 = 0x001C
_KNOWN: Final = {_USERNAME, _INTEGRITY, _INTEGRITY_SHA256, _PRIORITY, _USE_CANDIDATE, _XOR_ADDRESS, _ERROR, _UNKNOWN}


class StunError(ValueError):
    """A message that is not STUN, or not for us. ``reason`` is one word for the counters."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One parsed message; attributes after MESSAGE-INTEGRITY count for nothing (RFC 8489 §14.5)."""

    kind: int
    transaction: bytes
    username: str | None
    use_candidate: bool
    controlled: bool
    unknown: tuple[int, ...]  # comprehension-required attributes that we do not know
    error_code: int | None
    integrity: bytes | None
    covered: bytes  # what MESSAGE-INTEGRITY covers, its length field already adjusted


def parse_stun(data: bytes) -> StunMessage:
    """Parse one message (RFC 8489 §5, §14). Raises StunError."""
    if len(data) < 20 or len(data) > MAX_MESSAGE:
        raise StunError("length", len(data))
    kind, length, cookie, transaction = struct.unpack_from("!HHI12s", data)
    if cookie != COOKIE or length != len(data) - 20 or length % 4 or kind >> 14:
        raise StunError("header", 0)
    found: dict[int, bytes] = {}
    unknown: list[int] = []
    covered, at, count = b"", 20, 0
    while at < len(data):
        if at + 4 > len(data) or (count := count + 1) > MAX_ATTRIBUTES:
            raise StunError("attributes", at)
        name, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) != size:
            raise StunError("attribute", at)
        if name == _FINGERPRINT:
            _check_fingerprint(data, at, value)
        elif _INTEGRITY not in found:
            if name == _INTEGRITY:
                covered = data[:2] + struct.pack("!H", at + 24 - 20) + data[4:at]
            if name < 0x8000 and name not in _KNOWN:
                unknown.append(name)
            found.setdefault(name, value)
        at += 4 + size + (-size % 4)
    return _message(kind, transaction, found, tuple(unknown), covered)


def _message(
    kind: int, transaction: bytes, found: dict[int, bytes], unknown: tuple[int, ...], covered: bytes
) -> StunMessage:
    integrity = found.get(_INTEGRITY)
    if integrity is not None and len(integrity) != 20:
        raise StunError("integrity", 0)
    username: str | None = None
    if (raw := found.get(_USERNAME)) is not None:
        if len(raw) > 512:
            raise StunError("username", 0)
        username = raw.decode("utf-8", "replace")
    error = found.get(_ERROR, b"")
    code = (error[2] & 7) * 100 + error[3] if len(error) >= 4 else None
    return StunMessage(
        kind, transaction, username, _USE_CANDIDATE in found, _CONTROLLED in found, unknown, code, integrity, covered
    )


def _check_fingerprint(data: bytes, at: int, value: bytes) -> None:
    if len(value) != 4 or at + 8 != len(data):
        raise StunError("fingerprint", at)
    if struct.unpack("!I", value)[0] != (binascii.crc32(data[:at]) ^ 0x5354554E):
        raise StunError("fingerprint", at)


def is_authentic(message: StunMessage, key: bytes) -> bool:
    """Whether MESSAGE-INTEGRITY is there and right (RFC 8489 §14.5)."""
    if message.integrity is None:
        return False
    return hmac.compare_digest(message.integrity, hmac.new(key, message.covered, hashlib.sha1).digest())


def build_stun(kind: int, transaction: bytes, attributes: list[tuple[int, bytes]], key: bytes | None) -> bytes:
    """Build a message, signed when there is a key, with FINGERPRINT (RFC 8489 §14.5, §14.7)."""
    body = b"".join(struct.pack("!HH", name, len(v)) + v + bytes(-len(v) % 4) for name, v in attributes)
    if key is not None:
        head = struct.pack("!HHI12s", kind, len(body) + 24, COOKIE, transaction)
        body += struct.pack("!HH", _INTEGRITY, 20) + hmac.new(key, head + body, hashlib.sha1).digest()
    head = struct.pack("!HHI12s", kind, len(body) + 8, COOKIE, transaction)
    return head + body + struct.pack("!HHI", _FINGERPRINT, 4, binascii.crc32(head + body) ^ 0x5354554E)


def binding_request(username: str, key: bytes, *, nominate: bool = True, priority: int = 1) -> bytes:
    """A connectivity check of a controlling agent (RFC 8445 §7.1.1): what tests and light clients send."""
    attributes = [
        (_USERNAME, username.encode()),
        (_PRIORITY, struct.pack("!I", priority)),
        (_CONTROLLING, secrets.token_bytes(8)),
    ]
    if nominate:
        attributes.append((_USE_CANDIDATE, b""))
    return build_stun(BINDING_REQUEST, secrets.token_bytes(12), attributes, key)


def xor_mapped_address(address: tuple[str, int], transaction: bytes) -> bytes:
    """Value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2)."""
    ip = ipaddress.ip_address(address[0])
    pad = struct.pack("!I", COOKIE) + transaction
    host = bytes(a ^ b for a, b in zip(ip.packed, pad, strict=False))
    return struct.pack("!BBH", 0, 1 if ip.version == 4 else 2, address[1] ^ (COOKIE >> 16)) + host


@dataclass(frozen=True, slots=True)
class Credentials:
    """A fragment and a password (RFC 8445 §5.3)."""

    ufrag: str
    pwd: str

    @classmethod
    def random(cls) -> "Credentials":
        return cls(secrets.token_hex(6), secrets.token_hex(16))


@dataclass(slots=True)
class IceLite:
    """The lite agent of one session. ``paths`` are the checked remote transport addresses, ``selected`` the one in use.

    A path is whatever the caller keys addresses by (raw ``sockaddr`` bytes in the relay).
    """

    local: Credentials
    remote_ufrag: str
    heard_at: int  # ms of the last authentic check: consent (RFC 7675)
    paths: list[bytes] = field(default_factory=list)
    selected: bytes | None = None
    dropped: list[bytes] = field(default_factory=list)  # paths that are not ours any more, for the caller to forget
    before: tuple[Credentials, str] | None = None  # of before a restart, until the new ones carry a nominated path

    def restart(self, remote_ufrag: str, local: Credentials | None = None) -> None:
        """Begin anew with other credentials (RFC 8445 §9); the path in use stays until another is nominated.

        ``local`` are ours where we have offered them already.
        """
        self.before = (self.local, self.remote_ufrag)
        self.local, self.remote_ufrag = local or Credentials.random(), remote_ufrag

    def forget(self, path: bytes) -> None:
        """A path is gone for good; where it was the one in use, the next authentic check names another."""
        self.paths = [known for known in self.paths if known != path]
        if self.selected == path:
            self.selected = None

    def _key(self, message: StunMessage) -> tuple[bytes, bool]:
        """The password that a check is signed with, and whether it is of the time before a restart."""
        if message.username == f"{self.local.ufrag}:{self.remote_ufrag}":
            return self.local.pwd.encode(), False
        if self.before is not None and message.username == f"{self.before[0].ufrag}:{self.before[1]}":
            return self.before[0].pwd.encode(), True
        raise StunError("username")

    def request(self, message: StunMessage, path: bytes, address: tuple[str, int], now_ms: int) -> bytes:
        """Answer a check of the other side. Raises StunError for what is not authentic or not for us."""
        if message.kind != BINDING_REQUEST:
            raise StunError("kind")
        key, old = self._key(message)
        if not is_authentic(message, key):
            raise StunError("integrity")
        if message.unknown:
            names = b"".join(struct.pack("!H", n) for n in message.unknown)
            error = struct.pack("!HBB", 0, 4, 20) + b"Unknown Attribute"
            return build_stun(BINDING_ERROR, message.transaction, [(_ERROR, error), (_UNKNOWN, names)], key)
        if message.controlled:  # a lite agent is always controlled (RFC 8445 §7.3.1.1)
            error = struct.pack("!HBB", 0, 4, 87) + b"Role Conflict"
            return build_stun(BINDING_ERROR, message.transaction, [(_ERROR, error)], key)
        self.heard_at = now_ms
        if self.before is not None and not old and message.use_candidate:  # the restart is done
            self.dropped += [gone for gone in self.paths if gone != path]
            self.paths, self.before = [known for known in self.paths if known == path], None
        if path not in self.paths:
            self.paths.append(path)
            if len(self.paths) > MAX_PATHS:
                oldest = 1 if self.paths[0] == self.selected else 0
                self.dropped.append(self.paths.pop(oldest))
        if message.use_candidate or self.selected is None:
            self.selected = path
        mapped = xor_mapped_address(address, message.transaction)
        return build_stun(BINDING_SUCCESS, message.transaction, [(_XOR_ADDRESS, mapped)], key)
