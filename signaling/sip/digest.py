"""Digest authentication of SIP, the server's side (RFC 3261 §22, RFC 7616, RFC 8760). No I/O; the clock is given.

Nonces are signed, not remembered: a storm of REGISTERs without credentials costs one HMAC each and no memory. Only a
nonce that was answered *correctly* is noted, with its count: with qop a count must rise; without qop, as GB/T 28181
devices do it, a nonce is good once: a replayed request finds ``stale`` and gets a new nonce. The client's side is
``signaling.rtsp.auth.Authenticator``, which takes every challenge that is made here.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from signaling.rtsp.auth import digest_response, parse_params
from signaling.sip.address import quoted

NONCE_LIFE_S: Final = 300.0
MAX_NOTED: Final = 65_536
MAX_HEADER: Final = 4_096
_NC: Final = re.compile(r"[0-9a-fA-F]{1,8}")
ALGORITHMS: Final = ("MD5", "SHA-256")


class Verdict(Enum):
    """What the credentials of a request are worth."""

    GOOD = "good"
    MISSING = "no credentials for this realm"
    STALE = "the nonce is too old, or was used"  # challenge again with stale=true: the password was right
    WRONG = "the password is wrong"
    UNKNOWN = "nobody of that name"
    FORGED = "the nonce is not ours"
    UNSUPPORTED = "an algorithm or qop that was not offered"


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of a check. ``username`` and ``uri`` are what the request claims, even when it is wrong."""

    verdict: Verdict
    username: str = ""
    uri: str = ""
    algorithm: str = ""

    @property
    def good(self) -> bool:
        """Whether the request proved its password."""
        return self.verdict is Verdict.GOOD


class Authority:
    """Challenges and checks for one realm. ``now`` is any clock in seconds that never goes back.

    ``algorithms`` are offered in that order, one challenge each; GB devices know MD5, the 2022 edition names SHA-256.
    """

    def __init__(
        self,
        realm: str,
        *,
        now: Callable[[], float],
        algorithms: Sequence[str] = ("MD5",),
        qop: bool = False,
        life_s: float = NONCE_LIFE_S,
        secret: bytes | None = None,
        noted: int = MAX_NOTED,
    ) -> None:
        if unknown := set(algorithms) - set(ALGORITHMS):
            raise ValueError(f"algorithms {sorted(unknown)} are not known")
        self.realm, self.qop, self.life_s = realm, qop, life_s
        self.algorithms = tuple(algorithms)
        self._now = now
        self._secret = secret or secrets.token_bytes(32)
        self._noted: OrderedDict[str, tuple[int, int]] = OrderedDict()  # nonce -> highest count, time of issue
        self._limit = noted
        self._floor = -1  # nonces issued until then are stale: what was noted of them had to make room

    # challenges -----------------------------------------------------------------------------------

    def nonce(self) -> str:
        """A new one: time and chance, signed."""
        plain = round(self._now() * 1_000).to_bytes(8, "big") + secrets.token_bytes(6)
        return base64.urlsafe_b64encode(plain + self._sign(plain)).decode()

    def challenges(self, *, stale: bool = False) -> list[str]:
        """Values for WWW-Authenticate, one for each algorithm."""
        nonce = self.nonce()
        more = (', qop="auth"' if self.qop else "") + (", stale=true" if stale else "")
        return [
            f'Digest realm={quoted(self.realm)}, nonce="{nonce}", algorithm={algorithm}{more}'
            for algorithm in self.algorithms
        ]

    def _sign(self, plain: bytes) -> bytes:
        made = hmac.new(self._secret, plain + self.realm.encode("utf-8", "replace"), hashlib.sha256)
        return made.digest()[:16]

    def _issued(self, nonce: str) -> int | None:
        """When a nonce of ours was made, in ms; None: it is not ours."""
        if len(nonce) != 40:
            return None
        try:
            raw = base64.b64decode(nonce.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None
        plain, signature = raw[:14], raw[14:]
        if not hmac.compare_digest(self._sign(plain), signature):
            return None
        return int.from_bytes(plain[:8], "big")

    # checks ---------------------------------------------------------------------------------------

    def check(self, values: Sequence[str], method: str, password: Callable[[str], str | None]) -> Checked:
        """Check the Authorization values of a request; ``password`` gives that of a user name, None for nobody.

        The user name may be ``admin`` or anything else: whether it may speak for the address is the caller's to decide.
        An unknown scheme counts as missing (RFC 4475 §3.3.15).
        """
        for value in values[:4]:
            scheme, _, rest = value[:MAX_HEADER].strip().partition(" ")
            params = parse_params(rest)
            if scheme.lower() == "digest" and params.get("realm") == self.realm:
                return self._check(params, method, password)
        return Checked(Verdict.MISSING)

    def _check(self, params: dict[str, str], method: str, password: Callable[[str], str | None]) -> Checked:
        username, uri = params.get("username", "")[:256], params.get("uri", "")
        algorithm, qop = params.get("algorithm", "MD5").upper(), params.get("qop")

        def verdict(worth: Verdict) -> Checked:
            return Checked(worth, username, uri, algorithm)

        issued = self._issued(params.get("nonce", ""))
        if issued is None:
            return verdict(Verdict.FORGED)
        count = _NC.fullmatch(params.get("nc", ""))
        if algorithm not in self.algorithms or (qop is not None and (qop != "auth" or not self.qop or count is None)):
            return verdict(Verdict.UNSUPPORTED)
        secret = password(username)
        # Reckoned for nobody too, so that time does not tell who is known.
        expected = digest_response(username=username, password=secret or "", method=method, params=params)
        given = params.get("response", "").lower()
        same = hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
        if secret is None:
            return verdict(Verdict.UNKNOWN)
        if not same:
            return verdict(Verdict.WRONG)
        used = int(count[0], 16) if qop is not None and count is not None else 2**32
        return verdict(Verdict.GOOD if self._fresh(params["nonce"], issued, used) else Verdict.STALE)

    def _fresh(self, nonce: str, issued: int, count: int) -> bool:
        now = round(self._now() * 1_000)
        life = round(self.life_s * 1_000)
        if issued <= self._floor or not now - life <= issued <= now + 1_000:
            return False
        if self._noted.get(nonce, (0, 0))[0] >= count:
            return False
        self._noted[nonce] = (count, issued)
        while self._noted and (len(self._noted) > self._limit or next(iter(self._noted.values()))[1] < now - 2 * life):
            _, (_, old) = self._noted.popitem(last=False)
            self._floor = max(self._floor, old)
        return True
