"""The whole chain of GB/T 28181 on loopback: api, gateway, relay, Redis, and simulated devices; viewers who decode."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection

from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.film import Film
from hub.demo.gb_device.fleet import running
from hub.demo.gb_device.options import DeviceOptions
from hub.demo.gb_device.views import encoded
from hub.domain.clock import system_clock
from hub.gateway import run_gateway
from hub.gateway.process import Gateway
from hub.media.node import run_relay
from hub.media.sources.gb28181.source import GbSource
from hub.settings import Settings
from tests.integration.hub_rig import TestClock
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until
from tests.integration.test_relay_node import free_udp_port
from tests.integration.test_whep import accept, first_track, offer_of

SERVER, DOMAIN, SECRET = "34020000002000000001", "3402000000", "s3cret-of-the-device"
SDP = {"Content-Type": "application/sdp"}
PATIENCE = 60.0
API = "/api/v1"


class RunningClock(TestClock):
    """The api's clock goes on by itself here."""

    def __call__(self) -> int:
        return system_clock() + self.now

    def __init__(self) -> None:
        super().__init__(0)


@cache
def views(size: tuple[int, int] = (160, 96)) -> Film:
    """One second in loops of one grey each, so that a decoded picture says which view it is of (15 x view)."""
    noise = np.random.default_rng(3).integers(0, 6, (size[1], size[0], 3), dtype=np.uint8)
    return Film(
        tuple(
            encoded((np.roll(noise, at, axis=1) + np.uint8(10 + view * 15) for at in range(25)), size)
            for view in range(16)
        )
    )


def views_in_two_sizes() -> Film:
    """The same as main and sub stream."""
    return replace(views((320, 192)), small=views())


class Eyes:
    """A browser's half of WHEP: decodes, counts, and remembers the last picture's mean and width."""

    def __init__(self, *kinds: str) -> None:
        self.pc = RTCPeerConnection()
        self.frames = 0
        self.level = -1.0
        self.width = 0
        self.heard = 0
        self.session = ""
        self.grown = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._tracks = [(kind, first_track(self.pc, kind)) for kind in kinds or ("video",)]
        for kind, _ in self._tracks:
            self.pc.addTransceiver(kind, direction="recvonly")

    async def join(self, answer: str) -> None:
        """Take the answer and begin to look."""
        await accept(self.pc, answer)
        for kind, track in self._tracks:
            self._tasks.append(asyncio.create_task(self._look(kind, await track)))

    async def _look(self, kind: str, track: Any) -> None:
        with contextlib.suppress(Exception):  # MediaStreamError: it ended
            while True:
                frame = await track.recv()
                if kind == "video":
                    self.frames += 1
                    self.width = frame.width
                    self.level = float(frame.to_ndarray(format="gray").mean())
                else:
                    self.heard += 1
                self.grown.set()

    async def until(self, holds: Callable[["Eyes"], bool], *, seconds: float = PATIENCE) -> None:
        """Wait for pictures that fulfil a condition."""
        async with asyncio.timeout(seconds):
            while not holds(self):
                self.grown.clear()
                await self.grown.wait()

    async def more(self, count: int = 5, *, seconds: float = PATIENCE) -> None:
        """So many more pictures than now."""
        want = self.frames + count
        await self.until(lambda eyes: eyes.frames >= want, seconds=seconds)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pc.close()


@dataclass
class Chain:
    """A hub that runs, and its parts to stop and start again."""

    hub: LiveRig
    settings: Settings
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    sip_port: int = 0
    gateway: Gateway = field(init=False)

    # parts -----------------------------------------------------------------------------------------

    async def start(self, part: str) -> None:
        """Run the relay or the gateway; returns once it is announced."""
        ready = asyncio.Event()
        name = f"{part}-{len(self.tasks)}"
        client = self.hub.redis.client(name)
        run: Any = run_relay if part == "relay" else partial(run_gateway, on_made=self._made)

        async def work() -> None:
            try:
                await run(
                    self.settings,
                    node_id=name,
                    token=TOKEN,
                    redis=client,
                    on_ready=lambda at: self._ready(at, ready),
                )
            finally:
                await client.aclose()

        task = self.tasks[part] = asyncio.create_task(work(), name=part)
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()

    def _made(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def _ready(self, node: Any, ready: asyncio.Event) -> None:
        if node.role == "gateway" and not self.sip_port:
            self.sip_port = int(node.facts["sip"].rpartition(":")[2])
            self.settings = self.settings.model_copy(update={"sip_port": self.sip_port})
        ready.set()

    async def stop(self, part: str) -> None:
        """End one of them, as a SIGTERM would."""
        task = self.tasks.pop(part)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    # devices ---------------------------------------------------------------------------------------

    def options(self, **given: Any) -> DeviceOptions:
        """Of a device of this hub's."""
        first: dict[str, Any] = {
            "server_id": self.settings.gb_id, "domain": self.settings.gb_realm, "port": self.sip_port,
            "password": SECRET, "heartbeat_s": 1.0,
        }  # fmt: skip
        return DeviceOptions(**(first | given))

    async def listed(self, options: DeviceOptions, **given: Any) -> None:
        """Tell the hub of the device."""
        body = {"id": options.device_id, "name": "东门录像机", "unit": "town-a", "password": SECRET} | given
        await self.call("POST", "/devices", 201, json=body)

    async def device(self, film: Film | None = None, *, listed: dict[str, Any] | None = None, **given: Any) -> GbDevice:
        """A listed device that registered and whose cameras are there; runs until the chain ends."""
        options = self.options(**given)
        await self.listed(options, **(listed or {}))
        device = await self.stack.enter_async_context(running(options, film or views()))
        async with asyncio.timeout(PATIENCE):
            await device.registered.wait()
        await until(lambda: self._has_all(device), seconds=PATIENCE)
        return device

    async def _has_all(self, device: GbDevice) -> bool:
        return len(await self.cameras(device.id)) == len(device.answers.channels)

    # the interface -----------------------------------------------------------------------------------

    async def call(self, method: str, path: str, status: int = 200, *, who: str = "sysadmin", **given: Any) -> Any:
        return await self.hub.call(who, method, API + path, status, **given)

    async def cameras(self, device: str) -> dict[str, str]:
        """Channel -> camera."""
        items = (await self.call("GET", f"/devices/{device}/channels"))["items"]
        return {item["id"]: item["camera"] for item in items if item["camera"]}

    async def camera(self, device: GbDevice, index: int = 0) -> str:
        return (await self.cameras(device.id))[device.options.channel_id(index)]

    async def state(self, camera: str) -> dict[str, Any]:
        """How the camera stands."""
        found: dict[str, Any] = await self.call("GET", f"/cameras/{camera}")
        return found

    async def until_state(self, camera: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The camera's state once it is so."""
        last: dict[str, Any] = {}

        async def so() -> bool:
            nonlocal last
            last = await self.state(camera)
            return holds(last)

        try:
            await until(so, seconds=PATIENCE)
        except TimeoutError:
            raise AssertionError(f"last seen: {last}") from None
        return last

    @contextlib.asynccontextmanager
    async def watching(self, path: str, *kinds: str) -> AsyncIterator[Eyes]:
        """A viewer of /whep/cameras/… or /whep/playbacks/…, gone after the block."""
        eyes = Eyes(*kinds)
        try:
            answer = await self.hub.call(
                "commander", "POST", f"/whep/{path}", 201, content=await offer_of(eyes.pc), headers=SDP
            )
            eyes.session = answer.headers["location"].rpartition("/")[2]
            await eyes.join(answer.text)
            yield eyes
        finally:
            if eyes.session:
                with contextlib.suppress(Exception):
                    await self.hub.call("commander", "DELETE", f"/whep/sessions/{eyes.session}", 204)
            await eyes.close()


def gb_settings(folder: Path, **given: Any) -> Settings:
    """Of a hub whose gateway, relay and api listen on loopback."""
    return Settings(
        data=folder, gb_id=SERVER, sip_port=0, gb_media_ports="", host="127.0.0.1", media_port=free_udp_port(),
        media_tcp=False, linger_s=0.3, transcode_most=1,
    ).model_copy(update=given)  # fmt: skip


@contextlib.asynccontextmanager
async def gb_chain(folder: Path, **given: Any) -> AsyncIterator[Chain]:
    """A hub with one relay and one gateway; devices are added by the test."""
    async with live_hub(clock=RunningClock()) as hub:
        chain = Chain(hub, gb_settings(folder, **given))
        try:
            await chain.start("relay")
            await chain.start("gateway")
            async with chain.stack:
                yield chain
        finally:
            for task in chain.tasks.values():
                task.cancel()
    await asyncio.gather(*chain.tasks.values(), return_exceptions=True)  # the api lets go of them first


def impatient(patch: pytest.MonkeyPatch, *, first_s: float = 1.0, read_s: float = 2.0, keyframe_s: float = 2.5) -> None:
    """Relays wait for a device as long as a test can."""
    waits = {"first_s": first_s, "read_s": read_s, "keyframe_s": keyframe_s}
    patch.setattr(GbSource.__init__, "__kwdefaults__", GbSource.__init__.__kwdefaults__ | waits)  # type: ignore[operator] # it has some
