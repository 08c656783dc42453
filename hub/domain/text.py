"""What people write and others read: no characters that cannot be seen, stored, or that turn a line around."""

import unicodedata
from typing import Final

# Unicode 15 UAX #9 §2: overrides, embeddings and isolates make a name read as another one. Marks of direction and
# joiners are left alone: scripts and emoji need them.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BLANK: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_LINES: Final = frozenset("\n\r\t")


def one_line(text: str) -> str:
    """The text, if it is one line that can be read. Raises ValueError: control characters, or nothing to see."""
    return _readable(text, frozenset())


def lines(text: str) -> str:
    """As ``one_line``, with line breaks and tabs."""
    return _readable(text, _LINES)


def _readable(text: str, allowed: frozenset[str]) -> str:
    for char in text:
        if char in _TURNING or (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in allowed):
            raise ValueError(f"the character U+{ord(char):04X} cannot be used")
    if text.strip() and all(unicodedata.category(char) in _BLANK for char in text):
        raise ValueError("there is nothing to see in it")
    return text


def mended(text: str, limit: int) -> str:
    """What a device calls itself as one line that can be read: what ``one_line`` refuses is left out. May be empty."""
    kept = "".join(
        " " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text[: 4 * limit]
        if char not in _TURNING and unicodedata.category(char) != "Cs"
    )
    found = " ".join(kept.split())[:limit].strip()
    return "" if all(unicodedata.category(char) in _BLANK for char in found) else found
