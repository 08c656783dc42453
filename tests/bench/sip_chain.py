"""From a relay's wish to the first picture: real gateway, SIP on loopback, a simulated device that sends real PS."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from hub.bus import registry
from hub.bus.call_wire import MediaMode
from hub.bus.gateway_calls import GatewayCalls
from hub.bus.relay_wire import StreamConfig
from hub.domain.clock import system_clock
from hub.media.node.gb import GbMedia
from tests.integration.gb_chain import Chain, gb_chain
from tests.integration.live_rig import TOKEN

MODES: tuple[MediaMode, ...] = ("udp", "tcp_passive", "tcp_active")


async def first_unit(chain: Chain, device: str, channel: str, mode: MediaMode, count: int) -> list[float]:
    """Milliseconds per call, one after the other; each is hung up again."""
    client = chain.hub.redis.client("bench")
    node = (await registry.nodes(client, "gateway"))[0]
    await client.aclose()
    times: list[float] = []
    async with GatewayCalls(TOKEN) as calls:
        media = GbMedia(chain.settings, calls, clock=system_clock)
        config = StreamConfig(kind="gb28181", url=f"gb28181://{device}/{channel}", gateway=node.url, media=mode)
        for number in range(count):
            began = time.perf_counter()
            async with media.source(config, f"bench-{mode}-{number}", lambda: None) as source:
                while not any(unit.kind == "video" and unit.keyframe for unit in await source.read()):
                    pass
                times.append((time.perf_counter() - began) * 1_000)
    return times


async def measure(quick: bool) -> dict[str, float]:
    """``invite_to_first_unit_ms`` by transport, the median; the device answers at once and begins with a key frame."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="se-") as folder:
        async with gb_chain(Path(folder)) as chain:
            device = await chain.device()
            channel = next(iter(device.answers.channels))
            for mode in MODES:
                times = await first_unit(chain, device.id, channel, mode, 10 if quick else 30)
                figures[f"invite_to_first_unit_ms_{mode}"] = statistics.median(times)
                figures[f"invite_to_first_unit_ms_{mode}_p95"] = sorted(times)[int(len(times) * 0.95)]
    return figures


if __name__ == "__main__":
    import sys

    for key, value in asyncio.run(measure("--quick" in sys.argv)).items():
        print(f"{key} {value:.1f}")
