"""A real browser on networks that are not the easy one: UDP is blocked, only IPv6 is there, only TURN leads in."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.peer.tcp import Line, address_of
from hub.media.stream import Stream
from tests.e2e.test_relay_in_chromium import CHROMIUM, grows, page_of
from tests.integration.media_kit import feeding
from tests.integration.test_ipv6 import has_ipv6
from tests.integration.test_turn import credential
from tests.integration.turn_rig import TURNSERVER, WHY, coturn

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")]


async def pair(page: Page, name: str) -> tuple[str, str]:
    """Protocol and remote address of the candidate pair in use."""
    found = await page.evaluate(
        """async name => {
          const all = await window[name].getStats();
          for (const one of all.values())
            if (one.type === 'transport' && one.selectedCandidatePairId) {
              const pair = all.get(one.selectedCandidatePairId);
              return [all.get(pair.localCandidateId).protocol, all.get(pair.remoteCandidateId).address];
            }
        }""",
        name,
    )
    return found[0], found[1].strip("[]")


def by_tcp_alone(answer: str) -> str:
    return re.sub(r"a=candidate:\S+ 1 udp .*\r\n", "", answer)


async def test_chromium_sees_and_publishes_where_udp_is_blocked() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    camera, member = Stream("cam-1", clock=system_clock, expects=("h264",)), Stream("mem-1", clock=system_clock)
    try:
        async with asyncio.timeout(90):
            async with feeding(camera), page_of(server, camera, rewrite=by_tcp_alone) as page:
                await page.evaluate("watch('a', ['video'])")
                found = await grows(page, "a", "video", "framesDecoded", 75)
                assert await pair(page, "a") == ("tcp", "127.0.0.1")
                assert found["freezeCount"] == 0
                assert isinstance(server.sessions[0].ice.selected, Line)
                assert server.counters["tcp_dropped"] == server.counters["tcp_shed"] == 0
            async with page_of(server, member, rewrite=by_tcp_alone) as page:
                await page.evaluate("publish('p')")
                await page.evaluate("watch('v', ['audio', 'video'])")
                await grows(page, "v", "video", "framesDecoded", 30)
                await grows(page, "v", "audio", "packetsReceived", 50)
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()


async def test_chromium_takes_udp_where_both_are_open() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    try:
        async with feeding(stream), page_of(server, stream) as page, asyncio.timeout(60):
            await page.evaluate("watch('a', ['video'])")
            await grows(page, "a", "video", "framesDecoded", 50)
            assert (await pair(page, "a"))[0] == "udp"
    finally:
        await server.close()


@pytest.mark.skipif(not has_ipv6(), reason="this system has no IPv6 loopback")
async def test_chromium_sees_pictures_by_ipv6_alone() -> None:
    server = await PeerServer.open("::", 0, announce=["::1"])
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    try:
        async with feeding(stream), page_of(server, stream) as page, asyncio.timeout(60):
            await page.evaluate("watch('a', ['video'])")
            await grows(page, "a", "video", "framesDecoded", 50)
            assert (await pair(page, "a"))[1] == "::1"
    finally:
        await server.close()


@pytest.mark.skipif(TURNSERVER is None, reason=WHY)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_chromium_sees_pictures_by_turn_alone(tmp_path: Path, transport: str) -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    username = f"{system_clock() // 1_000 + 600}:u-1"
    try:
        async with coturn(tmp_path) as port, feeding(stream), page_of(server, stream) as page, asyncio.timeout(60):
            turn = {
                "urls": [f"turn:127.0.0.1:{port}?transport={transport}"],
                "username": username, "credential": credential(username),
            }  # fmt: skip
            configuration = {"iceServers": [turn], "iceTransportPolicy": "relay"}
            await page.evaluate("turned => watch('a', ['video'], turned)", configuration)
            found = await grows(page, "a", "video", "framesDecoded", 50)
            assert found["freezeCount"] == 0
            (session,) = server.sessions
            assert session.ice.selected is not None
            assert 52_000 <= address_of(session.ice.selected)[1] <= 52_200  # a port that coturn relays from
        assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
    finally:
        await server.close()
