"""A real browser against the peer server alone: a camera is seen by WHEP, a member publishes by WHIP and is seen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.rtp.track import Packet
from hub.media.stream import Stream
from tests.integration.media_kit import feeding
from tests.integration.narrow_path import NarrowPath, narrow_path

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox", "--headless=new", "--disable-background-networking", "--disable-quic",
    "--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
SCRIPT = """
async function gathered(pc) {
  await pc.setLocalDescription(await pc.createOffer());
  if (pc.iceGatheringState !== 'complete')
    await new Promise(done => { pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done(); });
  return pc.localDescription.sdp;
}
async function watch(name, kinds, configuration = {}) {
  const pc = window[name] = new RTCPeerConnection(configuration);
  const began = performance.now();
  for (const kind of kinds) pc.addTransceiver(kind, {direction: 'recvonly'});
  const video = document.createElement('video');
  video.muted = true; video.autoplay = true; document.body.append(video);
  pc.ontrack = event => { if (event.track.kind === 'video') video.srcObject = event.streams[0]; };
  window[name + 'First'] = new Promise(done =>
    video.requestVideoFrameCallback(() => done(performance.now() - began)));
  await pc.setRemoteDescription({type: 'answer', sdp: await whep(await gathered(pc))});
}
async function publish(name) {
  const pc = window[name] = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 360}});
  for (const track of media.getTracks()) pc.addTrack(track, media);
  await pc.setRemoteDescription({type: 'answer', sdp: await whip(await gathered(pc))});
}
async function restart(name) {
  const pc = window[name];
  await pc.setLocalDescription(await pc.createOffer({iceRestart: true}));
  const value = (sdp, key) => sdp.match(new RegExp('a=' + key + ':(.*)'))[1].trim();
  const ours = pc.localDescription.sdp, before = pc.currentRemoteDescription.sdp;
  const said = await patch(['a=ice-ufrag:' + value(ours, 'ice-ufrag'), 'a=ice-pwd:' + value(ours, 'ice-pwd'),
    'm=video 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0', ''].join('\\r\\n'));
  let sdp = before;
  for (const key of ['ice-ufrag', 'ice-pwd'])
    sdp = sdp.replaceAll(new RegExp('a=' + key + ':.*', 'g'), 'a=' + key + ':' + value(said, key));
  await pc.setRemoteDescription({type: 'answer', sdp});
}
async function publishLayers(name) {
  const pc = window[name] = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({video: {width: 1280, height: 720, frameRate: 20}});
  pc.addTransceiver(media.getVideoTracks()[0], {direction: 'sendonly', streams: [media], sendEncodings: [
    {rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150000, scalabilityMode: 'L1T2'},
    {rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 400000, scalabilityMode: 'L1T2'},
    {rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1200000, scalabilityMode: 'L1T2'}]});
  await pc.setRemoteDescription({type: 'answer', sdp: await whip(await gathered(pc))});
}
async function stats(name) {
  const found = {};
  for (const item of (await window[name].getStats()).values())
    if (item.type === 'inbound-rtp') found[item.kind] = item;
  return found;
}
"""


@contextlib.asynccontextmanager
async def page_of(
    server: PeerServer, stream: Stream, path: NarrowPath | None = None, rewrite: Callable[[str], str] = lambda sdp: sdp
) -> AsyncIterator[Page]:
    async def whep(sdp: str) -> str:
        answer = rewrite((await server.whep(stream, sdp, owner="u-1")).sdp)
        return answer if path is None else path.rewrite(answer)

    async def whip(sdp: str) -> str:
        return rewrite((await server.whip(stream, sdp, owner="u-2")).sdp)

    async def patch(fragment: str) -> str:
        return server.patch(server.sessions[0].id, fragment)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        try:
            page = await browser.new_page()
            await page.expose_function("whep", whep)
            await page.expose_function("whip", whip)
            await page.expose_function("patch", patch)
            await page.route("http://localhost/", lambda route: route.fulfill(body="<body></body>"))
            await page.goto("http://localhost/")
            await page.add_script_tag(content=SCRIPT)
            yield page
        finally:
            await browser.close()


async def grows(page: Page, name: str, kind: str, field: str, by: int) -> dict[str, Any]:
    """Wait until a counter of the receiver grew by so much; the last figures."""
    first: int | None = None
    while True:
        found = (await page.evaluate(f"stats('{name}')")).get(kind, {})
        value = found.get(field, 0)
        first = value if first is None else first
        if value - first >= by:
            return dict(found)
        await asyncio.sleep(0.1)


async def until_seen(stream: Stream, layers: int) -> None:
    """Wait until so many layers brought a key frame."""
    came = asyncio.Event()

    def look(packets: Sequence[Packet]) -> None:
        if sum(track.size is not None for track in stream.layers("video")) >= layers:
            came.set()

    stream.listen("video", look)
    await came.wait()
    stream.unlisten("video", look)


async def until(page: Page, name: str, field: str, least: int, most: int) -> None:
    """Wait until a figure of the received video lies within bounds."""
    while True:
        found = (await page.evaluate(f"stats('{name}')")).get("video", {})
        if least <= (found.get(field) or 0) <= most:
            return
        await asyncio.sleep(0.1)


async def in_step(page: Page, name: str, most_ms: float) -> None:
    """Wait until picture and sound are played out as of the same moment of their source, by the sender reports."""
    while True:
        found = await page.evaluate(f"stats('{name}')")
        told = [found.get(kind, {}).get("estimatedPlayoutTimestamp") for kind in ("audio", "video")]
        if all(told) and abs(told[0] - told[1]) <= most_ms:
            return
        await asyncio.sleep(0.1)


pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")]


async def test_chromium_plays_a_camera_and_a_late_viewer_starts_from_the_cached_gop() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    try:
        async with feeding(stream), page_of(server, stream) as page, asyncio.timeout(60):
            await page.evaluate("watch('a', ['video'])")
            await grows(page, "a", "video", "framesDecoded", 50)
            await page.evaluate("watch('b', ['video'])")
            assert await page.evaluate("bFirst") > 0
            found = await grows(page, "b", "video", "framesDecoded", 50)
            assert found["freezeCount"] == 0
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()


async def test_chromium_publishes_and_is_seen_and_heard() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("mem-1", clock=system_clock)
    try:
        async with page_of(server, stream) as page, asyncio.timeout(60):
            await page.evaluate("publish('p')")
            await page.evaluate("watch('v', ['audio', 'video'])")
            await grows(page, "v", "video", "framesDecoded", 30)
            await grows(page, "v", "audio", "packetsReceived", 50)
            await in_step(page, "v", 100.0)  # beyond that lips and voice are seen apart (ITU-R BT.1359)
            (session,) = [each for each in server.sessions if not each.publishes]
            assert {seat.stream.id for seat in session.seats.values()} == {"mem-1"}
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()


@pytest.mark.slow  # the length of freezes, with jitter and loss in real time: a busy machine adds its own
@pytest.mark.parametrize(("loss", "freezes"), [(0.03, 0.0), (0.10, 3.0)])
async def test_chromium_mends_losses_by_retransmission(loss: float, freezes: float) -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    try:
        async with (
            feeding(stream), narrow_path(server.port) as path, page_of(server, stream, path) as page,
            asyncio.timeout(60),
        ):  # fmt: skip
            path.jitter_ms = 50
            await page.evaluate("watch('a', ['video'])")
            await grows(page, "a", "video", "framesDecoded", 50)
            path.loss = loss
            found = await grows(page, "a", "video", "framesDecoded", 150)
        assert path.lost > 0
        assert found["retransmittedPacketsReceived"] > 0
        assert found["totalFreezesDuration"] <= max(freezes, 1.0)
        assert server.counters["retransmitted"] > 0
    finally:
        await server.close()


@pytest.mark.slow  # three encoders and an estimate of the path: both follow the machine's load
async def test_chromium_publishes_layers_and_a_viewer_gets_the_one_that_fits_tile_and_path() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("mem-1", clock=system_clock)
    try:
        async with narrow_path(server.port) as path, page_of(server, stream, path) as page, asyncio.timeout(90):
            await page.evaluate("publishLayers('p')")
            await until_seen(stream, 3)
            await page.evaluate("watch('v', ['video'])")
            await until(page, "v", "frameWidth", 1_280, 1_280)
            (session,) = [s for s in server.sessions if not s.publishes]
            assert server.want(session.id, 320)
            await until(page, "v", "frameWidth", 320, 320)
            assert server.want(session.id, None)
            await until(page, "v", "frameWidth", 1_280, 1_280)
            path.rate = 250_000  # less than the base layer of the large picture
            async with asyncio.timeout(5):  # 1.2 to 2.3 s on two idle cores
                await until(page, "v", "frameWidth", 1, 640)
            await asyncio.sleep(4)  # probes fail meanwhile
            path.rate = None
            async with asyncio.timeout(12):  # 1 to 5 s
                await until(page, "v", "frameWidth", 1_280, 1_280)
            assert server.pause(session.id)
            (seat,) = session.seats.values()
            sent = seat.sender.packets
            await asyncio.sleep(0.5)
            assert seat.sender.packets == sent
            assert server.resume(session.id)
            await grows(page, "v", "video", "framesDecoded", 20)
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()


async def test_chromium_restarts_ice_and_goes_on_watching() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    try:
        async with feeding(stream), page_of(server, stream) as page, asyncio.timeout(60):
            await page.evaluate("watch('a', ['video'])")
            await grows(page, "a", "video", "framesDecoded", 20)
            (session,) = server.sessions
            path = session.ice.selected
            await page.evaluate("restart('a')")
            while session.ice.before is not None:  # noqa: ASYNC110 - the relay has no event for it
                await asyncio.sleep(0.05)
            found = await grows(page, "a", "video", "framesDecoded", 50)
            assert session.ice.selected != path
            assert found["freezeCount"] == 0
        assert server.counters["ice_restarts"] == 1
    finally:
        await server.close()
