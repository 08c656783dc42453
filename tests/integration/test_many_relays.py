"""A site of several relays as it runs: the api, real relay processes, one camera, viewers who come by the interface.

What a dead or draining relay costs its viewers is measured and printed; only what must hold on any machine is asserted.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.bus import leases
from hub.bus.relay_wire import NodeInfo
from hub.bus.relays import Relays
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.relay_commands import Site, drain, line, undrain
from signaling import wire
from signaling.transport.ws import HubSocket
from tests.bench.light_client import LightViewer
from tests.integration.camera_kit import h264_film
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until
from tests.integration.test_relay_node import free_udp_port

SDP = {"Content-Type": "application/sdp"}
PATIENCE = 60.0


@dataclass
class Viewer:
    """A viewer who does what a page does: it follows ``media.move``, and lets the old session go once it sees again."""

    rig: "Rig"
    camera: str
    light: LightViewer = field(default_factory=LightViewer)
    session: str = ""
    moves: int = 0
    worst_gap_s: float = 0.0  # between two packets, over all sessions

    async def join(self) -> None:
        light = LightViewer()
        place = ""

        async def post(sdp: str) -> str:
            nonlocal place
            answer = await self.rig.hub.call(
                "commander", "POST", f"/whep/cameras/{self.camera}", 201, content=sdp, headers=SDP
            )
            place = answer.headers["location"]
            return str(answer.text)

        await light.join(post)
        await light.seen.wait()
        before, self.light = (self.light, self.session), light
        self.session = place.rpartition("/")[2]
        if before[1]:
            await before[0].close()
            await self.rig.hub.call("commander", "DELETE", f"/whep/sessions/{before[1]}", 204)

    async def follow(self, socket: HubSocket) -> None:
        """Until cancelled."""
        async with socket:
            while True:
                message = await socket.receive()
                if isinstance(message, wire.MediaMove) and message.session == self.session:
                    await self.join()
                    self.moves += 1

    async def measure(self) -> None:
        """Keep the longest time without a packet, until cancelled."""
        last, seen = time.monotonic(), (self.light, 0)
        while True:
            await asyncio.sleep(0.01)
            now, state = time.monotonic(), (self.light, self.light.packets)
            if state != seen and self.light.seen.is_set():
                last, seen = now, state
            self.worst_gap_s = max(self.worst_gap_s, now - last)


@dataclass
class Rig:
    hub: LiveRig
    cameras: RtspServer
    folder: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def gate(self) -> CameraFile:
        return self.cameras.cameras["gate"]

    async def relay(self, **settings: str) -> NodeInfo:
        """Start a relay process; return it once the api knows it."""
        before = {node.id for node in await self.alive()}
        environment = os.environ | {
            "SHARPEYES_DATA": str(self.folder),
            "SHARPEYES_REDIS_URL": self.hub.redis.url,
            "SHARPEYES_MEDIA_PORT": str(free_udp_port()),
            "SHARPEYES_ANNOUNCE": "127.0.0.1",
            "SHARPEYES_LINGER_S": "0.3",
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub.cli", "role", "relay", env=environment
        )
        found: list[NodeInfo] = []

        async def known() -> bool:
            found[:] = [node for node in await self.alive() if node.id not in before]
            return bool(found)

        await until(known, seconds=PATIENCE)
        self.processes[found[0].id] = process
        return found[0]

    async def alive(self) -> list[NodeInfo]:
        return await self.hub.apis[0].live.placements.relays_alive()

    async def camera(self) -> str:
        body = {"name": "gate", "url": f"rtsp://127.0.0.1:{self.cameras.port}/gate", "unit": "city"}
        return str((await self.hub.call("sysadmin", "POST", "/api/v1/cameras", 201, json=body))["id"])

    async def holder(self, camera: str) -> str:
        redis = self.hub.redis.client()
        try:
            return await leases.holder_of(redis, f"stream:{camera}") or ""
        finally:
            await redis.aclose()

    @contextlib.asynccontextmanager
    async def viewer(self, camera: str) -> AsyncIterator[Viewer]:
        """A page that watches."""
        viewer = Viewer(self, camera)
        async with asyncio.timeout(PATIENCE):
            await viewer.join()
        tasks = [
            asyncio.create_task(viewer.follow(await self.hub.socket("commander"))),
            asyncio.create_task(viewer.measure()),
        ]
        try:
            yield viewer
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await viewer.light.close()

    @contextlib.asynccontextmanager
    async def commands(self) -> AsyncIterator[Site]:
        """What the command line works on."""
        redis = self.hub.redis.client("cli")
        async with Relays(TOKEN) as relays:
            yield Site(redis, relays)
        await redis.aclose()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    folder = Path(tempfile.mkdtemp(prefix="se-"))
    (folder / "secrets").mkdir()
    (folder / "secrets" / "internal-token").write_text(TOKEN)
    film = h264_film(folder)
    async with live_hub() as hub, RtspServer([CameraFile("gate", film)]).listening("127.0.0.1", 0) as cameras:
        rig = Rig(hub, cameras, folder)
        yield rig
        for process in rig.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
    shutil.rmtree(folder, ignore_errors=True)


async def test_viewers_of_a_killed_relay_are_called_and_see_pictures_again(rig: Rig) -> None:
    one = await rig.relay()
    camera = await rig.camera()
    async with rig.viewer(camera) as viewer:
        two = await rig.relay()
        assert await rig.holder(camera) == one.id
        viewer.worst_gap_s = 0.0
        killed = time.monotonic()
        rig.processes[one.id].send_signal(signal.SIGKILL)
        await until(lambda: viewer.moves == 1 and viewer.light.packets > 20, seconds=PATIENCE)
        print(
            f"\nkilled relay: pictures again after {viewer.worst_gap_s:.2f} s ({time.monotonic() - killed:.2f} s later)"
        )
        assert await rig.holder(camera) == two.id
        assert (rig.gate.plays, rig.gate.most) == (2, 1)


async def test_a_relay_that_stands_still_loses_its_viewers_and_lets_go_of_the_camera_when_it_wakes(rig: Rig) -> None:
    """As when a host hangs, or the cable to it is cut: no connection breaks, nothing comes any more."""
    one = await rig.relay()
    camera = await rig.camera()
    async with rig.viewer(camera) as viewer:
        two = await rig.relay()
        viewer.worst_gap_s = 0.0
        rig.processes[one.id].send_signal(signal.SIGSTOP)
        try:
            await until(lambda: viewer.moves == 1 and viewer.light.packets > 20, seconds=PATIENCE)
            print(f"\nrelay that stands still: longest time without a packet {viewer.worst_gap_s:.2f} s")
            assert await rig.holder(camera) == two.id
        finally:
            rig.processes[one.id].send_signal(signal.SIGCONT)
        await until(lambda: rig.gate.playing == 1, seconds=PATIENCE)
        goal = viewer.light.packets + 20
        await until(lambda: viewer.light.packets >= goal)


async def test_a_drained_relay_hands_its_viewers_and_its_camera_over_without_a_gap(rig: Rig) -> None:
    one = await rig.relay()
    camera = await rig.camera()
    said: list[str] = []
    async with rig.viewer(camera) as viewer, rig.commands() as commands:
        two = await rig.relay()
        viewer.worst_gap_s = 0.0
        async with asyncio.timeout(PATIENCE):
            assert await drain(commands, one.id, wait_s=PATIENCE, say=said.append)
        await until(lambda: viewer.light.packets > 60)
        print(f"\ndrained relay: longest time without a packet {viewer.worst_gap_s:.2f} s; {said}")
        assert viewer.moves == 1
        assert said[-1].endswith("drained")
        assert await rig.holder(camera) == two.id
        assert (rig.gate.plays, rig.gate.most) == (2, 1)  # it was opened again, and never twice at a time
        assert "draining" in line(await commands.one(one.id))
        other = await rig.camera()
        async with rig.viewer(other):
            assert await rig.holder(other) == two.id  # nothing new comes to a relay that drains
        await undrain(commands, one.id)
        await until(lambda: _up(commands, one.id))


async def _up(commands: Site, id: str) -> bool:
    return "draining" not in line(await commands.one(id))


async def test_the_last_relay_is_not_drained(rig: Rig) -> None:
    from hub.domain.errors import Conflict, NotFound

    one = await rig.relay()
    async with rig.commands() as commands:
        with pytest.raises(Conflict):
            await drain(commands, one.id, wait_s=1, say=print)
        with pytest.raises(NotFound):
            await drain(commands, "relay-nobody", wait_s=1, say=print)


async def test_two_relays_and_two_viewers_open_one_camera_once_from_either_side(rig: Rig) -> None:
    """The second relay stands in a zone that only the first one can reach, so the first one dials."""
    inner = await rig.relay(SHARPEYES_RELAY_ZONE="inner", SHARPEYES_RELAY_DIALS="*")
    camera = await rig.camera()
    placements = rig.hub.apis[0].live.placements
    async with rig.viewer(camera) as first:
        outer = await rig.relay(SHARPEYES_RELAY_ZONE="outer", SHARPEYES_RELAY_DIALS="outer")
        assert await rig.holder(camera) == inner.id
        at = await placements.viewing(camera, at=outer)
        assert at.id == outer.id
        second = LightViewer()
        async with Relays(TOKEN) as relays, asyncio.timeout(PATIENCE):
            from hub.bus.relay_wire import OfferIn

            async def post(sdp: str) -> str:
                return (await relays.whep(outer.url, camera, OfferIn(sdp=sdp, owner="s-second"))).sdp

            await second.join(post)
            await second.seen.wait()
            counts = [(each, each.packets + 40) for each in (first.light, second)]
            await until(lambda: all(each.packets >= goal for each, goal in counts))
            (state,) = await relays.streams(outer.url)
            assert state.origin == f"push:{inner.id}"
        await second.close()
        assert (rig.gate.plays, rig.gate.most) == (1, 1)


async def test_a_camera_is_never_open_twice_while_viewers_come_and_relays_drain_and_die(rig: Rig) -> None:
    one, _two = await rig.relay(), await rig.relay()
    camera = await rig.camera()
    async with contextlib.AsyncExitStack() as stack, rig.commands() as commands:
        viewers = [await stack.enter_async_context(rig.viewer(camera)) for _ in range(2)]
        source = await rig.holder(camera)
        draining = asyncio.create_task(drain(commands, source, wait_s=PATIENCE, say=print))
        viewers += [await stack.enter_async_context(rig.viewer(camera)) for _ in range(2)]
        assert await draining
        heir = await rig.holder(camera)
        assert heir != source
        await undrain(commands, source)
        await until(lambda: _up(commands, source))
        rig.processes[heir].send_signal(signal.SIGKILL)
        late = await stack.enter_async_context(rig.viewer(camera))
        there = [viewer for viewer in viewers if viewer.moves == 1]
        await until(lambda: all(viewer.moves >= 1 for viewer in viewers), seconds=PATIENCE)
        goals = [(viewer, viewer.light.packets + 20) for viewer in (*viewers, late)]
        await until(lambda: all(viewer.light.packets >= goal for viewer, goal in goals), seconds=PATIENCE)
        assert await rig.holder(camera) == source
        assert there
        assert rig.gate.most == 1
        print(f"\nopened {rig.gate.plays} times, worst gaps {[round(viewer.worst_gap_s, 2) for viewer in viewers]}")
    assert one.id
