"""A sheet as text for a terminal, Chinese or English, aligned where Chinese letters are two columns wide."""

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from drills.score import Mark, Sheet
from drills.wording import STATUS

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "item": "项目", "points": "得分", "of": "满分", "status": "状态", "evidence": "依据（日志序号）",
        "total": "合计", "left_out": "未计分项满分 {0}", "run": "演练", "rubric": "评分表", "log": "日志",
    },
    "en": {
        "item": "Item", "points": "Points", "of": "Of", "status": "Status", "evidence": "Evidence (log numbers)",
        "total": "Total", "left_out": "items without points: {0}", "run": "Run", "rubric": "Rubric", "log": "Log",
    },
}  # fmt: skip


def width(text: str) -> int:
    """Columns that a text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def render(sheet: Sheet, language: str | None = None) -> str:
    """The sheet as a table. ``language`` zh or en; None: the rubric's own."""
    lang = "en" if (language or sheet.language) == "en" else "zh"
    words = _WORDS[lang]
    head = [words["item"], words["points"], words["of"], words["status"], words["evidence"]]
    rows = [head, *(_row(mark, lang) for mark in sheet.items)]
    rows.append([words["total"], sheet.points, sheet.of, _left_out(sheet, words), ""])
    columns = [max(width(row[place]) for row in rows) for place in range(4)]
    lines = [
        f"{words['run']}  {sheet.title} ({sheet.run})",
        f"{words['rubric']}  {sheet.rubric_en if lang == 'en' else sheet.rubric} · sha256 {sheet.rubric_sha256}",
        f"{words['log']}  {sheet.log_from}–{sheet.log_to}",
        "",
    ]
    for index, row in enumerate(rows):
        cells = [_pad(cell, columns[place]) for place, cell in enumerate(row[:4])]
        lines.append("  ".join([*cells, row[4]]).rstrip())
        if 0 < index < len(rows) - 1:
            mark = sheet.items[index - 1]
            lines.append(f"    {mark.explanation_en if lang == 'en' else mark.explanation}")
    return "\n".join([*lines, "", f"sha256 {sheet.sha256}", ""])


def _row(mark: Mark, lang: str) -> list[str]:
    title = mark.title_en if lang == "en" else mark.title
    status = STATUS[mark.status][1 if lang == "en" else 0]
    return [title, mark.points or "–", mark.of, status, " ".join(f"#{event.seq}" for event in mark.evidence)]


def _left_out(sheet: Sheet, words: Mapping[str, str]) -> str:
    without = sum((Decimal(mark.of) for mark in sheet.items if mark.points is None), Decimal(0))
    return words["left_out"].format(without) if without else ""
