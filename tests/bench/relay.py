"""What the relay costs and how soon a viewer has a picture. The relay is a process of its own, the viewers are here.

``python -m tests.bench.relay [--quick] [--json]``. The cost is the relay process' own CPU time, everything included,
over the RTP packets that it sent: 2 Mbit/s H.264, 720p25, key frame every 2 s, AES-256-GCM, on the loopback.
Viewers ask for RTX, mid, abs-send-time and transport-cc and answer with feedback every 100 ms, as browsers do;
"bare" ones ask for nothing, like those that Janus and stock aiortc get beside it.
First frame: from the offer to the last packet of a whole key frame, with ICE and DTLS; cold opens a real RTSP source.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import uvloop

from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from tests.bench import rivals
from tests.bench.common import arguments, percentile, show
from tests.bench.light_client import PATIENCE_S
from tests.bench.load_client import LoadViewer
from tests.bench.relay_link import Relay
from tests.bench.relay_process import WARM, film
from tests.unit.media.halves import missing

GOALS: Final = {
    **{f"relay_cpu_us_per_packet_n{n}": 6.0 for n in (30, 100)},
    **{f"relay_cpu_us_per_packet_python_n{n}": 12.0 for n in (30, 100)},
    "added_latency_ms_p99_n100": 10.0,
    "added_latency_own_ms_p99_n100": 10.0,
    "first_frame_warm_ms_p95": 150.0,
    "viewer_memory_kib": 64.0,
}
STREAMS: Final = 16
FIRST: Final = 50  # viewers, before memory is looked at


async def join(relay: Relay, viewers: int, streams: Sequence[str], *, full: bool = True) -> list[LoadViewer]:
    """So many viewers, spread over the streams, some at a time; back when each has a picture."""
    joined: list[LoadViewer] = []
    at_once = asyncio.Semaphore(8)

    async def one(stream: str) -> None:
        async with at_once:
            joined.append(await relay.viewer(stream, full=full))

    async with asyncio.TaskGroup() as group:
        for n in range(viewers):
            group.create_task(one(streams[n % len(streams)]))
    for viewer in joined:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await viewer.seen.wait()
        except TimeoutError as error:
            raise RuntimeError(f"a viewer sees no picture; {viewer.progress}, {viewer.packets} packets") from error
    return joined


async def cost(
    relay: Relay, viewers: int, seconds: float, streams: Sequence[str] = (WARM,), *, full: bool = True
) -> tuple[float, float]:
    """CPU µs per packet sent, and the share of packets that came, with so many viewers."""
    joined = await join(relay, viewers, streams, full=full)
    await asyncio.sleep(1.0)
    before, had = await relay.ask("figures"), sum(v.packets for v in joined)
    await asyncio.sleep(seconds)
    after, have = await relay.ask("figures"), sum(v.packets for v in joined)
    await leave(joined)
    sent = after["packets_out"] - before["packets_out"]
    return (after["cpu"] - before["cpu"]) / sent * 1e6, (have - had) / sent


async def leave(viewers: Sequence[LoadViewer]) -> None:
    """Close them all."""
    for viewer in viewers:
        await viewer.close()


async def costs(figures: dict[str, float], half: str, *, quick: bool) -> None:
    """One half of the fan-out at every number of viewers."""
    mark = "" if half == "native" else "python_"
    seconds = 3.0 if quick else 15.0
    async with Relay.running(half) as relay:
        await relay.ask("warm", stream=WARM)
        for viewers in (1, 10, 30, 100, 300):
            if quick and (viewers == 300 or (half == "python" and viewers == 10)):
                continue
            spent, arrived = await cost(relay, viewers, seconds if viewers < 300 else min(seconds, 8.0))
            figures[f"relay_cpu_us_per_packet_{mark}n{viewers}"] = spent
            figures[f"arrived_share_{mark}n{viewers}"] = arrived
        spent, _ = await cost(relay, 30, seconds, full=False)
        figures[f"relay_cpu_us_per_packet_{mark}bare_n30"] = spent
        await relay.ask("forget", stream=WARM)
        if quick and half == "python":
            sizes: tuple[int, ...] = ()
        else:
            sizes = (100,) if quick else (30, 100, 300)
        names = [f"{WARM}-{n}" for n in range(STREAMS)]
        for name in names:
            await relay.ask("warm", stream=name)
        await asyncio.sleep(0.5)
        for viewers in sizes:
            spent, arrived = await cost(relay, viewers, seconds, names)
            figures[f"relay_cpu_us_per_packet_{mark}s{STREAMS}_n{viewers}"] = spent
            figures[f"arrived_share_{mark}s{STREAMS}_n{viewers}"] = arrived
        counters = await relay.ask("figures")
        for name in ("drops", "send_errors", "internal_errors"):
            figures[name] = figures.get(name, 0) + counters[name]


async def latency(relay: Relay, viewers: int, seconds: float) -> dict[str, float]:
    """From the access unit's publication on, ms: until the kernel took in the last packet of its frame at the last
    of the viewers; and until the relay had handed it over, without the time that it was ready and had no core."""
    joined = await join(relay, viewers - 5, (WARM,))
    watched = [await relay.viewer(WARM, full=True, timed=True) for _ in range(5)]  # the last: nobody is served later
    for viewer in watched:
        await viewer.seen.wait()
    await asyncio.sleep(1.0)
    await relay.ask("watch")
    for viewer in watched:
        viewer.frames.clear()
    await asyncio.sleep(seconds)
    own = (await relay.ask("watched"))["frames"]
    published = dict((await relay.ask("published", stream=WARM))["frames"])
    found = [(at - published[stamp]) / 1e6 for v in watched for stamp, at in v.frames if stamp in published]
    await leave([*joined, *watched])
    return {
        f"added_latency_ms_p50_n{viewers}": percentile(found, 0.5),
        f"added_latency_ms_p95_n{viewers}": percentile(found, 0.95),
        f"added_latency_ms_p99_n{viewers}": percentile(found, 0.99),
        f"added_latency_own_ms_p99_n{viewers}": percentile([took - waited for took, waited in own], 0.99),
        f"added_latency_no_core_ms_p99_n{viewers}": percentile([waited for _, waited in own], 0.99),
    }


async def warm(relay: Relay, times: int) -> list[tuple[float, float, float]]:
    """A join of a running stream, ms: first frame; when the burst is over; how far behind the source it is then.

    The burst is over with the first frame that carries the timestamp of a published one, all before it being drawn
    together; the lag is how long the next frame, which the source publishes after that, takes to come.
    """
    found = []
    for _ in range(times):
        viewer = await relay.viewer(WARM, timed=True)
        began = time.time_ns() - round((time.perf_counter() - viewer.began) * 1e9)
        await viewer.seen.wait()
        await asyncio.sleep(0.25)
        of: dict[int, int] = dict((await relay.ask("published", stream=WARM))["frames"])
        live = next(at for stamp, at in viewer.frames if stamp in of)
        lag = next(at - of[stamp] for stamp, at in viewer.frames if of.get(stamp, 0) > live)
        found.append(((viewer.first_frame_s or 0.0) * 1000, (live - began) / 1e6, lag / 1e6))
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


async def memory(relay: Relay, viewers: int) -> float:
    """Resident memory that one more viewer costs the relay, KiB: the slope between 50 viewers and so many.

    The first ones pay for what all share, and each reading is of a trimmed heap.
    """
    await relay.ask("fill", stream=WARM)
    joined = await join(relay, FIRST, (WARM,))
    await asyncio.sleep(1.5)
    before = (await relay.ask("memory"))["kib"]
    joined += await join(relay, viewers - FIRST, (WARM,))
    await asyncio.sleep(1.5)  # reports have come, so that handshakes are over
    after = (await relay.ask("memory"))["kib"]
    await leave(joined)
    return float(after - before) / (viewers - FIRST)


async def starts(figures: dict[str, float], *, quick: bool) -> None:
    """Latency, first frames and memory, on the half that serves by default."""
    async with Relay.running("") as relay:
        await relay.ask("warm", stream=WARM)
        figures["viewer_memory_kib"] = await memory(relay, 150 if quick else 300)
        figures |= await latency(relay, 100, 4 if quick else 20)
        first, live, lag = zip(*await warm(relay, 10 if quick else 40), strict=True)
        figures["first_frame_warm_ms_p95"] = percentile(first, 0.95)
        figures["warm_live_ms_p95"] = percentile(live, 0.95)
        figures["warm_lag_ms"] = percentile(lag, 0.95)
        figures["first_frame_cold_ms_p95"] = percentile(await cold(relay, 4 if quick else 20), 0.95)


async def measure(*, quick: bool) -> dict[str, float]:
    """All figures."""
    figures: dict[str, float] = {}
    made = film()
    figures["source_mbit_per_s"] = sum(len(data) for data, _ in made) * 8 / (len(made) / 25) / 1e6
    if reason := missing():
        print(f"skipped: {reason}", file=sys.stderr)
    else:
        await costs(figures, "native", quick=quick)
    await costs(figures, "python", quick=quick)
    await starts(figures, quick=quick)
    await rivals.measure(figures, quick=quick)
    return figures


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    chosen = arguments("Cost of the relay per packet, and time to the first frame.")
    show("relay", uvloop.run(measure(quick=chosen.quick)), GOALS, as_json=chosen.json)
