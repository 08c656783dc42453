"""What every bench shares: arguments, the machine it ran on, a table or JSON."""

import argparse
import datetime
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path


def arguments(description: str) -> argparse.Namespace:
    """``--quick`` ends within a minute, ``--json`` prints one JSON object and nothing else."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args()


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; ``share`` is 0..1. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def machine() -> dict[str, str]:
    """Processor, cores, kernel and Python, and how many wanted a core in the last five minutes."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[1]:.1f}",
    }


def show(name: str, figures: Mapping[str, float], goals: Mapping[str, float], *, as_json: bool) -> None:
    """Print the figures: JSON with machine and date, or a table with goals (all goals are upper bounds)."""
    if as_json:
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        print(json.dumps({"bench": name, "date": date, "machine": machine(), "figures": dict(figures)}))
        return
    for name, text in machine().items():
        print(f"{name:<10} {text}")
    for key, value in figures.items():
        goal = goals.get(key)
        verdict = "" if goal is None else f"   goal <= {goal:g}: {'met' if value <= goal else 'MISSED'}"
        print(f"{key:<36} {value:>10.2f}{verdict}")
