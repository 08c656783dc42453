"""A rubric: what is measured, how it becomes points. Format 1, described in docs/drills.md."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, TypeAlias, cast

from drills.document import DocumentError, Fields, Node, duration, integer, read, refuse, scalar
from drills.formula import Counts, Form, Linear, Ratio, Step, Steps, Threshold
from drills.metrics import METRICS, Metric

MAX_ITEMS: Final = 64
MAX_STEPS: Final = 16

Language: TypeAlias = Literal["zh", "en"]
Absent: TypeAlias = Literal["not_exercised", "zero"]

_TOP: Final = frozenset({"rubric", "id", "title", "title_en", "language", "items"})
_ITEM: Final = frozenset({"id", "title", "title_en", "metric", "points", "form", "absent"})
_DECIMAL: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,2})?")

__all__ = ["DocumentError", "Item", "Rubric", "parse_rubric"]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the sheet. ``points`` is its weight; ``absent``: what it means that nothing asked for it."""

    id: str
    title: str
    title_en: str
    metric: Metric
    points: Decimal
    form: Form
    absent: Absent


@dataclass(frozen=True, slots=True)
class Rubric:
    """A sheet to be filled. ``sha256`` is of the text as written: that is what is frozen before a run."""

    id: str
    title: str
    title_en: str
    language: Language
    items: tuple[Item, ...]
    sha256: str


def parse_rubric(source: str) -> Rubric:
    """Read a rubric's YAML. Raises DocumentError with line and column."""
    top = Fields.of(read(source), "", _TOP)
    integer(top.need("rubric"), "rubric", low=1, high=1)
    title = top.text("title", limit=80)
    found: dict[str, Item] = {}
    for node, path in top.entries("items", low=1, high=MAX_ITEMS):
        item = _item(node, path)
        if item.id in found:
            refuse(node, f"the item {item.id!r} stands twice", path)
        found[item.id] = item
    return Rubric(
        id=top.identifier("id"),
        title=title,
        title_en=top.text("title_en", limit=80, default=title),
        language=cast(Language, top.choice("language", ("zh", "en"), "zh")),
        items=tuple(found.values()),
        sha256=hashlib.sha256(source.encode()).hexdigest(),
    )


def _item(node: Node, path: str) -> Item:
    # The form decides which keys are known, so it is looked at first, and an unknown form is its own error.
    form = Fields.of(node, path, _ITEM | frozenset().union(*(keys for keys, _ in _FORMS.values())))
    keys, build = _FORMS[form.choice("form", tuple(_FORMS))]
    fields = Fields.of(node, path, _ITEM | keys)
    metric = METRICS[fields.choice("metric", tuple(METRICS))]
    title = fields.text("title", limit=80)
    return Item(
        id=fields.identifier("id"),
        title=title,
        title_en=fields.text("title_en", limit=80, default=title),
        metric=metric,
        points=_decimal(fields.need("points"), fields.at("points"), low="0.01"),
        form=build(fields, metric),
        absent=cast(Absent, fields.choice("absent", ("not_exercised", "zero"), "not_exercised")),
    )


def _decimal(node: Node, path: str, *, low: str = "0", high: str = "1000") -> Decimal:
    leaf = scalar(node, path)
    if not leaf.plain or not _DECIMAL.fullmatch(leaf.value) or not Decimal(low) <= Decimal(leaf.value) <= Decimal(high):
        refuse(leaf, f"must be a number from {low} to {high} with at most two decimals", path)
    return Decimal(leaf.value)


def _steps(fields: Fields, metric: Metric) -> Form:
    steps: list[Step] = []
    for node, path in fields.entries("steps", low=1, high=MAX_STEPS):
        step = Fields.of(node, path, frozenset({"within", "percent"}))
        within = step.duration("within")
        percent = Fraction(_decimal(step.need("percent"), step.at("percent"), high="100"))
        if steps and within <= steps[-1].within_ms:
            refuse(step.need("within"), "must be later than the step before", step.at("within"))
        if steps and percent >= steps[-1].percent:
            refuse(step.need("percent"), "must be less than in the step before", step.at("percent"))
        steps.append(Step(within, percent))
    return Steps(tuple(steps))


def _linear(fields: Fields, metric: Metric) -> Form:
    full, zero = fields.duration("full"), fields.duration("zero")
    if zero <= full:
        refuse(fields.need("zero"), "must be later than full", fields.at("zero"))
    return Linear(full, zero)


def _within(fields: Fields, metric: Metric) -> int | None:
    node = fields.need("within")
    if scalar(node, fields.at("within")).value != "due":
        return duration(node, fields.at("within"))
    if not metric.has_due:
        refuse(node, f"{metric.id} carries no limit of its own, so 'due' says nothing", fields.at("within"))
    return None


def _threshold(fields: Fields, metric: Metric) -> Form:
    return Threshold(_within(fields, metric))


def _counts(fields: Fields, metric: Metric) -> Form:
    if (node := fields.get("false")) is not None and not metric.can_refuse:
        refuse(node, f"{metric.id} knows no refused answers", fields.at("false"))
    return Counts(_within(fields, metric), *(_deduction(fields, key) for key in ("late", "missing", "false")))


def _ratio(fields: Fields, metric: Metric) -> Form:
    within = _within(fields, metric)
    return Ratio(within, Fraction(_decimal(fields.need("per_percent"), fields.at("per_percent"), low="0.01")))


def _deduction(fields: Fields, key: str) -> Fraction:
    node = fields.get(key)
    return Fraction(0) if node is None else Fraction(_decimal(node, fields.at(key)))


_FORMS: Final[Mapping[str, tuple[frozenset[str], Callable[[Fields, Metric], Form]]]] = {
    "steps": (frozenset({"steps"}), _steps),
    "linear": (frozenset({"full", "zero"}), _linear),
    "threshold": (frozenset({"within"}), _threshold),
    "counts": (frozenset({"within", "late", "missing", "false"}), _counts),
    "ratio": (frozenset({"within", "per_percent"}), _ratio),
}
