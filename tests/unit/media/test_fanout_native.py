"""The native half by itself: it compiles without a warning, stays within its buffers, and is chosen as it should be."""

import importlib
import subprocess
from pathlib import Path

import pytest

from hub.media.peer import fanout_build, fanout_native
from hub.media.peer.counters import Counters
from hub.media.peer.fanout_build import NotBuilt
from tests.unit.media.halves import NATIVE

SOURCE = Path(fanout_build.__file__).with_name("_fanout.c")
DRIVE = Path(__file__).with_name("fanout_drive.c")


def compiled(out: Path, *options: str) -> Path:
    """Compile with warnings as errors; skip where there is no compiler."""
    try:
        command = fanout_build.compiler()
    except NotBuilt as reason:
        pytest.skip(str(reason))
    command += ["-std=gnu11", "-Wall", "-Wextra", "-Werror", *options, "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_the_source_compiles_without_a_warning(tmp_path: Path) -> None:
    compiled(tmp_path / "fanout.o", "-O2", "-Wconversion", "-c", str(SOURCE))


@pytest.mark.parametrize("options", [(), ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")])
def test_every_answer_of_the_kernel_is_counted_and_no_byte_beyond_a_buffer_is_touched(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    if options:
        probe = tmp_path / "probe.c"
        probe.write_text("int main(void) { return 0; }")
        try:
            linked = subprocess.run(
                [*fanout_build.compiler(), *options, str(probe), "-o", str(tmp_path / "probe")],
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
        except NotBuilt as reason:
            pytest.skip(str(reason))
        if linked.returncode:
            pytest.skip("the compiler's sanitizers are not installed (libasan, libubsan)")
    program = compiled(tmp_path / "drive", "-g", "-O1", *options, f"-I{SOURCE.parent}", str(DRIVE))
    ran = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_build_where_no_compiler_is_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotBuilt, match=r"^there is no C compiler \(gcc\)$"):
        fanout_build.build(tmp_path)
    monkeypatch.setenv("CC", "/bin/false")
    with pytest.raises(NotBuilt, match=r"^/bin/false failed: $"):
        fanout_build.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _gone(name: str) -> object:
    raise ImportError(f"No module named {name!r}")


def test_without_a_build_the_python_half_serves_and_a_demanded_native_one_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib, "import_module", _gone)
    assert fanout_native.choose("", -1, Counters()).half == "python"
    assert fanout_native.choose("python", -1, Counters()).half == "python"
    with pytest.raises(RuntimeError, match=r"^SHARPEYES_FANOUT=native, but it is not built .*make native"):
        fanout_native.choose("native", -1, Counters())


@NATIVE
def test_a_build_is_used_unless_python_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [fanout_native.choose(which, -1, Counters()).half for which in ("", "native", "python")] == [
        "native", "native", "python",
    ]  # fmt: skip
    monkeypatch.setattr(fanout_build, "VERSION", 0)
    assert fanout_native.choose("", -1, Counters()).half == "python"
    with pytest.raises(RuntimeError, match="another version"):
        fanout_native.choose("native", -1, Counters())
