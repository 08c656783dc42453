"""Janus and stock aiortc on the same film with the same light viewers, for ratios; what is not installed is skipped.

Janus is Debian's package with its streaming plugin and an RTP mountpoint, by default and with ``event_loops=1``.
Its media must leave by an address that is no loopback, so it takes this machine's own one; packets to it stay inside.
Stock aiortc forwards the encoded frames by its own ``RTCRtpSender``, one a viewer.
"""

import asyncio
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from hub.bus.routes import address_of_route
from hub.media.rtp.track import Track
from hub.media.rtp.unit import AccessUnit
from tests.bench.load_client import LoadViewer
from tests.bench.relay_link import Relay
from tests.bench.relay_process import film
from tests.integration.media_kit import FPS

PLUGINS: Final = "/usr/lib/x86_64-linux-gnu/janus"
TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    """A UDP port that nobody has at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def feed(port: int) -> None:
    """The film as RTP to a mountpoint, in real time, for ever."""
    track, made, i, seq = Track("h264"), film(), 0, 0
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while True:
            data, key = made[i % len(made)]
            for packet in track.append_unit(AccessUnit("video", "h264", data, i * 90_000 // FPS, key, i * 40)):
                head = bytes((0x80, (0x80 if packet.marker else 0) | 96)) + (seq & 0xFFFF).to_bytes(2, "big")
                sock.sendto(head + packet.data[4:], ("127.0.0.1", port))
                seq += 1
            i += 1
            await asyncio.sleep(max(0.0, began + i / FPS - time.monotonic()))


def configure(folder: Path, http: int, rtp: int, address: str, loops: int) -> None:
    """The least that Janus needs."""
    (folder / "janus.jcfg").write_text(
        f"""general: {{ plugins_folder = "{PLUGINS}/plugins"; transports_folder = "{PLUGINS}/transports";
          events_folder = "{folder}"; loggers_folder = "{folder}"; debug_level = 2; admin_secret = "bench";
          {f"event_loops = {loops};" if loops else ""} }}
        nat: {{ ice_enforce_list = "{address}"; full_trickle = false }}
        media: {{ ipv6 = false }}
        plugins: {{ disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,"""
        + "libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_textroom.so,libjanus_videocall.so,"
        + 'libjanus_videoroom.so,libjanus_voicemail.so" }\n'
        + 'transports: { disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so,'
        + 'libjanus_websockets.so" }\n'
    )
    (folder / "janus.transport.http.jcfg").write_text(
        f'general: {{ json = "plain"; http = true; port = {http}; ip = "127.0.0.1"; https = false }}\n'
        "admin: { admin_http = false }\n"
    )
    (folder / "janus.plugin.streaming.jcfg").write_text(
        f"""film: {{ type = "rtp"; id = 1; video = true; audio = false; videoport = {rtp}; videopt = 96;
          videocodec = "h264"; videofmtp = "profile-level-id=42e01f;packetization-mode=1" }}\n"""
    )


class Janus:
    """One Janus, its HTTP interface, and its process."""

    def __init__(self, http: httpx.AsyncClient, pid: int, address: str) -> None:
        self._http = http
        self.pid = pid
        self._address = address

    async def _ask(self, path: str, janus: str, **more: Any) -> dict[str, Any]:
        message = {"janus": janus, "transaction": secrets.token_hex(4), **more}
        found: dict[str, Any] = (await self._http.post(path, json=message)).json()
        if found.get("janus") == "error":
            raise RuntimeError(f"Janus: {found['error']['reason']}")
        return found

    async def viewer(self) -> LoadViewer:
        """A viewer of the mountpoint, connected."""
        session = f"/janus/{(await self._ask('/janus', 'create'))['data']['id']}"
        made = await self._ask(session, "attach", plugin="janus.plugin.streaming")
        handle = f"{session}/{made['data']['id']}"
        await self._ask(handle, "message", body={"request": "watch", "id": 1})
        offer = await self._offer(session)
        viewer = LoadViewer(host=self._address)
        answer = await viewer.take(offer)
        await self._ask(handle, "message", body={"request": "start"}, jsep={"type": "answer", "sdp": answer})
        async with asyncio.timeout(10):
            await viewer.secure(offer)
        return viewer

    async def _offer(self, session: str) -> str:
        for _ in range(10):
            event = (await self._http.get(session, params={"maxev": 1})).json()
            if "jsep" in event:
                return str(event["jsep"]["sdp"])
        raise RuntimeError("Janus made no offer")


@asynccontextmanager
async def janus(program: str, address: str, loops: int) -> AsyncIterator[Janus]:
    """A Janus with the film on its mountpoint."""
    with tempfile.TemporaryDirectory() as made, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http, rtp = probe.getsockname()[1], free_port()
        probe.close()
        configure(Path(made), http, rtp, address, loops)
        process = await asyncio.create_subprocess_exec(
            program, "-F", made, "-C", f"{made}/janus.jcfg",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        playing = asyncio.create_task(feed(rtp))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}", timeout=60, trust_env=False) as client:
                await _up(client)
                yield Janus(client, process.pid, address)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            process.terminate()
            await process.wait()


async def _up(client: httpx.AsyncClient) -> None:
    for _ in range(100):
        try:
            if (await client.get("/janus/info")).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.1)
    raise RuntimeError("Janus did not start")


async def cost(pid: int, viewers: list[LoadViewer], seconds: float) -> float:
    """CPU µs per packet that came."""
    await asyncio.sleep(1.0)
    spent, had = cpu_of(pid), sum(v.packets for v in viewers)
    await asyncio.sleep(seconds)
    spent, had = cpu_of(pid) - spent, sum(v.packets for v in viewers) - had
    for viewer in viewers:
        await viewer.close()
    return spent / had * 1e6


async def of_janus(figures: dict[str, float], seconds: float) -> None:
    """Both configurations at 30 viewers."""
    program, address = shutil.which("janus"), address_of_route(socket.AF_INET)
    if program is None or address is None:
        print("skipped: janus is not installed (apt-get install janus), or there is no route", file=sys.stderr)
        return
    for name, loops in (("default", 0), ("event_loops_1", 1)):
        async with janus(program, address, loops) as rival:
            figures[f"janus_{name}_cpu_us_per_packet_n30"] = await cost(
                rival.pid, [await rival.viewer() for _ in range(30)], seconds
            )


async def of_aiortc(figures: dict[str, float], seconds: float) -> None:
    """Stock aiortc at 10 viewers: more of them are too much for it on a shared machine."""
    async with Relay.running(module="tests.bench.aiortc_process") as relay:
        viewers = [await relay.viewer("") for _ in range(10)]
        figures["aiortc_cpu_us_per_packet_n10"] = await cost(relay.pid, viewers, seconds)


async def measure(figures: dict[str, float], *, quick: bool) -> None:
    """Both, and how many times as much as ours they cost: the viewers ask for nothing, so ours is the bare figure."""
    seconds = 4.0 if quick else 15.0
    await of_janus(figures, seconds)
    await of_aiortc(figures, seconds)
    ours = figures.get("relay_cpu_us_per_packet_bare_n30") or figures["relay_cpu_us_per_packet_python_bare_n30"]
    for name in [key for key in figures if key.startswith(("janus_", "aiortc_"))]:
        figures[f"ratio_{name.removesuffix('_n30').removesuffix('_n10')}"] = figures[name] / ours
