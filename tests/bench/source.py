"""What pulling a camera costs: the pulling process' own CPU time, from the socket to the stream's packets.

``python -m tests.bench.source [--quick] [--json]``. Eight simulated cameras of 2 Mbit/s H.264, 720p25, in another
process, on the loopback; nobody watches, so nothing is sent on.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
import uvloop

from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.domain.clock import system_clock
from hub.domain.source_url import check_url
from hub.media.sources.opening import OpenSource
from hub.media.sources.rtsp import RtspSource
from hub.media.stream import Stream
from tests.bench.common import arguments, show
from tests.bench.relay_process import film

CAMERAS: Final = 8
Opener = Callable[[str], AbstractAsyncContextManager[OpenSource]]


async def serve() -> None:
    """The cameras' process: prints its port, ends with its standard input."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.h264"
        file.write_bytes(b"".join(data for data, _ in film()))
        cameras = [CameraFile(f"cam-{n}", file) for n in range(CAMERAS)]
        async with RtspServer(cameras).listening("127.0.0.1", 0) as server:
            await server.film_of(cameras[0])
            print(server.port, flush=True)
            await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def cameras() -> AsyncIterator[int]:
    """The cameras in a process of their own; yields the port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.source", "--serve",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


async def cost(port: int, opener: Opener, seconds: float) -> float:
    """CPU ms per Mbit of access units, all cameras together."""
    octets = 0

    async def pull(source: OpenSource, stream: Stream) -> None:
        nonlocal octets
        while True:
            for unit in await source.read():
                octets += len(unit.data)
                stream.publish(unit)

    async with AsyncExitStack() as stack:
        tasks = []
        for n in range(CAMERAS):
            source = await stack.enter_async_context(opener(f"rtsp://127.0.0.1:{port}/cam-{n}"))
            stream = Stream(f"cam-{n}", clock=system_clock, expects=("h264",))
            tasks.append(asyncio.create_task(pull(source, stream)))
        await asyncio.sleep(2.0)
        octets, before = 0, time.process_time()
        await asyncio.sleep(seconds)
        spent, mbits = time.process_time() - before, octets * 8 / 1e6
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return spent * 1_000 / mbits


async def measure(*, quick: bool) -> dict[str, float]:
    """Both ways."""
    seconds = 4 if quick else 20
    async with cameras() as port:
        return {
            "source_cpu_ms_per_mbit_tcp": await cost(
                port, lambda url: RtspSource(check_url(url), clock=system_clock, way="tcp"), seconds
            ),
            "source_cpu_ms_per_mbit_udp": await cost(
                port, lambda url: RtspSource(check_url(url), clock=system_clock, way="udp"), seconds
            ),
        }


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve())
    else:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        chosen = arguments("Cost of pulling cameras.")
        show("source", uvloop.run(measure(quick=chosen.quick)), {}, as_json=chosen.json)
