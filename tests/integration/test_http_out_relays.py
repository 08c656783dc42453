"""MPEG-TS over HTTP in a site of several relays: always from the relay that has the source, and from its successor."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

from hub.bus.relay_wire import OfferIn
from hub.bus.relays import Relays
from hub.bus.streaming import STALLED_S
from hub.relay_commands import drain
from tests.bench.light_client import LightViewer
from tests.integration.live_rig import TOKEN, until
from tests.integration.test_http_out import ends, reading
from tests.integration.test_many_relays import PATIENCE, Rig, rig

__all__ = ["rig"]

PACKET, SYNC, ENOUGH = 188, 0x47, 200


@contextlib.asynccontextmanager
async def playing(site: Rig, camera: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """A player whose pictures come: so many whole packets of a transport stream so far."""
    token = await site.hub.token("commander")
    async with reading(site.hub.apis[0].base, f"/streams/{camera}.ts", token) as body:
        await some(body)
        yield body


async def some(body: AsyncIterator[bytes]) -> None:
    data = b""
    async with asyncio.timeout(PATIENCE):
        while len(data) < ENOUGH * PACKET:
            data += await anext(body)
    assert all(data[at] == SYNC for at in range(0, ENOUGH * PACKET, PACKET))


@contextlib.asynccontextmanager
async def behind_a_leg(site: Rig, camera: str, url: str) -> AsyncIterator[LightViewer]:
    viewer = LightViewer()

    async with Relays(TOKEN) as relays, asyncio.timeout(PATIENCE):

        async def post(sdp: str) -> str:
            return (await relays.whep(url, camera, OfferIn(sdp=sdp, owner="s-second"))).sdp

        await viewer.join(post)
        await viewer.seen.wait()
    yield viewer
    await viewer.close()


@contextlib.asynccontextmanager
async def time_that_passes(site: Rig) -> AsyncIterator[None]:
    """Twenty times as fast as it does: nobody has to wait for a draining relay's patience."""

    async def go() -> None:
        while True:
            site.hub.clock.pass_(1.0)
            await asyncio.sleep(0.05)

    going = asyncio.create_task(go())
    try:
        yield
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


async def test_a_player_is_served_by_the_relay_with_the_source_whoever_has_a_leg(rig: Rig) -> None:
    one = await rig.relay()
    camera = await rig.camera()
    placements = rig.hub.apis[0].live.placements
    assert (await placements.viewing(camera)).id == one.id
    two = await rig.relay()
    assert (await placements.viewing(camera, at=two)).id == two.id
    async with behind_a_leg(rig, camera, two.url), playing(rig, camera) as body, Relays(TOKEN) as relays:
        (there,) = await relays.streams(one.url)
        (leg,) = await relays.streams(two.url)
        assert (there.origin, there.viewers) == (None, 2)  # the leg and the player
        assert (leg.origin, leg.viewers) == (one.url, 1)
        await some(body)
    assert (rig.gate.plays, rig.gate.most) == (1, 1)


async def test_a_player_of_a_killed_relay_is_ended_at_once_and_finds_the_next_one(rig: Rig) -> None:
    one = await rig.relay()
    camera = await rig.camera()
    async with playing(rig, camera) as body:
        two = await rig.relay()
        rig.processes[one.id].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        async with playing(rig, camera):  # comes again before anybody else has noticed
            print(f"\nkilled relay: a player that comes again has pictures after {time.monotonic() - killed:.2f} s")
            assert await rig.holder(camera) == two.id
        await ends(body)
    assert rig.gate.most == 1


async def test_a_player_of_a_relay_that_stands_still_is_ended_when_that_is_noticed(rig: Rig) -> None:
    """No connection breaks, and nothing comes any more, as when a host hangs."""
    one = await rig.relay()
    camera = await rig.camera()
    async with playing(rig, camera) as body:
        two = await rig.relay()
        rig.processes[one.id].send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(STALLED_S - 5):  # sooner than a body that is silent is given up
                await ends(body)
            async with playing(rig, camera):
                assert await rig.holder(camera) == two.id
        finally:
            rig.processes[one.id].send_signal(signal.SIGCONT)


async def test_a_player_of_a_draining_relay_reads_on_until_it_is_put_out_and_finds_the_next_one(rig: Rig) -> None:
    one = await rig.relay()
    camera = await rig.camera()
    async with playing(rig, camera) as body, rig.commands() as commands:
        two = await rig.relay()
        draining = asyncio.create_task(drain(commands, one.id, wait_s=PATIENCE, say=print))
        await until(lambda: _drains(rig, one.id))
        await some(body)
        async with playing(rig, camera) as late:  # who comes meanwhile is served where the source is
            assert (await rig.holder(camera)) == one.id
            async with time_that_passes(rig):
                await ends(body)
                await ends(late)
        async with playing(rig, camera):
            assert await rig.holder(camera) == two.id
            assert await draining
    assert (rig.gate.plays, rig.gate.most) == (2, 1)


async def _drains(site: Rig, id: str) -> bool:
    return any(node.id == id and node.facts["draining"] for node in await site.alive())
