"""Scenarios: the demo's are read, wrong ones are refused where they are wrong."""

import re
from pathlib import Path

import pytest

from drills.document import DocumentError
from drills.formula import Counts, Linear, Ratio, Steps, Threshold
from drills.metrics import METRICS
from drills.rubric import parse_rubric
from drills.scenario import MAX_INJECTS, METHODS, parse_scenario

DEMO = Path(__file__).parents[3] / "hub" / "demo" / "drill"
HEAD = "scenario: 1\nid: s\ntitle: 演练\nrubric: r\nunits: [a, b]\n"
INJECT = "{id: i, at: 90s, from: 甲, to: 乙, method: phone, message: 话, expected: 做}"
GOOD = HEAD + f"injects:\n  - {INJECT}\n"

BAD: dict[str, tuple[str, int, int, str]] = {
    "no version": (GOOD.replace("scenario: 1\n", ""), 1, 1, "scenario"),
    "no units": (GOOD.replace("units: [a, b]\n", ""), 1, 1, "units"),
    "unit twice": (GOOD.replace("[a, b]", "[a, a]"), 5, 12, "units[1]"),
    "bad unit": (GOOD.replace("[a, b]", "[a, B]"), 5, 12, "units[1]"),
    "no injects": (HEAD, 1, 1, "injects"),
    "unknown key": (GOOD + "judge: x\n", 8, 1, ""),
    "unknown inject key": (GOOD.replace("{id: i,", "{id: i, who: x,"), 7, 13, "injects[0]"),
    "inject twice": (GOOD + f"  - {INJECT}\n", 8, 5, "injects[1]"),
    "method": (GOOD.replace("phone", "smoke"), 7, 46, "injects[0].method"),
    "time": (GOOD.replace("90s", "soon"), 7, 17, "injects[0].at"),
    "time beyond a day": (GOOD.replace("90s", "25h"), 7, 17, "injects[0].at"),
    "no expected": (GOOD.replace(", expected: 做", ""), 7, 5, "injects[0].expected"),
    "empty message": (GOOD.replace("message: 话", "message: ''"), 7, 62, "injects[0].message"),
    "too many": (HEAD + "injects:\n" + "  - {}\n" * (MAX_INJECTS + 1), 7, 3, "injects"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_scenario_is_refused_with_its_line_column_and_field(name: str) -> None:
    source, line, column, path = BAD[name]
    with pytest.raises(DocumentError) as caught:
        parse_scenario(source)
    assert (caught.value.line, caught.value.column, caught.value.path) == (line, column, path), caught.value


def test_injects_come_in_the_order_of_their_times_and_the_title_falls_back_to_the_message() -> None:
    later = INJECT.replace("id: i", "id: j").replace("90s", "1m")
    scenario = parse_scenario(GOOD + f"  - {later}\n")
    assert [(inject.id, inject.at_ms) for inject in scenario.injects] == [("j", 60_000), ("i", 90_000)]
    assert scenario.injects[0].title == "话"
    assert scenario.title_en == "演练"


@pytest.mark.parametrize("name", ["flood", "crowd"])
def test_the_demo_scenarios_name_units_of_the_town_and_their_rubric(name: str) -> None:
    scenario = parse_scenario((DEMO / f"{name}.scenario.yaml").read_text("utf-8"))
    assert scenario.id == name
    assert f"id: {scenario.rubric}\n" in (DEMO / f"{name}.rubric.yaml").read_text("utf-8")
    assert len(scenario.units) >= 2
    assert len(scenario.injects) == 3


def test_the_examples_of_the_guide_are_read() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "drills.md").read_text("utf-8")
    scenario, rubric = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert parse_scenario(scenario).rubric == parse_rubric(rubric).id
    forms = [form.name for form in (Steps, Linear, Threshold, Counts, Ratio)]
    assert [name for name in (*METRICS, *forms) if f"| `{name}` |" not in guide] == []
    assert ", ".join(METHODS) in guide
