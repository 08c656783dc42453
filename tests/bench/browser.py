"""How soon a picture is on the screen: Chromium, from the click to the first frame that it shows, and how old that is.

``python -m tests.bench.browser [--quick] [--json]``. One page stays open; each join is a fresh WHEP session. Every
picture of the film carries the number of its frame, in black and white squares, so that a page tells which frame it
shows: the lag is the newest frame that the relay was given when this one was shown, less this one; ``live`` is from
the click to the first frame shown that is at most two behind. Cold opens a camera over real RTSP for the viewer;
``over_camera`` is what that takes beyond our own RTSP client's first key frame, without relay and browser.
"""

import asyncio
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import structlog
from playwright.async_api import Page, async_playwright

from hub.bus.relay_wire import OfferIn
from hub.domain.clock import system_clock
from hub.domain.source_url import check_url
from hub.media.peer.server import PeerServer
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.opening import open_source
from hub.media.stream import Stream
from tests.bench.common import arguments, percentile, show
from tests.integration.test_relay_node import relay

GOALS: Final = {
    "browser_first_frame_warm_ms_p95": 150.0,
    "browser_warm_live_ms_p95": 1_000.0,
    "browser_warm_lag_ms_p95": 80.0,
    "browser_first_frame_cold_over_camera_ms_p95": 300.0,
}
FPS, GOP, BITS, SIDE = 25, 100, 12, 24
PICTURES: Final = 8 * FPS
SIZE: Final = (1_280, 720)
ARGS: Final = [
    "--no-sandbox", "--headless=new", "--disable-background-networking", "--disable-quic",
    "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
SCRIPT: Final = (
    """
const canvas = document.createElement('canvas');
canvas.width = BITS * SIDE; canvas.height = SIDE;
const pen = canvas.getContext('2d', {willReadFrequently: true});
function numberOf(video) {
  pen.drawImage(video, 0, 0, BITS * SIDE, SIDE, 0, 0, BITS * SIDE, SIDE);
  let number = 0;
  for (let bit = 0; bit < BITS; bit++)
    number |= (pen.getImageData(bit * SIDE + SIDE / 2, SIDE / 2, 1, 1).data[0] > 127) << bit;
  return number;
}
async function once() {
  const began = performance.now();
  const pc = new RTCPeerConnection();
  pc.addTransceiver('video', {direction: 'recvonly'});
  const video = document.createElement('video');
  video.muted = true; video.autoplay = true; document.body.append(video);
  pc.ontrack = event => { video.srcObject = event.streams[0]; };
  const figures = {first: 0, live: 0, lag: -1};
  const seen = new Promise(done => {
    async function next() {
      const now = performance.now() - began, number = numberOf(video);
      figures.first = figures.first || now;
      const newest = await newestFrame();
      figures.lag = (newest - number + PICTURES) % PICTURES;
      if (figures.lag <= 2) figures.live = figures.live || now;
      if (newest < 0 || (figures.live && now > figures.first + 1000) || now > 8000) done();
      else video.requestVideoFrameCallback(next);
    }
    video.requestVideoFrameCallback(next);
  });
  await pc.setLocalDescription(await pc.createOffer());
  await pc.setRemoteDescription({type: 'answer', sdp: await whep(pc.localDescription.sdp)});
  await seen;
  for (const item of (await pc.getStats()).values())
    if (item.type === 'inbound-rtp' && item.kind === 'video') {
      figures.freezes = item.freezeCount; figures.pli = item.pliCount;
    }
  pc.close(); video.remove();
  return figures;
}
""".replace("BITS", str(BITS))
    .replace("SIDE", str(SIDE))
    .replace("PICTURES", str(PICTURES))
)


@cache
def film() -> tuple[tuple[bytes, bool], ...]:
    """Numbered pictures, a key frame every four seconds: a viewer comes in the middle of a long group."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = *SIZE, "yuv420p"
    codec.framerate, codec.time_base, codec.bit_rate = FPS, Fraction(1, 90_000), 2_000_000
    codec.options = {
        "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(GOP),
        "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:annexb=1:repeat-headers=1:threads=1:sliced-threads=0",
    }  # fmt: skip
    noise = np.random.default_rng(1).integers(0, 80, (SIZE[1], SIZE[0] * 2, 3), dtype=np.uint8)
    made: list[tuple[bytes, bool]] = []
    for i in range(PICTURES):
        shift = (i * 4) % SIZE[0]
        picture = np.ascontiguousarray(noise[:, shift : shift + SIZE[0]])
        for bit in range(BITS):
            picture[: 2 * SIDE, bit * SIDE : (bit + 1) * SIDE] = 255 if i >> bit & 1 else 0
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = i * 90_000 // FPS
        made += [(bytes(packet), packet.is_keyframe) for packet in codec.encode(frame)]
    return tuple(made)


class Feed:
    """Publishes the film in real time; ``newest`` is the number of the last picture given to the relay."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.newest = 0

    async def run(self) -> None:
        """Until cancelled."""
        made, began, i = film(), time.monotonic(), 0
        while True:
            data, key = made[i % len(made)]
            self.newest = i % len(made)
            self.stream.publish(AccessUnit("video", "h264", data, i * 90_000 // FPS, key, system_clock()))
            i += 1
            await asyncio.sleep(max(0.0, began + i / FPS - time.monotonic()))


@contextlib.asynccontextmanager
async def browser(whep: Callable[[str], Awaitable[str]], newest: Callable[[], int]) -> AsyncIterator[Page]:
    """A page with a relay's door, which has connected once: what the first connection costs all others share."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGS)
        try:
            page = await chromium.new_page()
            await page.expose_function("whep", whep)
            await page.expose_function("newestFrame", newest)
            await page.route("http://localhost/", lambda route: route.fulfill(body="<body></body>"))
            await page.goto("http://localhost/")
            await page.add_script_tag(content=SCRIPT)
            await page.evaluate("once()")
            yield page
        finally:
            await chromium.close()


async def warm(rounds: int) -> dict[str, float]:
    """Joins of a stream that runs."""
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    feed = Feed(Stream("cam-1", clock=system_clock, expects=("h264",)))
    task = asyncio.create_task(feed.run())
    found: list[dict[str, float]] = []

    async def whep(sdp: str) -> str:
        return (await server.whep(feed.stream, sdp, owner="u-1")).sdp

    try:
        async with browser(whep, lambda: feed.newest) as page:
            for n in range(rounds):
                await asyncio.sleep(0.13 * (n % 8))  # at other places of the group
                found.append(await page.evaluate("once()"))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.close()
    return {
        **{
            f"browser_{key}_ms_p{share:.0f}": percentile([each[name] * unit for each in found], share / 100)
            for key, name, unit in (
                ("first_frame_warm", "first", 1.0), ("warm_live", "live", 1.0), ("warm_lag", "lag", 1_000 / FPS),
            )
            for share in (50, 95)
        },
        "browser_warm_freezes": float(sum(each.get("freezes", 0) for each in found)),
        "browser_warm_plis": float(sum(each.get("pli", 0) for each in found)),
        "internal_errors": float(server.counters["internal_errors"]),
    }  # fmt: skip


async def answer_of(url: str) -> float:
    """The camera's own time to its first key frame, ms."""
    began = time.perf_counter()
    async with open_source(check_url(url), clock=system_clock) as source:
        while not any(unit.keyframe for unit in await source.read() if unit.kind == "video"):
            pass
    return (time.perf_counter() - began) * 1_000


async def cold(rounds: int) -> dict[str, float]:
    """Joins of cameras that nobody watches."""
    found: list[float] = []
    own: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with relay(Path(folder), announce=("127.0.0.1",)) as rig:
            streams = iter(range(rounds + 1))

            async def whep(sdp: str) -> str:
                name = f"cold-{next(streams)}"
                await rig.put(name)
                return (await rig.relays.whep(rig.url, name, OfferIn(sdp=sdp, owner="u-1"))).sdp

            async with browser(whep, lambda: -1) as page:
                for _ in range(rounds):
                    own.append(await answer_of(rig.camera()))
                    found.append((await page.evaluate("once()"))["first"])
    return {
        "browser_camera_answer_ms_p50": percentile(own, 0.5),
        "browser_first_frame_cold_ms_p95": percentile(found, 0.95),
        "browser_first_frame_cold_over_camera_ms_p95": percentile(
            [first - answer for first, answer in zip(found, own, strict=True)], 0.95
        ),
    }


async def main() -> None:
    """Print the figures."""
    given = arguments(__doc__ or "")
    if shutil.which("chromium") is None:
        print("chromium is not installed; this bench needs it")
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    figures = await warm(10 if given.quick else 40) | await cold(5 if given.quick else 20)
    show("browser", figures, GOALS, as_json=given.json)


if __name__ == "__main__":
    asyncio.run(main())
