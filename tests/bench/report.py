"""Runs benches and writes their figures into docs/benchmarks.md: ``python -m tests.bench.report [--quick] [NAME …]``.

Each bench owns the lines between its two markers; what stands around them is written by hand and stays.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
BENCHES: Final = ("relay", "browser", "source", "transcode", "ps", "sip", "vision")


def run(name: str, *, quick: bool) -> dict[str, Any]:
    """One bench's JSON. Raises CalledProcessError when it failed."""
    command = [sys.executable, "-m", f"tests.bench.{name}", "--json", *(["--quick"] if quick else [])]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=900)
    found: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
    return found


def table(result: dict[str, Any], *, quick: bool) -> str:
    """The figures as Markdown, with command, machine and date."""
    machine = result["machine"]
    command = f"python -m tests.bench.{result['bench']}{' --quick' if quick else ''}"
    lines = [
        f"`{command}` · {result['date']} · {machine['processor']}, {machine['cores']} cores (shared), "
        f"Linux {machine['kernel']}, Python {machine['python']}, load {machine['load']}",
        "",
        "| key | figure |",
        "| --- | ---: |",
    ]
    lines += [f"| `{key}` | {value:,.2f} |" for key, value in result["figures"].items()]
    return "\n".join(lines)


def replaced(text: str, name: str, section: str) -> str:
    """The document with one bench's section renewed. Raises ValueError where the markers are missing."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, mark, rest = text.partition(start)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"{DOCUMENT} has no markers for {name}")
    return f"{before}{start}\n{section}\n{end}{after}"


def main() -> int:
    """Run what was named (all, unless told) and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs")
    parser.add_argument("names", nargs="*", help="benches; all unless told")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHES):
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    for name in given.names or BENCHES:
        print(f"{name} …", flush=True)
        result = run(name, quick=given.quick)
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replaced(text, name, table(result, quick=given.quick)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
