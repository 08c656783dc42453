"""The controlling side of ICE (RFC 8445) towards a lite agent: checks out, answers in. Sans-I/O.

A relay that dials another one needs no more: the other side says where it is, answers checks, and sends none.
"""

from dataclasses import dataclass, field
from typing import Final

from signaling.ice import (
    BINDING_SUCCESS,
    Credentials,
    IceLite,
    StunError,
    StunMessage,
    binding_request,
    is_authentic,
)

FIRST_MS: Final = 20  # until somebody answers: 20, 40, 80 ... apart
LAST_MS: Final = 400
CONSENT_MS: Final = 300  # afterwards: the answer is the other side's consent, and the sign that it lives
MAX_SENT: Final = 64
MAX_TARGETS: Final = 8


@dataclass(slots=True)
class IceDialing(IceLite):
    """Checks every target until one answers, then goes on asking that one. ``targets`` are paths as in ``IceLite``."""

    remote_pwd: str = ""
    targets: list[bytes] = field(default_factory=list)
    _sent: dict[bytes, bytes] = field(default_factory=dict)  # transaction to path
    _next_at: int = 0
    _pause: int = FIRST_MS

    @classmethod
    def to(cls, local: Credentials, remote: Credentials, targets: list[bytes], now_ms: int) -> "IceDialing":
        """Ready to check the first eight targets."""
        return cls(local, remote.ufrag, now_ms, remote_pwd=remote.pwd, targets=targets[:MAX_TARGETS], _next_at=now_ms)

    def checks(self, now_ms: int) -> list[tuple[bytes, bytes]]:
        """What is to be sent now: path and request."""
        if now_ms < self._next_at:
            return []
        if self.selected is None:
            self._next_at, self._pause = now_ms + self._pause, min(LAST_MS, self._pause * 2)
        else:
            self._next_at = now_ms + CONSENT_MS
        username, key = f"{self.remote_ufrag}:{self.local.ufrag}", self.remote_pwd.encode()
        found = []
        for path in self.targets if self.selected is None else [self.selected]:
            data = binding_request(username, key)
            self._sent[data[8:20]] = path
            found.append((path, data))
        while len(self._sent) > MAX_SENT:
            del self._sent[next(iter(self._sent))]
        return found

    def response(self, message: StunMessage, path: bytes, now_ms: int) -> None:
        """Take an answer to a check (RFC 8445 §7.2.5). Raises StunError for what is not authentic or not asked for.

        An answer from another address than was asked counts for nothing (RFC 8445 §7.2.5.2.1).
        """
        if message.kind != BINDING_SUCCESS or self._sent.get(message.transaction) != path:
            raise StunError("transaction")
        if not is_authentic(message, self.remote_pwd.encode()):
            raise StunError("integrity")
        del self._sent[message.transaction]
        self.heard_at = now_ms
        if self.selected is None:
            self.selected = path
            self.paths.append(path)
            self._next_at = now_ms + CONSENT_MS

    def request(self, message: StunMessage, path: bytes, address: tuple[str, int], now_ms: int) -> bytes:
        """A lite agent sends no checks. Raises StunError."""
        raise StunError("kind")
