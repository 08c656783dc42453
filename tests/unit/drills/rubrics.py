"""Rubrics for tests."""

from drills.rubric import Rubric, parse_rubric

HEAD = "rubric: 1\nid: r\ntitle: 评分表\nitems:\n"

FIVE = (
    HEAD
    + """\
  - {id: answered, title: 接警, metric: call.answered, points: 20, form: steps, steps: [{within: 60s, percent: 100}, {within: 120s, percent: 70}]}
  - {id: joined, title: 到位, metric: call.joined, points: 20, form: linear, full: 60s, zero: 300s}
  - {id: staged, title: 上屏, metric: stage.camera, points: 20, form: threshold, within: 5m, absent: zero}
  - {id: signed, title: 签收, metric: order.signed, points: 20, form: threshold, within: due}
  - {id: feedback, title: 反馈, metric: order.feedback, points: 20, form: counts, within: due, late: 1, missing: 3, false: 5}
"""  # noqa: E501  # one item a line reads as a table
)


def five() -> Rubric:
    """The five items of a first drill."""
    return parse_rubric(FIVE)


def one(line: str) -> Rubric:
    """A rubric of one item, given as the rest of a flow mapping."""
    return parse_rubric(HEAD + f"  - {{id: i, title: 项, {line}}}\n")
