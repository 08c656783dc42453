"""What is left of a DTLS association once SRTP runs: the other side's alerts, read without OpenSSL.

An ``SSL`` holds 90 KiB for as long as it lives (record buffers of both epochs, the last flight, certificates). Media
needs none of it; only a close_notify may still come. Its keys are 20 bytes.
"""

import hashlib
import hmac
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CIPHERS: Final = frozenset({"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"})  # others keep their SSL
PROTOCOL: Final = "DTLSv1.2"
RECORDS: Final = 8  # of a datagram that are looked at
_HEADER: Final = struct.Struct("!BHHHIH")  # type, version, epoch, number (16 and 32 bit), length: RFC 6347 §4.1
_ALERT, _VERSION, _EPOCH = 21, 0xFEFD, 1
_NONCE, _TAG = 8, 16
_CLOSE_NOTIFY, _FATAL = 0, 2


def _expand(secret: bytes, seed: bytes, size: int) -> bytes:
    """P_SHA256 (RFC 5246 §5)."""
    made, link = b"", seed
    while len(made) < size:
        link = hmac.digest(secret, link, hashlib.sha256)
        made += hmac.digest(secret, link + seed, hashlib.sha256)
    return made[:size]


class Alerts:
    """Reads what the other side of a DTLS 1.2 association with AES-128-GCM still says. ``client``: it is the client."""

    __slots__ = ("_key", "_salt")

    def __init__(self, secret: bytes, client_random: bytes, server_random: bytes, *, client: bool) -> None:
        block = _expand(secret, b"key expansion" + server_random + client_random, 40)  # RFC 5246 §6.3
        self._key = block[:16] if client else block[16:32]
        self._salt = block[32:36] if client else block[36:40]

    def ends(self, datagram: bytes) -> bool:
        """Whether a datagram holds an authentic close_notify or fatal alert. Everything else says nothing."""
        at = 0
        for _ in range(RECORDS):
            if at + _HEADER.size > len(datagram):
                return False
            kind, version, epoch, _, _, length = _HEADER.unpack_from(datagram, at)
            body = datagram[at + _HEADER.size : at + _HEADER.size + length]
            alert = len(body) == length == _NONCE + 2 + _TAG
            if alert and (kind, version, epoch) == (_ALERT, _VERSION, _EPOCH):
                head = datagram[at + 3 : at + 11] + datagram[at : at + 3] + b"\0\x02"  # RFC 5246 §6.2.3.3
                try:
                    level, what = AESGCM(self._key).decrypt(self._salt + body[:_NONCE], body[_NONCE:], head)
                except InvalidTag:
                    return False
                if what == _CLOSE_NOTIFY or level == _FATAL:
                    return True
            at += _HEADER.size + length
        return False
