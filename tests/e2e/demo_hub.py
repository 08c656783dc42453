"""A demo town of its own for browser tests: real processes, free ports, a data folder that is thrown away."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).parents[2]
SCENES: Final = ROOT / ".cache" / "demo-scenes"  # encoded once for every run of the tests
READY_S: Final = 60
LIBRARIES: Final = ("libGL.so.1", "libxcb.so.1")


@dataclass
class DemoHub:
    """A running `sharpeyes demo`."""

    process: subprocess.Popen[bytes]
    data: Path
    port: int
    output: Path
    children: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def person(self, role: str, unit: str | None = None) -> dict[str, str]:
        """Credentials of the first person of a role (and unit)."""
        people: list[dict[str, str]] = json.loads((self.data / "credentials.json").read_text())
        return next(p for p in people if p["role"] == role and unit in (None, p["unit"]))

    @contextmanager
    def client(self, role: str, unit: str | None = None) -> Iterator[httpx.Client]:
        """An HTTP client signed in by password as that person."""
        person = self.person(role, unit)
        with httpx.Client(base_url=f"{self.url}/api/v1", timeout=20, trust_env=False) as client:
            answer = client.post("/sessions", json={"username": person["username"], "password": person["password"]})
            answer.raise_for_status()
            client.cookies.clear()
            client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
            yield client

    def node(self, role: str) -> dict[str, Any] | None:
        """The registered node of a role, as /system tells it."""
        with self.client("system_admin") as client:
            nodes = client.get("/system").json()["nodes"]
        return next((node for node in nodes if node["role"] == role), None)

    def child(self, role: str) -> int:
        """Process id of a role's child process."""
        for pid in children_of(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"hub.cli" in command and role.encode() in command:
                return pid
        raise LookupError(role)


def running_hub(data: Path, port: int) -> DemoHub:
    """A hub that somebody else started; only what needs no process of it works."""
    found = subprocess.run(["pgrep", "-f", f"sharpeyes demo --port {port}"], capture_output=True, text=True, check=True)
    process = subprocess.Popen(["true"])
    process.pid = int(found.stdout.split()[-1])
    return DemoHub(process, data, port, data / "output.txt")


def children_of(pid: int) -> list[int]:
    """Direct children of a process, as the kernel tells them."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


OFFSETS: Final = (0, 1, 2, 3, 11)  # what one demo hub takes, and the media of a second relay


def free_ports() -> int:
    """A port so that it and those that a demo hub takes beside it are free for TCP and UDP now."""
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port > 65_000:
            continue
        with ExitStack() as held:
            try:
                for offset in OFFSETS:
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        held.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port
    raise RuntimeError("no free ports")


def prepare_scenes() -> Path:
    """Encode the demo's scenes once; later runs find them."""
    subprocess.run([sys.executable, "-m", "hub.demo.scenes", str(SCENES)], check=True, cwd=ROOT, timeout=600)
    return SCENES


@contextmanager
def demo_hub(**environment: str) -> Iterator[DemoHub]:
    """Start the demo town, wait for its ready line, end it and check that no process is left."""
    data = Path(tempfile.mkdtemp(prefix="sharpeyes-"))
    shutil.copytree(prepare_scenes() / "demo", data / "demo", dirs_exist_ok=True)
    output = data / "output.txt"
    port = free_ports()
    command = [sys.executable, "-m", "hub.cli", "demo", "--port", str(port), "--data", str(data)]
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
        )
    hub = DemoHub(process, data, port, output)
    try:
        asyncio.run(_until_ready(hub))
        yield hub
    finally:
        hub.children = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if not os.environ.get("E2E_KEEP_DATA"):
                shutil.rmtree(data, ignore_errors=True)
        assert process.returncode == 0
        assert not [pid for pid in hub.children if Path(f"/proc/{pid}").exists()], "a child was left"


async def _until_ready(hub: DemoHub) -> None:
    async with asyncio.timeout(READY_S):
        while "Ready in" not in hub.output.read_text():
            if hub.process.poll() is not None:
                raise RuntimeError(f"the hub ended at start:\n{hub.output.read_text()}")
            await asyncio.sleep(0.1)
        await asyncio.to_thread(_story_told, hub)


def _story_told(hub: DemoHub) -> None:
    """Wait until the demo's own small drill is scored, so that a test's drill is the only one that runs."""
    end = time.monotonic() + READY_S
    with hub.client("organiser") as api:
        while not any(run["points"] for run in api.get("/drills/runs").json()["items"]):
            if time.monotonic() > end:
                raise RuntimeError("the demo's story was not told in time")
            time.sleep(0.2)
