"""Basic and Digest authentication as RTSP uses it (RFC 2326 §14 by RFC 2617): both sides, no I/O."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_PARAM: Final = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def _md5(*parts: str) -> str:
    # The digest of the standard; it protects nothing else here.
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


def parse_params(text: str) -> dict[str, str]:
    """Parameters of a challenge or of credentials, names in lower case."""
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAM.findall(text[:4_096])}


def digest_response(*, username: str, password: str, method: str, params: Mapping[str, str]) -> str:
    """The ``response`` value (RFC 2617 §3.2.2, with and without qop=auth; MD5 only)."""
    ha1 = _md5(username, params.get("realm", ""), password)
    ha2 = _md5(method, params.get("uri", ""))
    nonce = params.get("nonce", "")
    if params.get("qop"):
        return _md5(ha1, nonce, params.get("nc", ""), params.get("cnonce", ""), params["qop"], ha2)
    return _md5(ha1, nonce, ha2)


@dataclass(frozen=True)
class Guard:
    """The server's side: one account, one nonce for the life of the guard."""

    username: str
    password: str = field(repr=False)
    scheme: str = "digest"  # or basic
    realm: str = "sharpeyes demo"
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def challenge(self) -> str:
        """Value of WWW-Authenticate."""
        if self.scheme == "basic":
            return f'Basic realm="{self.realm}"'
        return f'Digest realm="{self.realm}", nonce="{self.nonce}"'

    def admits(self, authorization: str | None, method: str) -> bool:
        """Whether the Authorization header proves the password for this method."""
        kind, _, rest = (authorization or "").partition(" ")
        if kind.lower() != self.scheme:
            return False
        if self.scheme == "basic":
            expected = base64.b64encode(f"{self.username}:{self.password}".encode())
            return hmac.compare_digest(rest.strip().encode(), expected)
        params = parse_params(rest)
        if params.get("nonce") != self.nonce or params.get("realm") != self.realm:
            return False
        good = digest_response(username=self.username, password=self.password, method=method, params=params)
        same_name = hmac.compare_digest(params.get("username", "").encode(), self.username.encode())
        return hmac.compare_digest(params.get("response", "").encode(), good.encode()) and same_name
