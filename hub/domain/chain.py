"""The hash chain of the event log: what is hashed, and over which bytes. Frozen: a change is a new algorithm name.

``payload_hash = H(salt || canonical JSON of the payload)`` and ``hash = H(canonical JSON of the row's fields)``.
The salt keeps a short payload from being guessed from its hash after it was erased.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

GENESIS: Final = "0" * 64
ALGORITHM: Final = "sha256"  # of new rows
SALT_BYTES: Final = 16
_LABEL: Final = "sharpeyes-log-1"
_HASHES: Final[Mapping[str, Callable[[bytes], str]]] = {
    "sha256": lambda data: hashlib.sha256(data).hexdigest(),
    "sha3-256": lambda data: hashlib.sha3_256(data).hexdigest(),
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """An end of the chain that was noted outside the database: later chains must still hold it."""

    seq: int
    hash: str


def canonical(data: object) -> str:
    """JSON with sorted keys, no spaces, no needless escapes: the same text for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def known(alg: str) -> bool:
    """Whether rows of this algorithm can be checked."""
    return alg in _HASHES


def payload_hash(alg: str, salt: str, data: str) -> str:
    """Hash of a payload's text under its salt (hex)."""
    return _HASHES[alg](bytes.fromhex(salt) + data.encode())


def row_hash(alg: str, *, seq: int, kind: str, at: int, unit: str, ref: str, payload_hash: str, prev: str) -> str:
    """Hash of one link, which names the link before it."""
    fields: list[Any] = [_LABEL, seq, kind, at, unit, ref, alg, payload_hash, prev]
    return _HASHES[alg](canonical(fields).encode())
