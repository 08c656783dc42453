"""MANSCDP's XML as devices write it: GB18030 under the name GB2312, raw ``&`` and ``<``, tags in any case.

Decoding never trusts the declaration; parsing is defusedxml's, so that entities, external ones and document types are
refused. What devices get wrong is mended, and only then refused (GB/T 28181-2016 annex A).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from signaling.gb28181.errors import GbError

MAX_BODY: Final = 1024 * 1024  # bytes; a page of a catalog has some 4 KiB
MAX_DEPTH: Final = 16
MAX_NODES: Final = 60_000
Charset: TypeAlias = Literal["auto", "gb18030", "utf-8"]

_DECLARATION: Final = re.compile(r"^\s*<\?xml\b[^>]*\?*>", re.IGNORECASE)
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});)")
_TAG: Final = re.compile(r"<(/?)([A-Za-z_][\w.:-]{0,63})((?:\s+[\w:.-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*(/?)>")
_SPECIAL: Final = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}


@dataclass(slots=True)
class Node:
    """An element; ``name`` and the names of attributes are in lower case, ``text`` is stripped."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def child(self, name: str) -> "Node | None":
        """The first child of that name, without regard to case."""
        wanted = name.lower()
        return next((each for each in self.children if each.name == wanted), None)

    def every(self, name: str) -> Iterator["Node"]:
        """All children of that name."""
        wanted = name.lower()
        return (each for each in self.children if each.name == wanted)

    def get(self, name: str, default: str = "") -> str:
        """Text of the first child of that name that has some."""
        return next((each.text for each in self.every(name) if each.text), default)


class _Builder:
    """Target of the parser: counts depth and nodes while they come, so that a bomb ends early."""

    def __init__(self) -> None:
        self._stack: list[tuple[Node, list[str]]] = []  # with the pieces of its text
        self._count = 0
        self.root: Node | None = None

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        self._count += 1
        if len(self._stack) >= MAX_DEPTH or self._count > MAX_NODES:
            raise GbError("gb28181.xml_bounds", "the body is nested too deep or has too many elements")
        node = Node(tag.lower(), {name.lower(): value for name, value in attrs.items()})
        if self._stack:
            self._stack[-1][0].children.append(node)
        else:
            self.root = node
        self._stack.append((node, []))

    def end(self, tag: str) -> None:
        node, pieces = self._stack.pop()
        node.text = "".join(pieces).strip()

    def data(self, data: str) -> None:
        if self._stack:
            self._stack[-1][1].append(data)

    def close(self) -> Node:
        if self.root is None:
            raise GbError("gb28181.xml", "the body has no element")
        return self.root


def decode(body: bytes, charset: Charset = "auto") -> str:
    """Text of a body: UTF-8 when it is strictly that, else GB18030; what fits neither becomes U+FFFD.

    A name cut in the middle of a UTF-8 character does not turn the rest into nonsense: where only few characters are
    broken the body stays UTF-8. Raises GbError ``gb28181.xml_bounds`` over 1 MiB.
    """
    if len(body) > MAX_BODY:
        raise GbError("gb28181.xml_bounds", f"a body of {len(body)} bytes is over {MAX_BODY}")
    if charset != "auto":
        return body.decode(charset, "replace").removeprefix("\ufeff")
    try:
        return body.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    good = sum(1 for character in text if character > "\x7f") - broken
    return text.removeprefix("\ufeff") if broken * 2 <= good else body.decode("gb18030", "replace")


def parse(body: bytes, charset: Charset = "auto") -> Node:
    """The root element. Raises GbError: ``gb28181.xml``, ``gb28181.xml_bounds``, ``gb28181.xml_forbidden``."""
    text = _DECLARATION.sub("", _ILLEGAL.sub("", decode(body, charset)), count=1).strip()
    text = _AMPERSAND.sub("&amp;", text)
    try:
        return _parse(text)
    except ParseError:
        pass
    try:
        return _parse(_mend(text))
    except ParseError as error:
        line, column = error.position
        raise GbError("gb28181.xml", f"the body is no XML (line {line}, column {column})") from None


def _parse(text: str) -> Node:
    parser = DefusedXMLParser(target=_Builder(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(text)
        made = parser.close()
    except DefusedXmlException:
        raise GbError("gb28181.xml_forbidden", "document types and entities are not accepted") from None
    except ParseError:
        raise
    except ValueError as error:  # expat on surrogates and the like
        if isinstance(error, GbError):
            raise
        raise GbError("gb28181.xml", "the body is no XML") from None
    assert isinstance(made, Node)
    return made


@dataclass(slots=True)
class _Token:
    """A tag in the text: from, to, its name, and whether it opens, closes or does both."""

    start: int
    end: int
    name: str
    rest: str
    closes: bool
    empty: bool
    is_text: bool = False


def _mend(text: str) -> str:
    """Escape every ``<`` that starts no tag, and tags that nothing closes; write all tags in lower case."""
    tokens: list[_Token] = []
    raw: list[int] = []  # places of a "<" that is text
    last = {end: text.rfind(end) for end in _SPECIAL.values()}
    position = 0
    while (position := text.find("<", position)) >= 0:
        if (behind := _special(text, position, last)) is not None:
            position = behind
        elif (tag := _TAG.match(text, position)) is not None:
            slash, name, rest, empty = tag.groups()
            tokens.append(_Token(tag.start(), tag.end(), name.lower(), rest, bool(slash), bool(empty)))
            position = tag.end()
        else:
            raw.append(position)
            position += 1
        if len(tokens) > 2 * MAX_NODES:
            raise GbError("gb28181.xml_bounds", "the body has too many elements")
    _match(tokens)
    pieces: list[str] = []
    position = 0
    marks = sorted([(each.start, each) for each in tokens] + [(at, None) for at in raw], key=lambda mark: mark[0])
    for start, token in marks:
        pieces.append(text[position:start])
        if token is None:
            pieces.append("&lt;")
            position = start + 1
        elif token.is_text:
            pieces.append(escape(text[start : token.end]))
            position = token.end
        else:
            slash, empty = "/" if token.closes else "", "/" if token.empty else ""
            pieces.append(f"<{slash}{token.name}{'' if token.closes else token.rest}{empty}>")
            position = token.end
    return "".join(pieces) + text[position:]


def _special(text: str, position: int, last: dict[str, int]) -> int | None:
    """Where a comment, a CDATA section or an instruction that starts here ends; None: none starts here.

    ``last`` says where each end stands last: without it many beginnings without an end would cost the square.
    """
    for begin, end in _SPECIAL.items():
        if text.startswith(begin, position) and position < last[end]:
            return text.index(end, position + len(begin)) + len(end) if position + len(begin) <= last[end] else None
    return position + 2 if text.startswith("<!", position) else None


def _match(tokens: Sequence[_Token]) -> None:
    """Find which tags belong together; the others are text."""
    open_tags: list[_Token] = []
    for token in tokens:
        if token.empty:
            continue
        if not token.closes:
            open_tags.append(token)
            continue
        # Only so far back as a body may be deep: else a hostile one costs the square of its length.
        depth = next((n for n in range(1, min(len(open_tags), 64) + 1) if open_tags[-n].name == token.name), 0)
        if depth == 0:
            token.is_text = True
            continue
        for unclosed in open_tags[len(open_tags) - depth + 1 :]:
            unclosed.is_text = True
        del open_tags[len(open_tags) - depth :]


# writing ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag:
    """An element to write: text, or children in the order given; attributes as pairs."""

    name: str
    content: "str | Sequence[Tag]" = ""
    attributes: tuple[tuple[str, str], ...] = ()


def write(root: Tag, charset: Literal["gb18030", "utf-8"] = "gb18030") -> bytes:
    """A body with declaration. GB18030 is declared as GB2312, which is what the standard names and devices expect."""
    declared = "GB2312" if charset == "gb18030" else "UTF-8"
    lines = [f'<?xml version="1.0" encoding="{declared}"?>']
    _write(root, lines)
    return ("\r\n".join(lines) + "\r\n").encode(charset, "replace")


def _write(tag: Tag, lines: list[str]) -> None:
    attributes = "".join(f" {name}={quoteattr(_ILLEGAL.sub('', value))}" for name, value in tag.attributes)
    if isinstance(tag.content, str):
        lines.append(f"<{tag.name}{attributes}>{escape(_ILLEGAL.sub('', tag.content))}</{tag.name}>")
        return
    lines.append(f"<{tag.name}{attributes}>")
    for each in tag.content:
        _write(each, lines)
    lines.append(f"</{tag.name}>")
