"""Fuzzing what strangers send: ``make soak``, ten minutes a target (``SECONDS_EACH=60``: shorter). Skipped without it.

With atheris installed coverage leads the way, and what it finds is kept in FUZZ_CORPUS (``.fuzz`` by default).
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.fuzz import mutate, seeds
from tests.soak.targets import TARGETS

SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))
ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(not SECONDS, reason="set SOAK_SECONDS, or use make soak"),
    pytest.mark.timeout(int(SECONDS) + 120),
]


@pytest.mark.parametrize("name", TARGETS)
def test_changed_captures_crash_nothing(name: str) -> None:
    assert mutate(TARGETS[name], seeds(name), SECONDS, seed=os.getpid()) > 10


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="pip install atheris")
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzzer_that_sees_the_code_finds_no_crash(name: str, tmp_path: Path) -> None:
    kept = Path(os.environ.get("FUZZ_CORPUS", ROOT / ".fuzz")) / name
    kept.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={int(SECONDS)}", f"-artifact_prefix={tmp_path}/", "-print_final_stats=1"]
    found = subprocess.run(
        [sys.executable, "-m", "tests.soak.fuzz", name, str(kept), *options], cwd=ROOT, capture_output=True, check=False
    )
    said = found.stderr.decode(errors="replace") + found.stdout.decode(errors="replace")
    crashes = [path.read_bytes() for path in tmp_path.iterdir()]
    assert found.returncode == 0, f"{crashes!r}\n{said[-4_000:]}"
