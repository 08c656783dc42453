"""The SIP messages of tests/corpus/gb28181, cut out of the captures, with the line ends that a wire has."""

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "corpus" / "gb28181"
_START: Final = re.compile(rb"^(?:[A-Z]+ sip:\S+ SIP/2\.0|SIP/2\.0 \d{3} .*)$", re.MULTILINE)
_NOTE: Final = re.compile(rb"^(?://|---|sip-agent|# ).*\n?", re.MULTILINE)
_LENGTH: Final = re.compile(rb"Content-Length:\s*(\d+)")


def messages() -> list[tuple[str, bytes]]:
    """(file and place, bytes) of every message. Bodies were wrapped by whoever stored them: Content-Length is theirs,
    so the body is filled with line ends, or cut, to the length that the device said."""
    found = []
    for path in sorted(FOLDER.iterdir()):
        if path.suffix not in (".txt", ".md"):
            continue
        text = path.read_bytes().replace(b"\r\n", b"\n")
        starts = [match.start() for match in _START.finditer(text)]
        for number, (begin, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
            head, _, body = _NOTE.sub(b"", text[begin:end]).partition(b"\n\n")
            head = head.strip(b"\n").replace(b"\n", b"\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            body = body.replace(b"\n", b"\r\n").ljust(size, b"\n")[:size]
            found.append((f"{path.stem}-{number}", head + b"\r\n\r\n" + body))
    return found


CAPTURES: Final = messages()
