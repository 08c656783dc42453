"""Two relays in two network namespaces, a viewer in each, one camera that only one of them reaches.

machine: api, Redis ──┬── inner ──── machine: camera
(10.77.2.1, a bridge) └── outer              (10.77.0.1, of which outer knows no way)
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hub.bus.relay_wire import NodeInfo
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.services.placing import way
from tests.integration.camera_kit import h264_film
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until
from tests.integration.netns_kit import Namespace, cable, namespaces, needs_namespaces, network

PATIENCE = 60.0


@dataclass
class Site:
    hub: LiveRig
    cameras: RtspServer
    folder: Path
    inner: Namespace
    outer: Namespace
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, space: Namespace, *command: str, **environment: str) -> asyncio.StreamReader:
        """A Python module in a namespace; what it prints."""
        process = await asyncio.create_subprocess_exec(
            *space.run, sys.executable, "-m", *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
        )
        self.processes.append(process)
        assert process.stdout is not None
        return process.stdout

    async def relay(self, space: Namespace, address: str, **settings: str) -> NodeInfo:
        """A relay in a namespace, once the api knows it."""
        placements = self.hub.apis[0].live.placements
        before = {node.id for node in await placements.relays_alive()}
        await self.start(
            space, "hub.cli", "role", "relay",
            SHARPEYES_DATA=str(self.folder), SHARPEYES_REDIS_URL=self.hub.redis.url, SHARPEYES_INTERNAL_HOST=address,
            SHARPEYES_MEDIA_HOST=address, SHARPEYES_MEDIA_PORT="9801", SHARPEYES_LINGER_S="0.3", **settings,
        )  # fmt: skip
        found: list[NodeInfo] = []

        async def known() -> bool:
            found[:] = [node for node in await placements.relays_alive() if node.id not in before]
            return bool(found)

        await until(known, seconds=PATIENCE)
        return found[0]

    async def stop(self) -> None:
        """End what was started here."""
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    needs_namespaces()
    folder = Path(tempfile.mkdtemp(prefix="se-"))
    (folder / "secrets").mkdir()
    (folder / "secrets" / "internal-token").write_text(TOKEN)
    film = h264_film(folder)
    with contextlib.ExitStack() as cables:
        inner, outer = cables.enter_context(namespaces(2))
        cables.enter_context(network("10.77.2.1/29", {inner: "10.77.2.2/29", outer: "10.77.2.3/29"}))
        cables.enter_context(cable(None, "10.77.0.1/30", inner, "10.77.0.2/30"))
        async with live_hub() as hub, RtspServer([CameraFile("gate", film)]).listening("10.77.0.1", 0) as cameras:
            made = Site(hub, cameras, folder, inner, outer)
            try:
                yield made
            finally:
                await made.stop()
    shutil.rmtree(folder, ignore_errors=True)


async def said(lines: asyncio.StreamReader) -> Any:
    """The next word of a viewer."""
    async with asyncio.timeout(PATIENCE):
        line = await lines.readline()
    assert line, "the viewer ended"
    return json.loads(line)


@pytest.mark.parametrize("side", ["dialled", "pushed"])
async def test_two_relays_in_two_namespaces_with_a_viewer_on_each_open_the_camera_once(site: Site, side: str) -> None:
    """Once the outer relay opens the leg, once the inner one, since nobody outside may call into its zone."""
    inner = await site.relay(site.inner, "10.77.2.2", SHARPEYES_RELAY_ZONE="inner")
    body = {"name": "gate", "url": f"rtsp://10.77.0.1:{site.cameras.port}/gate", "unit": "city"}
    camera = str((await site.hub.call("sysadmin", "POST", "/api/v1/cameras", 201, json=body))["id"])
    placements = site.hub.apis[0].live.placements
    assert (await placements.viewing(camera)).id == inner.id
    one = await site.start(site.inner, "tests.integration.relay_viewer", inner.url, TOKEN, camera)
    first = await said(one)

    dials = "*" if side == "dialled" else "outer"
    outer = await site.relay(site.outer, "10.77.2.3", SHARPEYES_RELAY_ZONE="outer", SHARPEYES_RELAY_DIALS=dials)
    assert way(inner, outer) == side
    assert (await placements.viewing(camera, at=outer)).id == outer.id
    two = await site.start(site.outer, "tests.integration.relay_viewer", outer.url, TOKEN, camera)
    second = await said(two)
    for lines, begun in ((one, first), (two, second)):
        while (await said(lines))["packets"] < begun["packets"] + 60:
            pass
    gate = site.cameras.cameras["gate"]
    assert (gate.plays, gate.most, gate.playing) == (1, 1, 1)
    print(f"\n{side}: first pictures after {first['first_s']:.3f} s (cold) and {second['first_s']:.3f} s (by the leg)")
