"""A viewer as a process of its own, wherever it is started: joins a stream of a relay and says what comes.

``python -m tests.integration.relay_viewer URL TOKEN STREAM`` prints a line of JSON twice a second, two minutes at most.
"""

import asyncio
import json
import sys

from hub.bus.relay_wire import OfferIn
from hub.bus.relays import Relays
from tests.bench.light_client import LightViewer


async def main(url: str, token: str, stream: str) -> None:
    """Join, then report."""
    viewer = LightViewer()
    async with Relays(token) as relays, asyncio.timeout(120):

        async def post(sdp: str) -> str:
            return (await relays.whep(url, stream, OfferIn(sdp=sdp, owner="s-viewer"))).sdp

        await viewer.join(post)
        await viewer.seen.wait()
        for _ in range(220):
            print(json.dumps({"packets": viewer.packets, "first_s": viewer.first_frame_s}), flush=True)
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
