"""One connection of a real browser to the relay: layers by the width of tiles, ICE anew, a narrow path shared out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.async_api import Page

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.peer.subscriber import Offered, Wish
from hub.media.stream import Stream
from tests.e2e.test_relay_in_chromium import CHROMIUM, page_of, until_seen
from tests.integration.layered import Layered
from tests.integration.media_kit import feeding
from tests.integration.narrow_path import narrow_path

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")]

ANSWER: Final = """
async sdp => {
  if (!window.shared) {
    window.shared = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
    window.shared.ontrack = event => {
      const video = document.createElement('video');
      video.muted = true; video.autoplay = true; video.srcObject = new MediaStream([event.track]);
      document.body.append(video);
    };
  }
  await window.shared.setRemoteDescription({type: 'offer', sdp});
  await window.shared.setLocalDescription();
  return window.shared.localDescription.sdp;
}
"""
INBOUND: Final = """
async () => {
  const found = {};
  for (const one of (await window.shared.getStats()).values())
    if (one.type === 'inbound-rtp' && one.kind === 'video') found[one.mid] = one;
  return found;
}
"""


@dataclass
class Shared:
    """A page's one connection, without the api between."""

    server: PeerServer
    session: str
    page: Page
    rewrite: Callable[[str], str]
    mids: dict[str, str]  # by stream

    async def want(self, *wishes: Wish) -> None:
        await self.take(self.server.wish(self.session, wishes))

    async def take(self, offered: Offered | None) -> None:
        while offered is not None:
            self.mids = {stream: mid for mid, stream, _ in offered.tracks}
            answer = await self.page.evaluate(ANSWER, self.rewrite(offered.sdp))
            offered = self.server.answer(self.session, offered.revision, answer)

    async def figures(self, stream: str) -> dict[str, Any]:
        found = await self.page.evaluate(INBOUND)
        return dict(found.get(self.mids[stream], {}))

    async def wide(self, stream: str, least: int, most: int) -> None:
        """Until its decoded picture is so wide."""
        while not least <= await self._width(stream) <= most:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def layers(self, one: str, other: str, widths: tuple[int, int]) -> None:
        """Until both pictures are so wide at once."""
        while (await self._width(one), await self._width(other)) != widths:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _width(self, stream: str) -> int:
        return int((await self.figures(stream)).get("frameWidth") or 0)

    async def grows(self, stream: str, by: int) -> dict[str, Any]:
        """Until so many pictures more are decoded; the last figures."""
        begun = (await self.figures(stream)).get("framesDecoded", 0)
        while (found := await self.figures(stream)).get("framesDecoded", 0) < begun + by:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return found


@contextlib.asynccontextmanager
async def sharing(
    server: PeerServer, page: Page, rewrite: Callable[[str], str] = lambda sdp: sdp
) -> AsyncIterator[Shared]:
    session = server.subscribe(owner="u-1")
    yield Shared(server, session, page, rewrite, {})
    await server.end(session, "closed")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[PeerServer]:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    try:
        yield server
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()


@pytest.mark.slow  # three encoders of a browser: they follow the machine's load
async def test_a_members_small_tile_gets_the_small_layer_and_the_large_one_when_it_is_enlarged() -> None:
    member = Stream("mem-1", clock=system_clock)
    async with serving() as server, page_of(server, member) as page, asyncio.timeout(90):
        await page.evaluate("publishLayers('p')")
        await until_seen(member, 3)
        async with sharing(server, page) as viewer:
            await viewer.want(Wish(member, 208))
            await viewer.wide("mem-1", 320, 320)
            assert server.track_layers(viewer.session) == {"mem-1": (1, 3)}
            await viewer.want(Wish(member, 1_200))
            await viewer.wide("mem-1", 1_280, 1_280)
            assert server.track_layers(viewer.session) == {"mem-1": (3, 3)}
            await viewer.want(Wish(member, 1_200, visible=False))
            await asyncio.sleep(0.5)  # what was on its way has come
            before = (await viewer.figures("mem-1"))["packetsReceived"]
            await asyncio.sleep(1.0)
            assert (await viewer.figures("mem-1"))["packetsReceived"] == before
            await viewer.want(Wish(member, 208))
            await viewer.wide("mem-1", 320, 320)
            await viewer.grows("mem-1", 10)


async def test_ice_begins_anew_under_a_picture_that_goes_on() -> None:
    gate = Stream("cam-1", clock=system_clock, expects=("h264",))
    async with (
        serving() as server, feeding(gate), page_of(server, gate) as page, sharing(server, page) as viewer,
        asyncio.timeout(60),
    ):  # fmt: skip
        await viewer.want(Wish(gate))
        await viewer.grows("cam-1", 20)
        (session,) = server.sessions
        path = session.ice.selected
        await viewer.take(server.restart(viewer.session))
        while session.ice.before is not None:  # noqa: ASYNC110 - the relay has no event for it
            await asyncio.sleep(0.05)
        found = await viewer.grows("cam-1", 50)
        assert session.ice.selected != path
        assert found["freezeCount"] == 0
        assert server.counters["ice_restarts"] == 1


@pytest.mark.slow  # an estimate of the path follows the machine's load
async def test_on_a_narrow_path_the_larger_tile_goes_first_and_a_hidden_one_makes_room() -> None:
    large, small = (Stream(id, clock=system_clock) for id in ("mem-large", "mem-small"))
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        for each in (large, small):
            await stack.enter_async_context(Layered(each).playing())
        path = await stack.enter_async_context(narrow_path(server.port))
        page = await stack.enter_async_context(page_of(server, large))
        viewer = await stack.enter_async_context(sharing(server, page, path.rewrite))
        async with asyncio.timeout(90):
            path.rate = 2_400_000  # one of the large pictures, and a small one
            await viewer.want(Wish(large, 1_280), Wish(small, 640))
            await viewer.layers("mem-large", "mem-small", (1_280, 320))
            await viewer.want(Wish(large, 1_280, visible=False), Wish(small, 640))
            await viewer.wide("mem-small", 1_280, 1_280)
            await viewer.want(Wish(large, 1_280), Wish(small, 640))
            await viewer.layers("mem-large", "mem-small", (1_280, 320))
