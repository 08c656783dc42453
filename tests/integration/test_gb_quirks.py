"""Each misbehaviour of the simulated device once through the whole hub: it plays all the same, or says why not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.film import Film
from hub.demo.gb_device.fleet import running
from hub.demo.gb_device.options import Quirk
from hub.gateway import calls
from signaling.gb28181 import collect
from tests.integration.gb_chain import Chain, gb_chain, impatient, views
from tests.integration.live_rig import until

SIGNALLING = (
    "utf8-as-gb2312", "single-quotes", "raw-ampersand", "lower-tags", "user-admin", "short-id", "route", "date",
    "padded-length", "compact-headers", "provisional-101", "register-flood", "nat-moves", "silly-heartbeat",
)  # fmt: skip
CATALOGS = ("catalog-late", "catalog-slow", "catalog-too-high", "catalog-too-low", "catalog-twice", "mixed-tree")
UDP_MEDIA = (
    "no-y", "short-y", "other-ssrc", "zero-ssrc", "payload-98", "payload-33", "bare-h264", "side-sound",
    "transport-stream", "bad-map", "late-map", "no-map", "private-packets", "lone-packs", "open-pes", "system-headers",
    "loss", "reorder",
)  # fmt: skip
TCP_MEDIA = ("tcp-at-once", "dollar-framing", "mid-packet", "no-y", "zero-ssrc", "silent-udp")
DARK = {
    "no-answer": "gb28181.no_answer",
    "refuses": "gb28181.busy",
    "silent": "gb28181.answered_no_packets",
    "garbage": "gb28181.packets_no_ps",
    "no-key-frame": "gb28181.ps_no_keyframe",
    "svac": "gb28181.svac",
}
OTHERS = {  # each has a test of its own: here, or in test_gb_chain and test_gb_substream
    "no-keepalive", "catalog-never", "shared-channels", "records-need-type", "foreign-media-status", "no-media-status",
    "one-stream", "refuses-sub",
}  # fmt: skip


def thirds(names: tuple[str, ...], size: int = 6) -> list[tuple[str, ...]]:
    return [names[at : at + size] for at in range(0, len(names), size)]


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    monkeypatch.setattr(calls, "ANSWER_S", 1.5)
    monkeypatch.setattr(collect.CatalogCollector.__init__, "__defaults__", (collect.Patience(first_s=6, next_s=2),))


async def together(chain: Chain, names: tuple[str, ...], film: Film | None = None, **given: Any) -> list[GbDevice]:
    """One device for each misbehaviour, all registered and with their cameras."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(
                chain.device(film, number=n, channels=2, name="门 & <口>", quirks=frozenset({Quirk(name)}), **given)
            )
            for n, name in enumerate(names, 1)
        ]
    return [task.result() for task in tasks]


async def all_play(chain: Chain, devices: list[GbDevice]) -> None:
    for device in devices:
        async with chain.watching(f"cameras/{await chain.camera(device)}") as eyes:
            try:
                await eyes.more(3, seconds=12)
            except TimeoutError:
                state = await chain.state(await chain.camera(device))
                raise AssertionError(f"{sorted(device.options.quirks)}: {state}") from None


def test_every_misbehaviour_is_tried() -> None:
    tried = {*SIGNALLING, *CATALOGS, *UDP_MEDIA, *TCP_MEDIA, *DARK, *OTHERS}
    assert tried == {quirk.value for quirk in Quirk}


@pytest.mark.parametrize("names", thirds(SIGNALLING, 7), ids="+".join)
async def test_odd_signalling_does_not_keep_pictures_away(tmp_path: Path, names: tuple[str, ...]) -> None:
    async with gb_chain(tmp_path) as chain:
        devices = await together(chain, names)
        await all_play(chain, devices)
        await until(lambda: all(device.counters["keepalives"] >= 2 for device in devices))
        for device in devices:
            assert (await chain.call("GET", f"/devices/{device.id}"))["state"] == "online", device.options.quirks


async def test_odd_catalogues_become_cameras(tmp_path: Path) -> None:
    async with gb_chain(tmp_path) as chain:
        devices = await together(chain, CATALOGS, late_s=1.5)
        await all_play(chain, devices[:1])
        for device in devices:
            path = f"/devices/{device.id}"

            async def told(path: str = path) -> bool:
                return (await chain.call("GET", path))["catalog_at"] is not None

            await until(told, seconds=15)
            missing = (await chain.call("GET", path))["catalog_missing"]
            assert (missing > 0) == device.options.has(Quirk.CATALOG_TOO_HIGH), device.options.quirks


@pytest.mark.parametrize("names", thirds(UDP_MEDIA), ids="+".join)
async def test_odd_media_over_udp_are_shown(
    tmp_path: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch, keyframe_s=8.0)  # a map is waited for five seconds
    async with gb_chain(tmp_path) as chain:
        await all_play(chain, await together(chain, names, listed={"media": "udp"}))


async def test_odd_media_over_tcp_are_shown(tmp_path: Path) -> None:
    async with gb_chain(tmp_path) as chain:
        await all_play(chain, await together(chain, TCP_MEDIA, listed={"media": "tcp_passive"}))


async def test_what_cannot_be_shown_says_why(tmp_path: Path) -> None:
    """收流超时 is never without its reason."""
    async with gb_chain(tmp_path) as chain:
        for device, reason in zip(await together(chain, tuple(DARK)), DARK.values(), strict=True):
            camera = await chain.camera(device)
            async with chain.watching(f"cameras/{camera}"):
                state = await chain.until_state(camera, lambda state: state["state"] == "failed")
                assert state["reason"] == reason, device.options.quirks


async def test_two_devices_with_the_same_channel_numbers_have_cameras_of_their_own(tmp_path: Path) -> None:
    async with gb_chain(tmp_path) as chain:
        quirks = frozenset({Quirk.SHARED_CHANNELS})
        one, two = [await chain.device(number=number, quirks=quirks) for number in (1, 2)]
        cameras = [await chain.camera(device) for device in (one, two)]
        assert cameras[0] != cameras[1]
        async with chain.watching(f"cameras/{cameras[1]}") as eyes:
            await eyes.more(3)
            assert (len(one.streams), len(two.streams)) == (0, 1)


async def test_a_device_without_catalogue_and_keepalives_is_online_as_long_as_it_is_registered(tmp_path: Path) -> None:
    async with gb_chain(tmp_path) as chain:
        options = chain.options(quirks=frozenset({Quirk.CATALOG_NEVER, Quirk.NO_KEEPALIVE}))
        await chain.listed(options, heartbeat_s=5, heartbeat_misses=1)
        device = await chain.stack.enter_async_context(running(options, views()))
        await device.registered.wait()

        async def given_up() -> bool:
            return (await chain.call("GET", f"/devices/{device.id}"))["catalog_at"] is not None

        await until(given_up, seconds=20)  # never for ever, and silence takes no channel away
        found = await chain.call("GET", f"/devices/{device.id}")
        assert (found["state"], found["channels"], found["catalog_missing"]) == ("online", 0, 1)
