"""A viewer of two layers on a path that narrows and widens: the smaller picture soon, and back by probes."""

import asyncio
from collections.abc import Callable

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.stream import Stream
from tests.bench.light_client import LightViewer
from tests.integration.layered import Layered
from tests.integration.narrow_path import narrow_path


async def until(true: Callable[[], bool]) -> float:
    """Wait for a figure that has no event; how long it took, s."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return loop.time() - began


async def test_a_drop_to_500_kbit_leads_to_the_lower_layer_and_probes_lead_back() -> None:
    server = await PeerServer.open("127.0.0.1", 0, announce=["127.0.0.1"])
    stream, viewer = Stream("mem-1", clock=system_clock), LightViewer(full=True)
    publisher = Layered(stream)
    try:
        async with narrow_path(server.port) as path, publisher.playing(), asyncio.timeout(60):

            async def post(sdp: str) -> str:
                return path.rewrite((await server.whep(stream, sdp, owner="u")).sdp)

            await viewer.join(post)
            await viewer.seen.wait()
            ((seat,), (session,)) = (server.sessions[0].seats.values(), server.sessions)
            sender = seat.sender
            await until(lambda: sender.layer == 1 and session.steering.bandwidth.rate(system_clock()) > 1_500_000)
            path.rate = 500_000
            down = await until(lambda: sender.layer == 0)
            await until(lambda: session.steering.bandwidth.queue.us < 50_000)  # what had gathered has left
            path.rate = None
            up = await until(lambda: sender.layer == 1)
            print(f"down after {down:.2f} s, up after {up:.2f} s")
            assert server.counters["probe_packets"] > 0
            assert server.counters["protect_failed"] == server.counters["internal_errors"] == 0
            await viewer.close()
    finally:
        await server.close()
