"""Legs between relays: one camera, viewers at several relays, one connection to the camera."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from aiortc.mediastreams import VideoStreamTrack

from hub.bus import registry
from hub.bus.relay_wire import OfferIn
from hub.domain.errors import Conflict, Unavailable
from hub.media.peer.places import Ports
from tests.integration.camera_kit import PATIENCE
from tests.integration.legs_kit import flows, site
from tests.integration.test_relay_node import free_udp_port
from tests.integration.test_whep import accept, client, first_track, offer_of


@pytest.mark.parametrize("pushed", [False, True])
async def test_viewers_at_two_relays_open_the_camera_once_and_cost_one_leg(tmp_path: Path, pushed: bool) -> None:
    async with site(tmp_path) as rig:
        await rig.put(0)
        await rig.leg(1, 0, pushed=pushed)
        async with rig.viewer(0) as one, rig.viewer(1) as two, rig.viewer(1, owner="u-2") as three:
            await flows(one, two, three)
            assert rig.plays == 1
            at_leg = await rig.until(1, lambda state: state.state == "live" and state.viewers >= 2)
            assert (at_leg.codec, at_leg.width, at_leg.height) == ("h264", 320, 240)
            assert await rig.metric(0, "sharpeyes_relay_sessions") == (1 if pushed else 2)
            assert await rig.metric(1, "sharpeyes_relay_legs") == 1
            assert await rig.metric(0, "sharpeyes_relay_legs_pushed") == pushed
        await rig.until(1, lambda state: state.state == "idle")  # the leg closes after its last viewer
        await rig.until(0, lambda state: state.state == "idle")  # and then the camera
        assert await rig.metric(0, "sharpeyes_relay_sessions") == 0
        assert await rig.metric(0, "sharpeyes_relay_legs_pushed") == 0
        assert rig.plays == 1


@pytest.mark.parametrize("pushed", [False, True])
async def test_a_leg_that_was_closed_opens_again_for_the_next_viewer(tmp_path: Path, pushed: bool) -> None:
    async with site(tmp_path) as rig:
        await rig.put(0)
        for _ in range(2):
            await rig.leg(1, 0, pushed=pushed)
            async with rig.viewer(1):
                pass
            await rig.until(1, lambda state: state.state == "idle")
            await rig.until(0, lambda state: state.state == "idle")


async def test_a_relay_of_a_site_that_cannot_begin_says_why_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with (
        contextlib.closing(Ports.open("127.0.0.1", free_udp_port(), over_tcp=True)) as taken,
        pytest.raises(Unavailable, match=r"media port .* another program has it"),
    ):
        async with asyncio.timeout(PATIENCE / 2), site(tmp_path, media_port=taken.number):
            pass


async def test_there_are_no_chains_and_no_loops(tmp_path: Path) -> None:
    async with site(tmp_path) as rig:
        await rig.put(0)
        await rig.leg(1, 0)
        async with rig.viewer(1):
            with pytest.raises(Conflict) as caught:
                await rig.relays.whep(rig.nodes[1].url, "cam-1", OfferIn(sdp="v=0", owner="leg-relay-9"))
            assert caught.value.id == "stream.is_leg"
            with pytest.raises(Conflict):
                await rig.relays.push(rig.nodes[1].url, "cam-1", to="relay-0", url=rig.nodes[0].url)
            with pytest.raises(Conflict):  # nobody told that relay to publish here
                await rig.relays.whip(rig.nodes[0].url, "cam-1", OfferIn(sdp="v=0", owner="leg-relay-1"))


async def test_a_leg_to_a_relay_that_does_not_know_the_stream_says_so(tmp_path: Path) -> None:
    async with site(tmp_path) as rig:
        await rig.leg(1, 0)
        with pytest.raises(Unavailable) as caught:
            await rig.relays.whep(rig.nodes[1].url, "cam-1", OfferIn(sdp="v=0", owner="u-1"))
        assert caught.value.id == "source.not_found"


async def test_viewers_stay_while_the_leg_becomes_the_camera_and_it_is_never_open_twice(tmp_path: Path) -> None:
    async with site(tmp_path) as rig:
        await rig.put(0)
        await rig.leg(1, 0)
        async with rig.viewer(1) as viewer:
            await rig.relays.delete_stream(rig.nodes[0].url, "cam-1")  # answers when the camera is closed
            await rig.put(1)
            await flows(viewer, packets=60)
            state = await rig.until(1, lambda state: state.state == "live")
            assert state.origin is None
            assert (rig.plays, rig.cameras.cameras["gate"].most) == (2, 1)


async def test_a_member_of_a_conference_is_watched_over_a_leg_and_asked_for_key_frames(tmp_path: Path) -> None:
    async with site(tmp_path) as rig, client() as source, client() as pc:
        source.addTrack(VideoStreamTrack())
        offer = OfferIn(sdp=await offer_of(source), owner="u-1")
        await accept(source, (await rig.relays.whip(rig.nodes[0].url, "mem-1", offer)).sdp)
        await rig.leg(1, 0, "mem-1")
        track = first_track(pc, "video")
        pc.addTransceiver("video", direction="recvonly")
        offer = OfferIn(sdp=await offer_of(pc), owner="u-2")
        await accept(pc, (await rig.relays.whep(rig.nodes[1].url, "mem-1", offer)).sdp)
        async with asyncio.timeout(PATIENCE):
            for _ in range(5):
                await (await track).recv()


async def test_a_member_who_moves_keeps_the_viewers_of_the_leg(tmp_path: Path) -> None:
    async with site(tmp_path) as rig, client() as first, client() as second, client() as pc:
        for source in (first, second):
            source.addTrack(VideoStreamTrack())
        offer = OfferIn(sdp=await offer_of(first), owner="u-1")
        await accept(first, (await rig.relays.whip(rig.nodes[0].url, "mem-1", offer)).sdp)
        await rig.leg(1, 0, "mem-1")
        track = first_track(pc, "video")
        pc.addTransceiver("video", direction="recvonly")
        offer = OfferIn(sdp=await offer_of(pc), owner="u-2")
        await accept(pc, (await rig.relays.whep(rig.nodes[1].url, "mem-1", offer)).sdp)
        async with asyncio.timeout(PATIENCE):
            for _ in range(5):
                await (await track).recv()
            offer = OfferIn(sdp=await offer_of(second), owner="u-1")
            await accept(second, (await rig.relays.whip(rig.nodes[1].url, "mem-1", offer)).sdp)
            await first.close()
            await rig.until(1, lambda state: state.origin is None and state.state == "live", "mem-1")
            for _ in range(60):
                await (await track).recv()
        (state,) = await rig.relays.streams(rig.nodes[1].url)
        assert state.viewers == 1


async def test_a_relay_that_drains_says_so_at_once(tmp_path: Path) -> None:
    async with site(tmp_path) as rig:
        redis = rig.redis.client()

        async def draining(expected: list[str]) -> None:
            while True:
                found = await registry.nodes(redis, "relay")
                if [node.id for node in found if node.facts[registry.DRAINING]] == expected:
                    return
                await asyncio.sleep(0.02)

        async with asyncio.timeout(1.5):  # sooner than the next heartbeat
            await rig.relays.drain(rig.nodes[0].url, draining=True)
            await draining(["relay-0"])
            await rig.relays.drain(rig.nodes[0].url, draining=False)
            await draining([])
        await redis.aclose()


async def test_a_relay_that_dies_breaks_the_connection_of_whoever_asked_whether_it_lives(tmp_path: Path) -> None:
    async with site(tmp_path) as rig:
        beats = rig.relays.alive(rig.nodes[0].url)
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await anext(beats)
            rig.tasks[0].cancel()
            with contextlib.suppress(Unavailable):
                async for _ in beats:
                    pass
