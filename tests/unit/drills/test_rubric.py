"""Rubrics: the demo's are read, wrong ones are refused where they are wrong."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from drills.document import DocumentError
from drills.formula import Counts, Linear, Ratio, Step, Steps, Threshold
from drills.rubric import parse_rubric
from tests.unit.drills.rubrics import HEAD, one

DEMO = Path(__file__).parents[3] / "hub" / "demo" / "drill"

OK = "{id: i, title: t, metric: call.answered, points: 20, form: threshold, within: 60s}"
START = "{id: i, title: t, metric: call.answered, points: 20, "
BLOCK = "  - id: i\n    title: t\n    metric: call.answered\n    points: 20\n    form: steps\n    steps:\n"


def top(head: str) -> str:
    """A rubric with another head."""
    return f"{head}items:\n  - {OK}\n"


# The fault lies after the mark ¦, which is taken out before reading.
BAD: dict[str, tuple[str, str]] = {
    "no version": (top("¦id: r\ntitle: t\n"), "rubric"),
    "other version": (top("rubric: ¦2\nid: r\ntitle: t\n"), "rubric"),
    "quoted version": (top("rubric: ¦'1'\nid: r\ntitle: t\n"), "rubric"),
    "no id": (top("¦rubric: 1\ntitle: t\n"), "id"),
    "bad id": (top("rubric: 1\nid: ¦R 1\ntitle: t\n"), "id"),
    "empty title": (top("rubric: 1\nid: r\n¦title:\n"), "title"),
    "long title": (top(f"rubric: 1\nid: r\ntitle: ¦{'长' * 81}\n"), "title"),
    "title is a list": (top("rubric: 1\nid: r\ntitle: ¦[t]\n"), "title"),
    "language": (top("rubric: 1\nid: r\ntitle: t\nlanguage: ¦fr\n"), "language"),
    "unknown top key": (top("rubric: 1\nid: r\ntitle: t\n¦who: x\n"), ""),
    "no items": ("¦rubric: 1\nid: r\ntitle: t\n", "items"),
    "empty items": ("rubric: 1\nid: r\ntitle: t\nitems: ¦[]\n", "items"),
    "items is a mapping": ("rubric: 1\nid: r\ntitle: t\nitems: ¦{a: 1}\n", "items"),
    "item is text": (HEAD + "  - ¦x\n", "items[0]"),
    "twice the same item": (HEAD + f"  - {OK}\n  - ¦{OK}\n", "items[1]"),
    "unknown form": (HEAD + f"  - {START}form: ¦cliff}}\n", "items[0].form"),
    "no form": (HEAD + f"  - ¦{START}within: 60s}}\n", "items[0].form"),
    "unknown metric": (HEAD + f"  - {OK.replace('call.answered', '¦call.loud')}\n", "items[0].metric"),
    "unknown item key": (HEAD + f"  - {OK[:-1]}, ¦colour: red}}\n", "items[0]"),
    "key of another form": (HEAD + f"  - {OK[:-1]}, ¦zero: 60s}}\n", "items[0]"),
    "points zero": (HEAD + f"  - {OK.replace('20', '¦0')}\n", "items[0].points"),
    "points negative": (HEAD + f"  - {OK.replace('20', '¦-1')}\n", "items[0].points"),
    "points too many": (HEAD + f"  - {OK.replace('20', '¦1001')}\n", "items[0].points"),
    "points too fine": (HEAD + f"  - {OK.replace('20', '¦1.005')}\n", "items[0].points"),
    "points not a number": (HEAD + f"  - {OK.replace('20', '¦.nan')}\n", "items[0].points"),
    "points quoted": (HEAD + f"  - {OK.replace('20', '¦' + chr(34) + '20' + chr(34))}\n", "items[0].points"),
    "absent": (HEAD + f"  - {OK[:-1]}, absent: ¦full}}\n", "items[0].absent"),
    "within without unit": (HEAD + f"  - {OK.replace('60s', '¦60')}\n", "items[0].within"),
    "due without a limit": (HEAD + f"  - {OK.replace('60s', '¦due')}\n", "items[0].within"),
    "no within": (HEAD + f"  - ¦{START}form: threshold}}\n", "items[0].within"),
    "linear upside down": (HEAD + f"  - {START}form: linear, full: 60s, zero: ¦60s}}\n", "items[0].zero"),
    "no steps": (HEAD + f"  - ¦{START}form: steps}}\n", "items[0].steps"),
    "steps empty": (HEAD + f"  - {START}form: steps, steps: ¦[]}}\n", "items[0].steps"),
    "steps going back": (
        HEAD + BLOCK + "      - {within: 60s, percent: 100}\n      - {within: ¦60s, percent: 70}\n",
        "items[0].steps[1].within",
    ),
    "steps rising": (
        HEAD + BLOCK + "      - {within: 60s, percent: 70}\n      - {within: 90s, percent: ¦70}\n",
        "items[0].steps[1].percent",
    ),
    "step over 100": (HEAD + BLOCK + "      - {within: 1s, percent: ¦101}\n", "items[0].steps[0].percent"),
    "false where nothing is refused": (HEAD + f"  - {START}form: counts, within: 60s, false: ¦1}}\n", "items[0].false"),
    "anchors": (HEAD + f"  - ¦&x {OK}\n", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_rubric_is_refused_with_its_line_column_and_field(name: str) -> None:
    marked, path = BAD[name]
    before = marked.partition("¦")[0]
    place = (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    with pytest.raises(DocumentError) as caught:
        parse_rubric(marked.replace("¦", ""))
    assert (caught.value.line, caught.value.column, caught.value.path) == (*place, path), caught.value


def test_the_bad_table_differs_from_a_good_rubric_only_in_the_fault() -> None:
    assert parse_rubric(HEAD + f"  - {OK}\n").items[0].form == Threshold(60_000)


@pytest.mark.parametrize("name", ["flood", "crowd"])
def test_the_demo_rubrics_have_five_items_and_a_hundred_points(name: str) -> None:
    rubric = parse_rubric((DEMO / f"{name}.rubric.yaml").read_text("utf-8"))
    assert [item.id for item in rubric.items] == ["answered", "joined", "staged", "signed", "feedback"]
    assert sum(item.points for item in rubric.items) == 100
    assert all(item.title_en.isascii() for item in rubric.items)


def test_each_form_is_read_into_its_own_type() -> None:
    assert one(
        "metric: call.joined, points: 1.5, form: steps, steps: [{within: 1m, percent: 99.5}]"
    ).items[0].form == Steps((Step(60_000, Fraction(199, 2)),))  # fmt: skip
    assert one("metric: call.joined, points: 1, form: linear, full: 0s, zero: 1s").items[0].form == Linear(0, 1_000)
    assert one("metric: order.signed, points: 1, form: threshold, within: due").items[0].form == Threshold(None)
    assert one("metric: order.feedback, points: 9, form: counts, within: 2m, late: 1, missing: 3, false: 5").items[
        0
    ].form == Counts(120_000, Fraction(1), Fraction(3), Fraction(5))  # fmt: skip
    assert one("metric: call.joined, points: 1, form: ratio, within: 2m, per_percent: 0.5").items[0].form == Ratio(
        120_000, Fraction(1, 2)
    )
    assert one("metric: call.joined, points: 1.5, form: linear, full: 0s, zero: 1s").items[0].points == Decimal("1.5")


def test_the_hash_is_of_the_text_so_a_comment_changes_it() -> None:
    source = HEAD + f"  - {OK}\n"
    assert parse_rubric(source).sha256 != parse_rubric(source + "# later\n").sha256
    assert parse_rubric(source).items == parse_rubric(source + "# later\n").items
