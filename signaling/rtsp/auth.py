"""Basic and Digest authentication as RTSP uses it (RFC 2326 §14; RFC 7616, RFC 7617): both sides, no I/O."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_PARAM: Final = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME: Final = re.compile(r"(?:^|,)\s*(Digest|Basic)(?=\s|,|$)", re.IGNORECASE)
MAX_CHALLENGES: Final = 8


def _md5(data: bytes) -> str:
    # The digest of the standard; it protects nothing else here.
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# RFC 7616 §3.4.2; the strongest first, since that is what a client takes (§3.7).
ALGORITHMS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "SHA-256": _sha256,
    "SHA-256-SESS": _sha256,
    "MD5": _md5,
    "MD5-SESS": _md5,
}


def parse_params(text: str) -> dict[str, str]:
    """Parameters of a challenge or of credentials, names in lower case."""
    found = _PARAM.findall(text[:4_096])
    return {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for name, quoted, plain in found}


def digest_response(*, username: str, password: str, method: str, params: Mapping[str, str]) -> str:
    """The ``response`` value (RFC 7616 §3.4.1, with and without qop=auth). Raises KeyError: algorithm unknown."""
    name = params.get("algorithm", "MD5").upper()
    algorithm = ALGORITHMS[name]

    def h(*parts: str) -> str:
        return algorithm(":".join(parts).encode())

    nonce, cnonce = params.get("nonce", ""), params.get("cnonce", "")
    ha1 = h(username, params.get("realm", ""), password)
    if name.endswith("-SESS"):
        ha1 = h(ha1, nonce, cnonce)
    ha2 = h(method, params.get("uri", ""))
    if params.get("qop"):
        return h(ha1, nonce, params.get("nc", ""), cnonce, params["qop"], ha2)
    return h(ha1, nonce, ha2)


@dataclass(frozen=True)
class Challenge:
    """What a 401 asks for: ``scheme`` is "digest" or "basic", ``params`` with names in lower case."""

    scheme: str
    params: Mapping[str, str]

    @property
    def stale(self) -> bool:
        """The password was right, and the nonce too old (RFC 7616 §3.3)."""
        return self.params.get("stale", "").lower() == "true"


def parse_challenges(values: Sequence[str]) -> list[Challenge]:
    """All challenges of the WWW-Authenticate fields that can be met, strongest first; some devices put several in one.

    Digests of unknown algorithms, or that want the body's integrity only, are left out.
    """
    found = []
    for value in values[:MAX_CHALLENGES]:
        text = value[:4_096]
        starts = [*_SCHEME.finditer(text)][:MAX_CHALLENGES]
        ends = [mark.start() for mark in starts[1:]] + [len(text)]
        for mark, end in zip(starts, ends, strict=False):  # no start, and one end: nothing
            params = parse_params(text[mark.end() : end])
            challenge = Challenge(mark[1].lower(), params)
            if _can_meet(challenge):
                found.append(challenge)
    order = list(ALGORITHMS)
    found.sort(
        key=lambda c: len(order) if c.scheme == "basic" else order.index(c.params.get("algorithm", "MD5").upper())
    )
    return found


def _can_meet(challenge: Challenge) -> bool:
    if challenge.scheme == "basic":
        return True
    offers = [offer.strip().lower() for offer in challenge.params.get("qop", "auth").split(",")]
    known = challenge.params.get("algorithm", "MD5").upper() in ALGORITHMS
    return known and bool(challenge.params.get("nonce")) and "auth" in offers


@dataclass(frozen=True)
class Credentials:
    """A user name and a password, which is never shown."""

    username: str
    password: str = field(repr=False)


class Authenticator:
    """The client's side: meets the last challenge with the credentials, counting nonces (RFC 7616 §3.4)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._challenge: Challenge | None = None
        self._count = 0

    def challenged(self, values: Sequence[str]) -> Challenge | None:
        """Take a 401's challenges; the one that will be met, or None when there is none that can be."""
        found = parse_challenges(values)
        if not found:
            return None
        if self._challenge is None or self._challenge.params.get("nonce") != found[0].params.get("nonce"):
            self._count = 0
        self._challenge = found[0]
        return found[0]

    def header(self, method: str, uri: str) -> str | None:
        """Value of Authorization for a request; None before any challenge."""
        challenge, who = self._challenge, self._credentials
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            return "Basic " + base64.b64encode(f"{who.username}:{who.password}".encode()).decode()
        given = challenge.params
        params = {"username": who.username, "realm": given.get("realm", ""), "nonce": given["nonce"], "uri": uri}
        plain: dict[str, str] = {}
        if "algorithm" in given:
            plain["algorithm"] = given["algorithm"]
        if "qop" in given:
            self._count += 1
            plain |= {"qop": "auth", "nc": f"{self._count:08x}"}
        if "qop" in given or given.get("algorithm", "").upper().endswith("-SESS"):
            params["cnonce"] = secrets.token_hex(8)
        if "opaque" in given:
            params["opaque"] = given["opaque"]
        params["response"] = digest_response(
            username=who.username, password=who.password, method=method, params=params | plain
        )
        quoted = [f'{name}="{_escaped(value)}"' for name, value in params.items()]
        return "Digest " + ", ".join([*quoted, *(f"{name}={value}" for name, value in plain.items())])


def _escaped(text: str) -> str:
    return "".join(c for c in text if c >= " ").replace("\\", "\\\\").replace('"', '\\"')


@dataclass(frozen=True)
class Guard:
    """The server's side: one account, one nonce for the life of the guard."""

    username: str
    password: str = field(repr=False)
    scheme: str = "digest"  # or basic
    realm: str = "sharpeyes demo"
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    algorithm: str = ""  # MD5 without a word, else a name of ALGORITHMS
    qop: bool = False

    def challenge(self) -> str:
        """Value of WWW-Authenticate."""
        if self.scheme == "basic":
            return f'Basic realm="{self.realm}"'
        more = (f", algorithm={self.algorithm}" if self.algorithm else "") + (', qop="auth"' if self.qop else "")
        return f'Digest realm="{self.realm}", nonce="{self.nonce}"{more}'

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
        if params.get("algorithm", "") != self.algorithm or (params.get("qop") == "auth") is not self.qop:
            return False
        good = digest_response(username=self.username, password=self.password, method=method, params=params)
        same_name = hmac.compare_digest(params.get("username", "").encode(), self.username.encode())
        return hmac.compare_digest(params.get("response", "").encode(), good.encode()) and same_name
