"""What the relay costs and how soon a viewer has a picture. The relay is a process of its own, the viewers are here.

``python -m tests.bench.relay [--quick] [--json]``. The cost is the relay process' own CPU time, everything included,
over the RTP packets that it sent: 2 Mbit/s H.264, 720p25, key frame every 2 s, AES-256-GCM, on the loopback.
"full" viewers ask for RTX, mid and transport-cc and answer with feedback every 100 ms, as browsers do.
First frame: from the offer to the last packet of a whole key frame, with ICE and DTLS; cold opens a real RTSP source.
"""

import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog

from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from tests.bench.common import arguments, percentile, show
from tests.bench.light_client import LightViewer
from tests.bench.relay_process import WARM, film

GOALS: Final = {
    "relay_cpu_us_per_packet_full_n30": 12.0,
    "relay_cpu_us_per_packet_n30": 15.0,
    "first_frame_warm_ms_p95": 500.0,
}


class Relay:
    """The child process and its line protocol."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["Relay"]:
        """Start it, and end it with its standard input."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.relay_process",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def ask(self, do: str, **more: str) -> dict[str, Any]:
        """One command, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the relay process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def viewer(self, stream: str, *, full: bool = False) -> LightViewer:
        """A viewer of one stream, connected; ``full``: with RTX, mid and transport-cc, as a browser asks."""
        viewer = LightViewer(full=full)

        async def post(sdp: str) -> str:
            return str((await self.ask("whep", stream=stream, sdp=sdp))["sdp"])

        await viewer.join(post)
        return viewer


async def cost(relay: Relay, viewers: int, seconds: float, *, full: bool = False) -> tuple[float, float]:
    """CPU µs per packet sent, and the share of packets that came, with so many viewers."""
    joined = [await relay.viewer(WARM, full=full) for _ in range(viewers)]
    for viewer in joined:
        await viewer.seen.wait()
    await asyncio.sleep(0.5)
    before, had = await relay.ask("figures"), sum(v.packets for v in joined)
    await asyncio.sleep(seconds)
    after, have = await relay.ask("figures"), sum(v.packets for v in joined)
    for viewer in joined:
        await viewer.close()
    sent = after["packets_out"] - before["packets_out"]
    return (after["cpu"] - before["cpu"]) / sent * 1e6, (have - had) / sent


async def warm(relay: Relay, times: int) -> list[float]:
    """First frame of a running stream, ms."""
    found = []
    for _ in range(times):
        viewer = await relay.viewer(WARM)
        await viewer.seen.wait()
        found.append((viewer.first_frame_s or 0.0) * 1000)
        await viewer.close()
        await asyncio.sleep(0.13)  # not in step with the key frames
    return found


async def cold(relay: Relay, times: int) -> list[float]:
    """First frame of a stream whose camera nobody watched, ms; the camera is a real RTSP server in this process."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.h264"
        file.write_bytes(b"".join(data for data, _ in film()))
        async with RtspServer([CameraFile("cam", file)]).listening("127.0.0.1", 0) as server:
            await server.film_of(server.cameras["cam"])
            for i in range(times):
                name = f"cold-{i}"
                await relay.ask("cold", stream=name, url=f"rtsp://127.0.0.1:{server.port}/cam")
                viewer = await relay.viewer(name)
                await viewer.seen.wait()
                found.append((viewer.first_frame_s or 0.0) * 1000)
                await viewer.close()
                await relay.ask("forget", stream=name)
    return found


async def measure(*, quick: bool) -> dict[str, float]:
    """All figures."""
    figures: dict[str, float] = {}
    made = film()
    figures["source_mbit_per_s"] = sum(len(data) for data, _ in made) * 8 / (len(made) / 25) / 1e6
    sizes: Sequence[int] = (1, 10, 30)
    async with Relay.running() as relay:
        await relay.ask("warm")
        for viewers in sizes:
            spent, arrived = await cost(relay, viewers, 4 if quick else 15)
            figures[f"relay_cpu_us_per_packet_n{viewers}"] = spent
            figures[f"arrived_share_n{viewers}"] = arrived
        spent, arrived = await cost(relay, sizes[-1], 4 if quick else 15, full=True)
        figures[f"relay_cpu_us_per_packet_full_n{sizes[-1]}"] = spent
        figures[f"arrived_share_full_n{sizes[-1]}"] = arrived
        figures["first_frame_warm_ms_p95"] = percentile(await warm(relay, 10 if quick else 40), 0.95)
        figures["first_frame_cold_ms_p95"] = percentile(await cold(relay, 4 if quick else 20), 0.95)
        counters = await relay.ask("figures")
        figures["drops"] = counters["drops"]
        figures["internal_errors"] = counters["internal_errors"]
    return figures


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    chosen = arguments("Cost of the relay per packet, and time to the first frame.")
    show("relay", asyncio.run(measure(quick=chosen.quick)), GOALS, as_json=chosen.json)
