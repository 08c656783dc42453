"""A real browser's one connection over a path that loses, delays and narrows: its tiles move on and fit the path."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.peer.subscriber import Wish
from hub.media.stream import Stream
from tests.e2e.test_relay_in_chromium import CHROMIUM, page_of
from tests.integration.layered import Layered
from tests.integration.media_kit import feeding
from tests.integration.narrow_path import NarrowPath, narrow_path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,  # freezes and seconds in real time: a busy machine adds its own
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium"),
]

SCRIPT = """
const one = window.one = new RTCPeerConnection();
one.ontrack = event => {
  const video = document.createElement('video');
  video.muted = true; video.autoplay = true; document.body.append(video);
  video.srcObject = new MediaStream([event.track]);
};
async function answered(sdp) {
  await one.setRemoteDescription({type: 'offer', sdp});
  await one.setLocalDescription(await one.createAnswer());
  return one.localDescription.sdp;
}
async function tiles() {
  return [...(await one.getStats()).values()].filter(item => item.type === 'inbound-rtp' && item.kind === 'video')
    .map(item => ({mid: item.mid, decoded: item.framesDecoded, width: item.frameWidth || 0,
      frozen: item.totalFreezesDuration || 0, repaired: item.retransmittedPacketsReceived || 0}));
}
"""


@contextlib.asynccontextmanager
async def connected(server: PeerServer, path: NarrowPath, *wishes: Wish) -> AsyncIterator[Page]:
    """A page that has answered the offer of these streams."""
    async with page_of(server, Stream("none", clock=system_clock)) as page:
        await page.add_script_tag(content=SCRIPT)
        session = server.subscribe(owner="u")
        offered = server.wish(session, wishes)
        while offered is not None:
            sdp = await page.evaluate("sdp => answered(sdp)", path.rewrite(offered.sdp))
            offered = server.answer(session, offered.revision, sdp)
        yield page


async def tiles(page: Page) -> dict[str, dict[str, float]]:
    return {each["mid"]: each for each in await page.evaluate("tiles()")}


async def decoded(page: Page, count: int, more: int) -> dict[str, dict[str, float]]:
    """Wait until so many tiles have decoded so many frames more; their figures."""
    before = await tiles(page)
    while True:
        now = await tiles(page)
        if len(now) == count and all(
            each["decoded"] - before.get(mid, {"decoded": 0})["decoded"] >= more for mid, each in now.items()
        ):
            return now
        await asyncio.sleep(0.1)


async def wide(page: Page, width: int) -> float:
    """Wait until the tile shows a picture of this width; how long that took, s."""
    began = time.monotonic()
    while not any(each["width"] == width for each in (await tiles(page)).values()):  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize(("loss", "freezes"), [(0.03, 1.0), (0.10, 3.0)])
async def test_tiles_of_one_connection_go_on_under_loss_and_jitter(loss: float, freezes: float) -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    streams = [Stream(f"cam-{n}", clock=system_clock, expects=("h264",)) for n in range(3)]
    try:
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(90):
            for stream in streams:
                await stack.enter_async_context(feeding(stream))
            path = await stack.enter_async_context(narrow_path(server.port))
            path.jitter_ms = 50
            page = await stack.enter_async_context(connected(server, path, *(Wish(stream) for stream in streams)))
            before = await decoded(page, 3, 50)
            path.loss = loss
            after = await decoded(page, 3, 150)
        assert path.lost > 0
        assert sum(tile["repaired"] for tile in after.values()) > 0
        for mid, tile in after.items():
            assert tile["frozen"] - before[mid]["frozen"] <= freezes
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()


async def test_a_drop_to_500_kbit_leads_to_the_smaller_picture_and_back_over_one_connection() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("mem-1", clock=system_clock)
    publisher = Layered(stream)
    try:
        async with (
            narrow_path(server.port) as path, publisher.playing(), connected(server, path, Wish(stream)) as page,
            asyncio.timeout(90),
        ):  # fmt: skip
            await wide(page, 1_280)
            (session,) = server.sessions
            (seat,) = session.seats.values()
            while session.steering.bandwidth.rate(system_clock()) < 1_500_000:  # noqa: ASYNC110 - an estimate has no event
                await asyncio.sleep(0.05)
            path.rate = 500_000
            began = time.monotonic()
            while seat.sender.layer != 0:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.02)
            sent, shown = time.monotonic() - began, await wide(page, 320)
            await asyncio.sleep(4)  # probes fail meanwhile
            path.rate = None
            back = await wide(page, 1_280)
            print(f"smaller sent after {sent:.2f} s, shown {shown:.2f} s later; back after {back:.2f} s")
            assert sent < 2.5  # a layer begins with a key frame, which the publisher has to make
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()
