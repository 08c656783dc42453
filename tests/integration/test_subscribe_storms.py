"""Pages that change their mind without end over /ws: their socket is closed or they are served, and others see on."""

import asyncio
import random

from signaling import wire
from tests.integration.live_rig import until
from tests.integration.test_conference_media import Rig, _viewers, rig
from tests.integration.test_media_subscribe import camera, page

__all__ = ["rig"]  # the fixture


async def test_a_page_that_storms_is_closed_and_its_tracks_go_while_another_sees_on(rig: Rig) -> None:
    relay = await rig.relay()
    gate, bridge = await rig.camera("gate"), await rig.camera("bridge")
    async with page(rig, "sysadmin") as good:
        await good.want(camera("1", gate))
        await good.flows("1")
        async with page(rig, "commander") as bad:
            await bad.want(camera("a", gate), camera("b", bridge))
            await bad.flows("a", "b")
            with_many = [camera(f"k{n}", (gate, bridge, f"cam-none-{n}")[n % 3], width=1 + n) for n in range(64)]

            async def storm() -> None:
                dice = random.Random(3)
                for n in range(2_000):
                    wanted = dice.sample(with_many, dice.randrange(64))
                    await bad.ws.send(wire.MediaSubscribe(tracks=tuple(wanted), anew=n % 50 == 0))

            storming = asyncio.create_task(storm())
            await asyncio.wait([storming], timeout=20)
            storming.cancel()
            await asyncio.gather(storming, return_exceptions=True)
            await good.flows("1", more=20)
            assert good.ended == []
        await until(
            lambda: _viewers(rig, relay, gate, 1), seconds=60
        )  # a page may come back to its pictures for a while
        await until(lambda: _viewers(rig, relay, bridge, 0), seconds=60)
        await good.flows("1", more=10)
        assert len(good.offers) <= 2


async def test_a_page_that_wants_everything_and_nothing_in_turns_ends_with_what_it_wanted_last(rig: Rig) -> None:
    relay = await rig.relay()
    gate, bridge = await rig.camera("gate"), await rig.camera("bridge")
    async with page(rig, "sysadmin") as good, page(rig, "commander") as bad:
        await good.want(camera("1", gate))
        await good.flows("1")
        for n in range(120):
            await bad.want(*([camera("a", gate), camera("b", bridge)] if n % 2 == 0 else []))
            if n % 10 == 9:
                await asyncio.sleep(0.2)  # under what a socket may send
        await bad.want(camera("b", bridge))
        await bad.flows("b", more=10)
        await until(lambda: _viewers(rig, relay, gate, 1))
        assert (bad.failed, good.ended) == ([], [])
        await good.flows("1", more=10)
