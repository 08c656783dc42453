"""One port for IPv4 and IPv6, by UDP and by TCP: each client takes the candidate of its own family."""

import asyncio
import re
import socket

import pytest

from hub.media.peer import udp
from hub.media.peer.server import PeerServer
from tests.bench.light_client import LightViewer
from tests.integration.media_kit import feeding
from tests.integration.test_ice_tcp import join
from tests.integration.test_whep import PATIENCE, accept, client, first_track, h264, offer_of


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this system has no IPv6 loopback")


@pytest.mark.parametrize("over", ["udp", "tcp"])
async def test_viewers_of_both_families_see_pictures_by_one_port(over: str) -> None:
    server = await PeerServer.open("::", 0, announce=["127.0.0.1", "::1"])
    try:
        async with asyncio.timeout(PATIENCE):
            stream = h264()
            viewers = [LightViewer(over=over, address=address) for address in ("127.0.0.1", "::1")]
            async with feeding(stream):
                for viewer in viewers:
                    await join(server, stream, viewer)
                    await viewer.seen.wait()
                families = {viewer._sock.family for viewer in viewers}
                assert server.counters["send_errors"] == 0
                for viewer in viewers:
                    await viewer.close()
            assert families == {socket.AF_INET, socket.AF_INET6}
            assert server.counters["internal_errors"] == 0
    finally:
        await server.close()


async def test_an_aiortc_client_decodes_pictures_by_ipv6_alone() -> None:
    server = await PeerServer.open("::1", 0, announce=["::1"])
    try:
        async with client() as pc, asyncio.timeout(PATIENCE):
            stream = h264()
            async with feeding(stream):
                track = first_track(pc, "video")
                pc.addTransceiver("video", direction="recvonly")
                answer = await server.whep(stream, await offer_of(pc), owner="u")
                assert "c=IN IP6 ::1" in answer.sdp
                assert set(re.findall(r"candidate:\S+ 1 \w+ \d+ (\S+)", answer.sdp)) == {"::1"}
                await accept(pc, answer.sdp)
                await (await track).recv()
    finally:
        await server.close()


async def test_a_host_without_ipv6_still_opens_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def no_ipv6(family: int = -1, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *rest)

    monkeypatch.setattr(socket, "socket", no_ipv6)
    with udp.bind("::", 0) as sock:
        assert sock.family == socket.AF_INET
