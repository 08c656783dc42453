"""Several relays on one machine, one camera server, and viewers that do everything but decode."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.bus.relay_wire import NodeInfo, OfferIn, StreamConfig, StreamState
from hub.bus.relays import Relays
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.media.node import run_relay
from hub.settings import Settings
from tests.bench.light_client import LightViewer
from tests.integration.camera_kit import PATIENCE, h264_film
from tests.integration.redis_rig import RedisRig, running_redis
from tests.integration.test_relay_node import TOKEN, free_udp_port


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds; looked at again and again, where nothing tells."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


async def flows(*viewers: LightViewer, packets: int = 30) -> None:
    """Return once so many more packets have reached each viewer."""
    goals = [(viewer, viewer.packets + packets) for viewer in viewers]
    await until(lambda: all(viewer.packets >= goal for viewer, goal in goals))


@dataclass
class Site:
    """Relays that run in this process, the camera ``gate``, and a client to talk to them."""

    redis: RedisRig
    cameras: RtspServer
    nodes: list[NodeInfo]
    tasks: "list[asyncio.Task[None]]"
    relays: Relays

    def camera(self, path: str = "gate") -> str:
        return f"rtsp://127.0.0.1:{self.cameras.port}/{path}"

    @property
    def plays(self) -> int:
        """How often the camera was opened so far."""
        return self.cameras.cameras["gate"].plays

    async def put(self, at: int, stream: str = "cam-1", **config: Any) -> None:
        """Want a stream at a relay: the camera itself unless told otherwise."""
        given = {"url": self.camera(), **config}
        await self.relays.put_stream(self.nodes[at].url, stream, StreamConfig.model_validate(given))

    async def leg(self, at: int, origin: int, stream: str = "cam-1", *, pushed: bool = False) -> None:
        """Have ``at`` carry a stream that ``origin`` holds, dialled from here or from there."""
        there, here = self.nodes[origin], self.nodes[at]
        await self.put(at, stream, kind="leg", url=f"push:{there.id}" if pushed else there.url)
        if pushed:
            await self.relays.push(there.url, stream, to=here.id, url=here.url)

    @contextlib.asynccontextmanager
    async def viewer(self, at: int, stream: str = "cam-1", owner: str = "u-1") -> AsyncIterator[LightViewer]:
        """A viewer whose first whole key frame has come."""
        viewer = LightViewer()

        async def post(sdp: str) -> str:
            return (await self.relays.whep(self.nodes[at].url, stream, OfferIn(sdp=sdp, owner=owner))).sdp

        async with asyncio.timeout(PATIENCE):
            await viewer.join(post)
            await viewer.seen.wait()
        try:
            yield viewer
        finally:
            await viewer.close()

    async def until(self, at: int, condition: Callable[[StreamState], bool], stream: str = "cam-1") -> StreamState:
        """The first state of a stream at a relay that fulfils the condition."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for state in await self.relays.streams(self.nodes[at].url):
                    if state.stream == stream and condition(state):
                        return state
                await asyncio.sleep(0.03)

    async def metric(self, at: int, name: str) -> float:
        """One figure of a relay."""
        text = (await self.relays.call("GET", self.nodes[at].url, "/metrics")).decode()
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")))


async def is_ready(task: "asyncio.Task[None]", told: "asyncio.Future[NodeInfo]") -> NodeInfo:
    """What a relay says of itself. One that ended says why, one that hangs says where."""
    await asyncio.wait((task, told), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        return told.result()
    if task.done():
        task.result()
    where = io.StringIO()
    task.print_stack(file=where)
    raise AssertionError(f"{task.get_name()} is not ready after {PATIENCE} s:\n{where.getvalue()}")


@contextlib.asynccontextmanager
async def site(folder: Path, count: int = 2, **options: Any) -> AsyncIterator[Site]:
    """So many relays, up and registered."""
    film = h264_film(folder)
    async with (
        running_redis() as redis_rig,
        RtspServer([CameraFile("gate", film)]).listening("127.0.0.1", 0) as cameras,
        Relays(TOKEN) as relays,
    ):
        ready: list[asyncio.Future[NodeInfo]] = []
        tasks, clients = [], []
        for n in range(count):
            told: asyncio.Future[NodeInfo] = asyncio.get_running_loop().create_future()
            given = {"data": folder, "media_port": free_udp_port(), "linger_s": 0.3, **options}
            redis = redis_rig.client(f"relay-{n}")
            work = run_relay(
                Settings.model_validate(given), node_id=f"relay-{n}", token=TOKEN, redis=redis, on_ready=told.set_result
            )
            tasks.append(asyncio.create_task(work, name=f"relay-{n}"))
            ready.append(told)
            clients.append(redis)
        try:
            nodes = [await is_ready(task, told) for task, told in zip(tasks, ready, strict=True)]
            yield Site(redis_rig, cameras, nodes, tasks, relays)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for redis in clients:
                await redis.aclose()
