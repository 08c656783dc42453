"""Compiles the native half of the fan-out: ``python -m hub.media.peer.fanout_build`` into this folder.

cffi in API mode with the limited API, so one build serves every Python from 3.11 on. ``pip install`` calls ``build``
by ``hatch_build.py``; where no compiler or no Python header is at hand it says so in one line and leaves it.
"""

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

NAME: Final = "_fanout.abi3.so"
VERSION: Final = 2  # FAN_VERSION in _fanout.c: a build of another version is not loaded
WARNINGS: Final = ("-std=gnu11", "-Wall", "-Wextra")
TIMEOUT_S: Final = 120

# What of _fanout.c Python sees.
DECLARED: Final = """
#define FAN_VERSION ...
#define FAN_SLOTS ...
struct fan_job { uint64_t session; uint64_t name; uint32_t name_length; uint32_t number; int32_t transport;
                 uint32_t ssrc; uint16_t kind; uint16_t failed; uint32_t unused; };
struct fan_batch { uint64_t protect; char *work; const int *sizes; int fd; int count; int stride; int tag;
                   int transport_at; int gso; uint32_t refused; uint32_t dropped; uint32_t errors; };
int fan_live(struct fan_batch *batch, const char *laid, struct fan_job *jobs, int count);
int fan_exact(struct fan_batch *batch, struct fan_job *job);
"""


class NotBuilt(Exception):
    """There is no native half; the message is one plain line."""


def compiler() -> list[str]:
    """The C compiler: ``CC``, else ``cc`` or ``gcc``. Raises NotBuilt."""
    if given := shlex.split(os.environ.get("CC", "")):
        return given
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    raise NotBuilt("there is no C compiler (gcc)")


def build(folder: Path) -> Path:
    """Compile into ``folder``; the file that was made. Raises NotBuilt."""
    command = compiler()
    if not any((Path(where) / "Python.h").exists() for where in _includes()):
        raise NotBuilt("Python's header files are missing (python3-dev)")
    try:
        from cffi import FFI
    except ImportError:
        raise NotBuilt("cffi is not installed") from None
    ffi = FFI()
    ffi.cdef(DECLARED)
    source = Path(__file__).with_name("_fanout.c").read_text(encoding="utf-8")
    ffi.set_source("_fanout", source)
    with tempfile.TemporaryDirectory() as scratch:
        made, out = Path(scratch) / "_fanout_cffi.c", Path(scratch) / NAME
        with contextlib.redirect_stdout(io.StringIO()):  # it tells what it writes
            ffi.emit_c_code(str(made))
        options = ["-O3", "-fPIC", "-shared", *WARNINGS, "-Wno-unused-parameter", "-Wno-cast-function-type"]
        command += [*options, *(f"-I{where}" for where in _includes()), str(made), "-o", str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotBuilt(f"{command[0]}: {error}") from None
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-200:])
            raise NotBuilt(f"{command[0]} failed: {said.strip()}")
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{NAME}.{os.getpid()}"  # a running relay may have the former one mapped
        shutil.copyfile(out, fresh)
        fresh.chmod(0o755)
        return fresh.replace(folder / NAME)


def _includes() -> list[str]:
    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("include", "platinclude")))


def main() -> int:
    """Build beside this file, or say in one line why not; that is no failure."""
    try:
        print(f"Native half of the fan-out: {build(Path(__file__).parent)}")
    except NotBuilt as reason:
        print(f"Native half of the fan-out not built: {reason}. The Python half serves.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
