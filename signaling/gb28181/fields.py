"""How the fields of a MANSCDP message are read and written: a dataclass field names its tag and its kind.

Reading is tolerant: what is missing or senseless becomes the default. Writing keeps the order of the fields, which is
the order of the elements in the standard.
"""

import math
from collections.abc import Iterable
from dataclasses import MISSING, Field, field, fields
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from signaling.gb28181.times import format_time, parse_time
from signaling.gb28181.xml import Node, Tag

M = TypeVar("M")


class Group(Protocol):
    """A dataclass whose fields were made by the functions below."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class Kind(Protocol):
    """One kind of element."""

    def read(self, node: Node) -> Any:
        """The value; None where it makes no sense, so that the default stays."""

    def write(self, tag: str, value: Any) -> Iterable[Tag]:
        """Elements to write; none where there is nothing to say."""


class _Text:
    def __init__(self, limit: int) -> None:
        self.limit = limit

    def read(self, node: Node) -> str | None:
        return node.text[: self.limit] or None

    def write(self, tag: str, value: str | None) -> Iterable[Tag]:
        return () if value is None or value == "" else (Tag(tag, value[: self.limit]),)


class _Integer:
    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def read(self, node: Node) -> int | None:
        try:
            value = int(float(node.text[:32]))
        except (ValueError, OverflowError):
            return None
        return value if self.low <= value <= self.high else None

    def write(self, tag: str, value: int | None) -> Iterable[Tag]:
        return () if value is None else (Tag(tag, str(value)),)


class _Number:
    def read(self, node: Node) -> float | None:
        try:
            value = float(node.text[:32])
        except ValueError:
            return None
        return value if math.isfinite(value) and abs(value) < 1e12 else None

    def write(self, tag: str, value: float | None) -> Iterable[Tag]:
        return () if value is None else (Tag(tag, f"{value:.7f}".rstrip("0").rstrip(".")),)


class _Time:
    def read(self, node: Node) -> int | None:
        return parse_time(node.text)

    def write(self, tag: str, value: int | None) -> Iterable[Tag]:
        return () if value is None else (Tag(tag, format_time(value)),)


class _Yes:
    """True and false as two words, compared without regard to case; other words are None."""

    def __init__(self, yes: tuple[str, ...], no: tuple[str, ...]) -> None:
        self.yes, self.no = yes, no

    def read(self, node: Node) -> bool | None:
        word = node.text.upper()
        if word in {each.upper() for each in self.yes}:
            return True
        return False if word in {each.upper() for each in self.no} else None

    def write(self, tag: str, value: bool | None) -> Iterable[Tag]:
        return () if value is None else (Tag(tag, (self.yes if value else self.no)[0]),)


class _Nested:
    def __init__(self, made: type[Any]) -> None:
        self.made = made

    def read(self, node: Node) -> Any:
        return read_group(self.made, node)

    def write(self, tag: str, value: Any) -> Iterable[Tag]:
        if value is None or not (content := write_group(value)):
            return ()
        return (Tag(tag, content),)


class _Listed:
    """``<DeviceList Num="2"><Item>…``; an item that cannot be read is left out. ``made`` None: plain texts."""

    def __init__(self, made: type[Any] | None, item: str, limit: int, *, num: bool) -> None:
        self.made, self.item, self.limit, self.num = made, item, limit, num

    def read(self, node: Node) -> tuple[Any, ...]:
        found: list[Any] = []
        for each in node.every(self.item):
            if len(found) == self.limit:
                break
            if self.made is None:
                found.append(each.text[:200])
            elif (item := read_group(self.made, each)) is not None:
                found.append(item)
        return tuple(found)

    def write(self, tag: str, value: tuple[Any, ...] | None) -> Iterable[Tag]:
        if value is None:
            return ()
        items = [Tag(self.item, each if self.made is None else write_group(each)) for each in value]
        return (Tag(tag, items, (("Num", str(len(items))),) if self.num else ()),)


def _made(tag: str, kind: Kind, default: Any, also: tuple[str, ...] = (), *, must: bool = False) -> Any:
    metadata = {"tag": tag, "names": tuple(name.lower() for name in (tag, *also)), "kind": kind, "must": must}
    return field(default=default, metadata=metadata) if default is not MISSING else field(metadata=metadata)


def text(tag: str, default: Any = "", *, limit: int = 200, also: tuple[str, ...] = (), must: bool = False) -> Any:
    """A text; longer ones are cut. ``also``: other names that devices use. ``must``: an item without it is none."""
    return _made(tag, _Text(limit), MISSING if must else default, also, must=must)


def integer(tag: str, default: Any = None, *, low: int = 0, high: int = 2**31 - 1, also: tuple[str, ...] = ()) -> Any:
    """A whole number from ``low`` to ``high``; others are as if absent."""
    return _made(tag, _Integer(low, high), default, also)


def number(tag: str, *, also: tuple[str, ...] = ()) -> Any:
    """A finite number or None."""
    return _made(tag, _Number(), None, also)


def time(tag: str, *, also: tuple[str, ...] = ()) -> Any:
    """Unix seconds or None."""
    return _made(tag, _Time(), None, also)


def yes(tag: str, yes: tuple[str, ...], no: tuple[str, ...], default: bool | None = None) -> Any:
    """True, False or None; the first word of each is written."""
    return _made(tag, _Yes(yes, no), default)


def result(default: bool | None = None) -> Any:
    """``Result``: OK or ERROR."""
    return yes("Result", ("OK",), ("ERROR", "FAIL", "FAILED"), default)


def switch(tag: str, default: bool | None = None) -> Any:
    """ON or OFF, and what devices write for it."""
    return yes(tag, ("ON", "OK", "ONLINE", "1", "TRUE"), ("OFF", "OFFLINE", "0", "ERROR", "FALSE", "DEFECT"), default)


def nested(tag: str, made: type[Any], *, also: tuple[str, ...] = ()) -> Any:
    """Another group or None."""
    return _made(tag, _Nested(made), None, also)


def listed(tag: str, made: type[Any] | None, item: str = "Item", *, limit: int = 20_000, num: bool = True) -> Any:
    """A list with the attribute Num; empty when absent."""
    return _made(tag, _Listed(made, item, limit, num=num), ())


_Plan: TypeAlias = tuple[tuple[str, str, Kind], ...]  # field, tag to write, kind


class _Plans:
    """What the fields of a class say, looked up once."""

    def __init__(self, made: type[Any]) -> None:
        told = [each for each in fields(made) if "tag" in each.metadata]
        self.write: _Plan = tuple((each.name, each.metadata["tag"], each.metadata["kind"]) for each in told)
        self.read = {name: (each.name, each.metadata["kind"]) for each in told for name in each.metadata["names"]}
        self.must = frozenset(each.name for each in told if each.metadata["must"])


_PLANS: dict[type[Any], _Plans] = {}


def _plans(made: type[Any]) -> _Plans:
    if (found := _PLANS.get(made)) is None:
        found = _PLANS[made] = _Plans(made)
    return found


def read_values(made: type[Any], node: Node) -> dict[str, Any]:
    """Arguments for ``made`` as far as ``node`` gives them; the first element that makes sense counts."""
    found: dict[str, Any] = {}
    plan = _plans(made).read
    for child in node.children:
        if (meant := plan.get(child.name)) is not None and meant[0] not in found:
            value = meant[1].read(child)
            if value is not None:
                found[meant[0]] = value
    return found


def read_group(made: type[M], node: Node) -> M | None:
    """A group from its element; None when something that it must have is missing."""
    values = read_values(made, node)
    return made(**values) if _plans(made).must <= values.keys() else None


def write_group(value: Group) -> list[Tag]:
    """Elements of a group, in the order of its fields."""
    tags: list[Tag] = []
    for name, tag, kind in _plans(type(value)).write:
        tags += kind.write(tag, getattr(value, name))
    return tags
