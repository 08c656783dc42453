"""GB/T 28181: a channel's main and sub stream are two layers of one camera, through the whole hub."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.bus.registry import nodes
from hub.bus.relays import Relays
from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.options import Quirk
from signaling.gb28181.substream import FORMS, SubForm
from tests.integration.gb_chain import PATIENCE, Chain, gb_chain, impatient, views_in_two_sizes
from tests.integration.live_rig import TOKEN, until

MAIN, SUB = 320, 160  # pixels


@pytest.fixture
async def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    impatient(monkeypatch)
    async with gb_chain(tmp_path) as chain:
        yield chain


async def until_sent(device: GbDevice, streams: int) -> None:
    async with asyncio.timeout(PATIENCE):
        await device.until(lambda device: len(device.streams) == streams)


async def none_of_it(chain: Chain, why: str) -> None:
    """The relay knows that there is no sub stream, and why."""

    async def known() -> bool:
        (relay,) = await nodes(redis, "relay")
        return any(state.facts.get("no_sub_stream") == why for state in await relays.streams(relay.url))

    redis = chain.hub.redis.client("looks-on")
    try:
        async with Relays(TOKEN) as relays:
            await until(known, seconds=PATIENCE)
    finally:
        await redis.aclose()


async def test_a_small_tile_gets_the_sub_stream_a_large_one_the_main_and_nobody_none(chain: Chain) -> None:
    device = await chain.device(views_in_two_sizes(), sub="streamnumber")
    camera = await chain.camera(device)
    async with chain.watching(f"cameras/{camera}?width=160") as small:
        await small.until(lambda eyes: eyes.width == SUB)
        assert (len(device.streams), device.counters["subs"]) == (2, 1)
        async with chain.watching(f"cameras/{camera}?width=1280") as large:
            await large.until(lambda eyes: eyes.width == MAIN)
            await large.more(10)
            assert (large.width, small.width) == (MAIN, SUB)
            assert len(device.streams) == 2  # shared
        await small.more(10)
    await until_sent(device, 0)  # the last one gone: BYE for both
    async with chain.watching(f"cameras/{camera}?width=1280") as large:
        await large.more(10)
        assert (large.width, len(device.streams), device.counters["subs"]) == (MAIN, 1, 1)


@pytest.mark.parametrize("form", FORMS)
async def test_each_way_of_asking_can_be_set_for_a_device(chain: Chain, form: SubForm) -> None:
    device = await chain.device(views_in_two_sizes(), sub=form, edition="2016", listed={"sub_stream": form})
    async with chain.watching(f"cameras/{await chain.camera(device)}?width=160") as small:
        await small.until(lambda eyes: eyes.width == SUB)


async def test_a_change_of_the_way_reaches_a_picture_that_is_watched(chain: Chain) -> None:
    device = await chain.device(views_in_two_sizes(), sub="streamprofile", listed={"sub_stream": "off"})
    async with chain.watching(f"cameras/{await chain.camera(device)}?width=160") as small:
        await small.more(20)
        assert (small.width, device.counters["calls"]) == (MAIN, 1)  # off: nobody asks
        await chain.call("PATCH", f"/devices/{device.id}", json={"sub_stream": "streamprofile"})
        await small.until(lambda eyes: eyes.width == SUB)
        await chain.call("PATCH", f"/devices/{device.id}", json={"sub_stream": "off"})
        await until_sent(device, 1)
        await small.until(lambda eyes: eyes.width == MAIN)


async def test_a_device_that_sends_the_main_stream_again_is_sent_away_once_for_all(chain: Chain) -> None:
    device = await chain.device(views_in_two_sizes())  # of 2022, and knows no such line
    camera = await chain.camera(device)
    for _ in range(2):
        async with chain.watching(f"cameras/{camera}?width=160") as small:
            await small.more(10)
            await none_of_it(chain, "same_picture")
            await until_sent(device, 1)
            before = small.frames
            await small.until(lambda eyes, before=before: eyes.frames > before + 40)  # type: ignore[misc] # bound now
            assert small.width == MAIN
        await until_sent(device, 0)
    assert device.counters["calls"] == 3  # two pictures, one trial


async def test_a_device_of_2016_whose_maker_tells_nothing_is_not_asked(chain: Chain) -> None:
    device = await chain.device(views_in_two_sizes(), edition="2016", sub="streamnumber")
    async with chain.watching(f"cameras/{await chain.camera(device)}?width=160") as small:
        await none_of_it(chain, "gb28181.no_sub_stream")
        await small.more(10)
        assert (small.width, device.counters["calls"]) == (MAIN, 1)


async def test_a_device_that_refuses_the_sub_stream_keeps_its_main_stream(chain: Chain) -> None:
    quirks = frozenset({Quirk.REFUSES_SUB})
    device = await chain.device(views_in_two_sizes(), sub="streamnumber", quirks=quirks)
    async with chain.watching(f"cameras/{await chain.camera(device)}?width=160") as small:
        await none_of_it(chain, "gb28181.not_acceptable")
        await small.more(20)
        assert (small.width, device.counters["subs_refused"], device.counters["calls"]) == (MAIN, 1, 1)


async def test_a_device_that_sends_one_stream_only_is_left_with_the_main_stream(chain: Chain) -> None:
    quirks = frozenset({Quirk.ONE_STREAM})
    device = await chain.device(views_in_two_sizes(), sub="streamnumber", quirks=quirks)
    camera = await chain.camera(device)
    async with chain.watching(f"cameras/{camera}?width=160") as small:
        await none_of_it(chain, "one_stream_only")
        await until_sent(device, 1)
        await small.until(lambda eyes: eyes.width == MAIN)
        calls = device.counters["calls"]
        await small.more(40)
        assert (small.width, device.counters["calls"]) == (MAIN, calls)
        assert (await chain.state(camera))["state"] == "live"
