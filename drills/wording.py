"""How a mark explains itself, in Chinese and English: what was measured, against which limit, what was left out."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

from drills.formula import Counts, Form, Linear, Outcome, Ratio, Steps, Threshold, Verdict
from drills.rubric import Item

STATUS: Final[Mapping[str, tuple[str, str]]] = {
    "scored": ("已计分", "scored"),
    "zero": ("零分", "zero"),
    "held": ("挂起", "held"),
    "not_exercised": ("未演练", "not exercised"),
}


def seconds(ms: int) -> str:
    """Seconds with one decimal, rounded up, so that what was late by a few milliseconds never looks in time."""
    tenths = -(-ms // 100)
    return f"{tenths // 10}.{tenths % 10}"


def explain(item: Item, verdicts: Sequence[Verdict], status: str) -> dict[str, str]:
    """The explanation by language."""
    return {"zh": _chinese(item, verdicts, status), "en": _english(item, verdicts, status)}


def _chinese(item: Item, verdicts: Sequence[Verdict], status: str) -> str:
    parts = [f"{_measured_zh(verdicts)}；{_rule_zh(item.form, item.metric.per_unit)}"]
    if not verdicts:
        parts = [f"演练中没有触发本项的事件；{_rule_zh(item.form, item.metric.per_unit)}"]
        parts.append("按评分表计零分" if status == "zero" else "不计入总分")
    elif status == "not_exercised":
        parts.append("不计入总分")
    if status == "held":
        faults = {event.seq for verdict in verdicts for event in verdict.observation.faults}
        parts.append(f"期间系统自身故障 {len(faults)} 次，本项挂起待评估，不扣分")
    return "；".join(parts)


def _english(item: Item, verdicts: Sequence[Verdict], status: str) -> str:
    parts = [f"{_measured_en(verdicts)}; {_rule_en(item.form, item.metric.per_unit)}"]
    if not verdicts:
        parts = [f"nothing in the run asked for this; {_rule_en(item.form, item.metric.per_unit)}"]
        parts.append("zero by the rubric" if status == "zero" else "not counted in the total")
    elif status == "not_exercised":
        parts.append("not counted in the total")
    if status == "held":
        faults = {event.seq for verdict in verdicts for event in verdict.observation.faults}
        parts.append(f"the hub itself failed meanwhile ({len(faults)}): held for an evaluator, nothing deducted")
    return "; ".join(parts)


def _tally(verdicts: Sequence[Verdict], outcome: Outcome) -> int:
    return sum(verdict.outcome is outcome for verdict in verdicts)


def _times(verdicts: Sequence[Verdict]) -> list[int]:
    return [verdict.observation.elapsed for verdict in verdicts if verdict.observation.elapsed is not None]


def _measured_zh(verdicts: Sequence[Verdict]) -> str:
    times = sorted({seconds(ms): ms for ms in _times(verdicts)}.values())
    parts = [f"应完成 {len(verdicts)} 项，按时 {_tally(verdicts, Outcome.IN_TIME)} 项"]
    if late := _tally(verdicts, Outcome.LATE):
        parts.append(f"逾期 {late} 项")
    if missing := _tally(verdicts, Outcome.MISSING):
        parts.append(f"未完成 {missing} 项")
    if unfinished := _tally(verdicts, Outcome.UNFINISHED):
        parts.append(f"演练结束时未到时限 {unfinished} 项（不计）")
    if refused := sum(verdict.refused for verdict in verdicts):
        parts.append(f"退回 {refused} 次")
    if len(times) == 1:
        parts.append(f"用时 {seconds(times[0])} 秒")
    elif times:
        parts.append(f"用时 {seconds(min(times))} 至 {seconds(max(times))} 秒")
    return "，".join(parts)


def _measured_en(verdicts: Sequence[Verdict]) -> str:
    times = sorted({seconds(ms): ms for ms in _times(verdicts)}.values())
    parts = [f"{len(verdicts)} asked, {_tally(verdicts, Outcome.IN_TIME)} in time"]
    if late := _tally(verdicts, Outcome.LATE):
        parts.append(f"{late} late")
    if missing := _tally(verdicts, Outcome.MISSING):
        parts.append(f"{missing} not done")
    if unfinished := _tally(verdicts, Outcome.UNFINISHED):
        parts.append(f"{unfinished} cut short by the end of the drill (not counted)")
    if refused := sum(verdict.refused for verdict in verdicts):
        parts.append(f"{refused} sent back")
    if len(times) == 1:
        parts.append(f"took {seconds(times[0])} s")
    elif times:
        parts.append(f"took {seconds(min(times))} to {seconds(max(times))} s")
    return ", ".join(parts)


def _plain(number: Fraction) -> str:
    """A number of at most two decimals, without trailing zeros."""
    hundredths = round(number * 100)
    text = f"{hundredths // 100}.{hundredths % 100:02d}"
    return text.rstrip("0").rstrip(".")


def _limit(ms: int) -> str:
    return str(ms // 1000)


def _rule_zh(form: Form, per_unit: bool) -> str:
    mean = "，各单位取平均" if per_unit else ""
    match form:
        case Steps(steps):
            return "，".join(f"≤ {_limit(step.within_ms)} 秒得 {_plain(step.percent)}%" for step in steps) + mean
        case Linear(full, zero):
            return f"≤ {_limit(full)} 秒满分，线性递减至 {_limit(zero)} 秒零分{mean}"
        case Threshold(within):
            return f"{_within_zh(within)}得分，否则零分{mean}"
        case Counts(within, late, missing, false):
            off = f"逾期每项扣 {_plain(late)} 分，缺失每项扣 {_plain(missing)} 分"
            return f"{_within_zh(within)}为按时，{off}" + (f"，退回每次扣 {_plain(false)} 分" if false else "")
        case Ratio(within, per_percent):
            return f"{_within_zh(within)}为按时，每缺 1 个百分点扣 {_plain(per_percent)} 分"


def _within_zh(ms: int | None) -> str:
    return "在指令规定时限内" if ms is None else f"≤ {_limit(ms)} 秒"


def _rule_en(form: Form, per_unit: bool) -> str:
    mean = ", mean over units" if per_unit else ""
    match form:
        case Steps(steps):
            return ", ".join(f"≤ {_limit(step.within_ms)} s gives {_plain(step.percent)} %" for step in steps) + mean
        case Linear(full, zero):
            return f"full at ≤ {_limit(full)} s, evenly to zero at {_limit(zero)} s{mean}"
        case Threshold(within):
            return f"all {_within_en(within)}, else nothing{mean}"
        case Counts(within, late, missing, false):
            off = f"late −{_plain(late)}, missing −{_plain(missing)}"
            return f"in time is {_within_en(within)}; {off}" + (f", sent back −{_plain(false)}" if false else "")
        case Ratio(within, per_percent):
            return f"in time is {_within_en(within)}; −{_plain(per_percent)} for each percentage point missing"


def _within_en(ms: int | None) -> str:
    return "within the order's own limit" if ms is None else f"≤ {_limit(ms)} s"
