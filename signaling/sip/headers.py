"""Header fields of SIP messages (RFC 3261 §7.3): in order, compared without case, compact forms with the long ones."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from signaling.sip.address import SipError, is_token, split_list

COMPACT: Final[Mapping[str, str]] = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "n": "identity-info", "o": "event", "r": "refer-to", "s": "subject",
    "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip

_NAMES: Final = (
    "Accept Accept-Contact Alert-Info Allow Allow-Events Authentication-Info Authorization Call-ID Contact "
    "Content-Disposition Content-Encoding Content-Language Content-Length Content-Type CSeq Date Event Expires From "
    "Identity Identity-Info Max-Forwards Min-Expires Min-SE MIME-Version Organization Priority Proxy-Authenticate "
    "Proxy-Authorization Proxy-Require RAck Reason Record-Route Refer-To Referred-By Reject-Contact Replaces "
    "Request-Disposition Require Retry-After Route RSeq Server Session-Expires SIP-ETag SIP-If-Match Subject "
    "Subscription-State Supported Timestamp To Unsupported User-Agent Via Warning WWW-Authenticate X-GB-Ver"
)
SHOWN: Final = {name.lower(): name for name in _NAMES.split()}
_SINGLE_NAMES: Final = "call-id cseq from to max-forwards content-length content-type expires event"
SINGLE: Final = frozenset(_SINGLE_NAMES.split())
_LIST_NAMES: Final = (
    "via contact route record-route accept allow allow-events supported require proxy-require unsupported"
)
_LISTS: Final = frozenset(_LIST_NAMES.split())
_UNSAFE: Final = re.compile(r"[\r\n\0]")


def spelled(name: str) -> tuple[str, str]:
    """The name to compare, and the name to show. Raises SipError: no token."""
    key = name.strip().lower()
    key = COMPACT.get(key, key)
    if not is_token(key):
        raise SipError("header name is no token")
    return key, SHOWN.get(key) or name.strip()


# Every usual spelling, so that a header costs one look-up; strangers' spellings are never added.
KEYS: Final = {
    spelling: spelled(spelling)
    for shown in (*SHOWN.values(), *COMPACT)
    for spelling in (shown, shown.lower(), shown.upper())
}


class Field(NamedTuple):
    """One header field: the name to compare (lower case, long form), to show, and the value without outer blanks."""

    key: str
    name: str
    value: str


class Headers:
    """Header fields in order. Names compare without case, compact forms with the long ones (RFC 3261 §7.3)."""

    __slots__ = ("fields",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self.fields: list[Field] = []
        for name, value in items:
            self.add(name, value)

    def add(self, name: str, value: str, *, first: bool = False) -> None:
        """Put a field behind the others, or before them. Raises SipError: a name that is no token, a line break."""
        if _UNSAFE.search(value) is not None:
            raise SipError("line break inside a header")
        made = Field(*(KEYS.get(name) or spelled(name)), value)
        if first:
            self.fields.insert(0, made)
        else:
            self.fields.append(made)

    def set(self, name: str, value: str) -> None:
        """The only field of this name from now on; it stays where the first one stood."""
        key = (KEYS.get(name) or spelled(name))[0]
        place = next((at for at, each in enumerate(self.fields) if each[0] == key), None)
        self.add(name, value)
        if place is not None:
            made = self.fields.pop()
            self.fields[place] = made
            self.fields = [each for at, each in enumerate(self.fields) if each[0] != key or at == place]

    def default(self, name: str, value: str) -> None:
        """Add the field where there is none of that name."""
        if self.get(name) is None:
            self.add(name, value)

    def remove(self, name: str) -> None:
        """Forget every field of this name."""
        key = (KEYS.get(name) or spelled(name))[0]
        self.fields = [each for each in self.fields if each[0] != key]

    def get(self, name: str) -> str | None:
        """The first value, or None."""
        key = (KEYS.get(name) or spelled(name))[0]
        for each in self.fields:
            if each[0] == key:
                return each[2]
        return None

    def all(self, name: str) -> list[str]:
        """Every value; fields that hold lists are cut at their commas (RFC 3261 §7.3.1). Raises SipError."""
        key = (KEYS.get(name) or spelled(name))[0]
        found = [each[2] for each in self.fields if each[0] == key]
        if key not in _LISTS:
            return found
        return [part for value in found for part in split_list(value)]

    def copy(self) -> "Headers":
        """Another list of the same fields."""
        made = Headers()
        made.fields = self.fields.copy()
        return made

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((each.name, each.value) for each in self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and [(f[0], f[2]) for f in other.fields] == [
            (f[0], f[2]) for f in self.fields
        ]

    def __repr__(self) -> str:
        # Values may hold credentials: names only, so that a logged message gives nothing away.
        return f"Headers({[each.name for each in self.fields]})"
