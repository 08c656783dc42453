"""Strict, bounded YAML for files that people write: every refusal names line and column.

Built on PyYAML's event stream, not on its constructor: scalars stay text until a field says what it wants
(so ``at: 1:30`` is never 90, and ``no`` is never False), and anchors, aliases, tags, directives, duplicate
keys, further documents, and more than the bounded size, depth and number of nodes are refused while
reading, before anything is built from them.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias

import yaml

MAX_CHARACTERS: Final = 65_536
MAX_DEPTH: Final = 8
MAX_NODES: Final = 8_000


class DocumentError(ValueError):
    """A YAML file is wrong. ``line`` and ``column`` count from 1; ``path`` names the field, as ``items[2].form``."""

    def __init__(self, message: str, *, line: int, column: int, path: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {path + ': ' if path else ''}{message}")
        self.message = message
        self.line = line
        self.column = column
        self.path = path


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf as written. ``plain`` is false when it was quoted or a block."""

    line: int
    column: int
    value: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    column: int
    items: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping from text; ``keys`` keeps the places of the keys."""

    line: int
    column: int
    values: dict[str, "Node"] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)


Node: TypeAlias = Scalar | Sequence | Mapping


def refuse(node: Node, message: str, path: str = "") -> NoReturn:
    """Raise DocumentError at the node's place."""
    raise DocumentError(message, line=node.line, column=node.column, path=path)


def read(text: str) -> Mapping:
    """Read one document whose root is a mapping. Raises DocumentError."""
    if len(text) > MAX_CHARACTERS:
        before = text[:MAX_CHARACTERS]
        line, column = _place(before, MAX_CHARACTERS)
        raise DocumentError(f"longer than {MAX_CHARACTERS} characters", line=line, column=column)
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        root = _build(_events(loader))
    except yaml.reader.ReaderError as error:
        line, column = _place(text, error.position)
        raise DocumentError("this character is not allowed", line=line, column=column) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DocumentError(f"not YAML: {error.problem or 'unreadable'}", line=line, column=column) from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, DocumentError):
            raise
        mark = loader.get_mark() if loader else None  # an escape beyond Unicode: PyYAML lets chr() fail
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DocumentError("not YAML: bad escape", line=line, column=column) from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(root, Mapping):
        refuse(root, "a mapping (key: value) is expected")
    return root


def _place(text: str, position: int) -> tuple[int, int]:
    head = text[:position]
    return head.count("\n") + 1, position - (head.rfind("\n") + 1) + 1


def _events(loader: yaml.SafeLoader) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped


def _build(events: Iterator[yaml.Event]) -> Node:
    """Build the tree without recursion, refusing what is not allowed as soon as it is seen."""
    root: Node | None = None
    stack: list[Sequence | Mapping] = []
    pending: list[Scalar | None] = []  # per open mapping: the key that waits for its value
    nodes = documents = 0
    for event in events:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1 or event.version or event.tags:
                raise DocumentError("one document without directives is expected", line=line, column=column)
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            pending.pop()
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            node = _node(event, line, column, nodes)
            if not stack:
                root = node
            else:
                _attach(stack[-1], pending, node)
            if not isinstance(node, Scalar):
                if len(stack) >= MAX_DEPTH:
                    refuse(node, f"nested deeper than {MAX_DEPTH}")
                stack.append(node)
                pending.append(None)
    if root is None:
        raise DocumentError("the document is empty", line=1, column=1)
    return root


def _node(event: yaml.NodeEvent, line: int, column: int, count: int) -> Node:
    if count > MAX_NODES:
        raise DocumentError(f"more than {MAX_NODES} nodes", line=line, column=column)
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise DocumentError("anchors and aliases are not allowed", line=line, column=column)
    if getattr(event, "tag", None) is not None:
        raise DocumentError("tags are not allowed", line=line, column=column)
    if isinstance(event, yaml.SequenceStartEvent):
        return Sequence(line, column)
    if isinstance(event, yaml.MappingStartEvent):
        return Mapping(line, column)
    assert isinstance(event, yaml.ScalarEvent)
    # Escapes can spell what the reader refuses (NUL, half a surrogate pair): such text cannot be stored.
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in event.value):
        raise DocumentError("control characters are not allowed", line=line, column=column)
    return Scalar(line, column, event.value, event.style is None)


def _attach(parent: Sequence | Mapping, pending: list[Scalar | None], node: Node) -> None:
    if isinstance(parent, Sequence):
        parent.items.append(node)
    elif (key := pending[-1]) is None:
        if not isinstance(node, Scalar):
            refuse(node, "a key must be text")
        if node.value in parent.values:
            refuse(node, f"the key {node.value[:40]!r} stands twice")
        pending[-1] = node
    else:
        parent.values[key.value] = node
        parent.keys[key.value] = key
        pending[-1] = None


_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_INTEGER: Final = re.compile(r"[0-9]{1,9}")
_UNITS: Final = re.compile(r"(?:([0-9]{1,3})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?")
_CLOCK: Final = re.compile(r"(?:([0-9]{1,2}):)?([0-9]{1,2}):([0-5][0-9])")


def scalar(node: Node, path: str) -> Scalar:
    """The node as a leaf. Raises DocumentError."""
    if not isinstance(node, Scalar):
        refuse(node, "a single value is expected", path)
    return node


def text(node: Node, path: str, *, limit: int) -> str:
    """Text of 1 to ``limit`` characters, ends trimmed. Raises DocumentError."""
    leaf = scalar(node, path)
    value = leaf.value.strip()
    if not value:
        refuse(leaf, "is empty", path)
    if len(value) > limit:
        refuse(leaf, f"is longer than {limit} characters", path)
    return value


def identifier(node: Node, path: str) -> str:
    """Lower-case letters, digits and dashes, 40 at most. Raises DocumentError."""
    leaf = scalar(node, path)
    if not _ID.fullmatch(leaf.value):
        refuse(leaf, "must be lower-case letters, digits and dashes, at most 40", path)
    return leaf.value


def integer(node: Node, path: str, *, low: int, high: int) -> int:
    """A whole number within bounds. Raises DocumentError."""
    leaf = scalar(node, path)
    if not leaf.plain or not _INTEGER.fullmatch(leaf.value) or not low <= int(leaf.value) <= high:
        refuse(leaf, f"must be a whole number from {low} to {high}", path)
    return int(leaf.value)


def duration(node: Node, path: str, *, high_ms: int = 86_400_000) -> int:
    """Milliseconds of ``90s``, ``2m``, ``1h``, ``1m30s``, ``02:30`` or ``01:00:00``. Raises DocumentError."""
    leaf = scalar(node, path)
    value = leaf.value.strip()
    if match := _CLOCK.fullmatch(value):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if match.group(1) and minutes > 59:
            refuse(leaf, "minutes go from 0 to 59", path)
    elif value and (match := _UNITS.fullmatch(value)):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
    else:
        refuse(leaf, "must be a time such as 90s, 2m, 1h, 1m30s or 02:30", path)
    found = ((hours * 60 + minutes) * 60 + seconds) * 1000
    if found > high_ms:
        refuse(leaf, f"must not be over {high_ms // 1000} s", path)
    return found


def items(node: Node, path: str, *, low: int, high: int) -> list[tuple[Node, str]]:
    """The entries of a list of ``low`` to ``high``, each with its path. Raises DocumentError."""
    if not isinstance(node, Sequence):
        refuse(node, "a list is expected", path)
    if not low <= len(node.items) <= high:
        refuse(node, f"must have {low} to {high} entries, not {len(node.items)}", path)
    return [(item, f"{path}[{index}]") for index, item in enumerate(node.items)]


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping whose keys are all known: unknown ones are refused at construction."""

    node: Mapping
    path: str

    @classmethod
    def of(cls, node: Node, path: str, known: frozenset[str]) -> "Fields":
        """Check the keys. Raises DocumentError at the first unknown key."""
        if not isinstance(node, Mapping):
            refuse(node, "a mapping (key: value) is expected", path)
        for name, key in node.keys.items():
            if name not in known:
                refuse(key, f"unknown key {name[:40]!r}; known: {', '.join(sorted(known))}", path)
        return cls(node, path)

    def at(self, key: str) -> str:
        """Path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def get(self, key: str) -> Node | None:
        """The value, or None when the key is absent or its value empty and unquoted."""
        value = self.node.values.get(key)
        if isinstance(value, Scalar) and value.plain and value.value == "":
            return None
        return value

    def need(self, key: str) -> Node:
        """The value. Raises DocumentError at the mapping (absent) or at the key (empty)."""
        if (value := self.get(key)) is None:
            place = self.node.keys.get(key, self.node)
            refuse(place, f"{key!r} is missing" if key not in self.node.keys else "is empty", self.at(key))
        return value

    def text(self, key: str, *, limit: int, default: str | None = None) -> str:
        """Text; ``default`` when absent."""
        if default is not None and self.get(key) is None:
            return default
        return text(self.need(key), self.at(key), limit=limit)

    def identifier(self, key: str) -> str:
        """An identifier."""
        return identifier(self.need(key), self.at(key))

    def duration(self, key: str) -> int:
        """Milliseconds."""
        return duration(self.need(key), self.at(key))

    def choice(self, key: str, known: tuple[str, ...], default: str | None = None) -> str:
        """One of the known words. Raises DocumentError."""
        if default is not None and self.get(key) is None:
            return default
        leaf = scalar(self.need(key), self.at(key))
        if leaf.value not in known:
            refuse(leaf, f"must be one of {', '.join(known)}", self.at(key))
        return leaf.value

    def entries(self, key: str, *, low: int, high: int) -> list[tuple[Node, str]]:
        """The entries of a list."""
        return items(self.need(key), self.at(key), low=low, high=high)
