"""A relay that was taken for dead and lives keeps no camera open that is another relay's by now."""

import asyncio
from pathlib import Path

from hub.bus import leases
from tests.integration.legs_kit import site


async def test_a_camera_whose_place_went_elsewhere_is_let_go_within_seconds(tmp_path: Path) -> None:
    async with site(tmp_path, count=1) as rig:
        redis = rig.redis.client()
        await leases.acquire(redis, "stream:cam-1", "relay-0", ttl_ms=60_000)
        await rig.put(0, keep_open=True)
        await rig.put(0, "cam-2", keep_open=True)  # nobody leased a place for it
        await rig.until(0, lambda state: state.state == "live")
        assert await leases.take_over(redis, "stream:cam-1", "relay-0", "relay-9", ttl_ms=60_000)
        async with asyncio.timeout(10):
            while [each.stream for each in await rig.relays.streams(rig.nodes[0].url)] != ["cam-2"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert rig.cameras.cameras["gate"].playing == 1
        await redis.aclose()
