"""A channel of a GB/T 28181 device as a source: ways of transport, change-over, and the reason of every failure."""

import asyncio
import itertools

import pytest
import uvloop

from hub.domain.errors import Invalid
from hub.domain.gb_url import GbAddress, parse_gb_url
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.source import GbSource
from signaling.gb28181.ps_mux import Oddities
from tests.integration.gb_rig import CHANNEL, DEVICE, URL, Manner, gb_rig, refusal
from tests.unit.gb_media.kit import SOUND, expected, film

PATIENCE = 60.0


async def collected(source: GbSource, count: int) -> list[AccessUnit]:
    """So many units."""
    units: list[AccessUnit] = []
    async with asyncio.timeout(PATIENCE):
        while len(units) < count:
            units += await source.read()
    return units


async def forever(source: GbSource) -> None:
    while True:
        await source.read()


async def failure(source: GbSource) -> SourceError:
    """What ends it."""

    async def run() -> None:
        async with source:
            await forever(source)

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(SourceError) as caught:
            await run()
    return caught.value


@pytest.mark.parametrize("mode", ["udp", "tcp_passive", "tcp_active"])
async def test_pictures_and_sound_come_in_every_way(mode: str) -> None:
    """QUIRKS 18."""
    async with gb_rig() as rig:
        async with rig.source(policy=mode) as source:
            units = await collected(source, 40)
            assert source.call == "call-1"
            assert source.facts["transport"] == mode
        async with asyncio.timeout(PATIENCE):
            await rig.gateway.closed.wait()
    pictures = [unit for unit in units if unit.kind == "video"]
    assert pictures[0].keyframe
    assert [unit.data for unit in pictures[:20]] == [data for data, _, _ in expected(film())][:20]
    assert {after.pts - before.pts for before, after in itertools.pairwise(pictures)} == {3_600}
    sounds = [unit for unit in units if unit.codec == "pcma"]
    assert sounds[0].data == SOUND
    assert {after.pts - before.pts for before, after in itertools.pairwise(sounds)} == {320}
    invite = rig.gateway.invites[0]
    assert (invite.device, invite.channel, invite.mode, invite.host) == (DEVICE, CHANNEL, mode, "127.0.0.1")


@pytest.mark.parametrize("mode", ["udp", "tcp_passive", "tcp_active"])
def test_it_runs_on_the_loop_that_the_relay_runs_on(mode: str) -> None:
    async def run() -> None:
        async with gb_rig() as rig, rig.source(policy=mode) as source:
            assert await collected(source, 4)

    uvloop.run(run())


async def test_h265_comes_as_h265() -> None:
    async with gb_rig(Manner(codec="h265")) as rig, rig.source() as source:
        units = await collected(source, 20)
    assert {unit.codec for unit in units} == {"h265", "pcma"}


@pytest.mark.parametrize("dollar", [False, True])
async def test_a_tcp_stream_that_starts_in_the_middle_of_a_packet_is_read(dollar: bool) -> None:
    """QUIRKS 18."""
    async with gb_rig(Manner(skip=333, dollar=dollar)) as rig, rig.source(policy="tcp_passive") as source:
        assert await collected(source, 20)


@pytest.mark.parametrize("ssrc", [0, 630_886])
async def test_another_ssrc_than_agreed_is_taken(ssrc: int) -> None:
    """QUIRKS 12."""
    async with gb_rig(Manner(ssrc=ssrc)) as rig, rig.source() as source:
        assert await collected(source, 20)


async def test_udp_that_stays_silent_changes_to_tcp_and_the_device_is_remembered() -> None:
    """QUIRKS 19."""
    async with gb_rig(Manner(modes=("tcp_passive",))) as rig:
        async with rig.source() as source:
            assert await collected(source, 4)
        async with rig.source() as source:
            assert await collected(source, 4)
    assert [invite.mode for invite in rig.gateway.invites] == ["udp", "tcp_passive", "tcp_passive"]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner(modes=()), "gb28181.answered_no_packets"),
        (Manner(refuses=refusal("gb28181.no_answer")), "gb28181.no_answer"),
        (Manner(refuses=refusal("gb28181.busy")), "gb28181.busy"),
        (Manner(noise=True), "gb28181.packets_no_ps"),
        (Manner(keyframes=False), "gb28181.ps_no_keyframe"),
        (Manner(svac=True), "gb28181.svac"),
        (Manner(pictures=20), "source.lost"),
        (Manner(pictures=20, end="ended"), "source.lost"),
        (Manner(pictures=20, end="ended", reason="gb28181.offline"), "gb28181.offline"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_failure_says_what_went_wrong(manner: Manner, reason: str) -> None:
    """QUIRKS 19: not "no media within N seconds"."""
    async with gb_rig(manner) as rig:
        error = await failure(rig.source())
        assert error.id == reason
        assert error.detail
        if rig.gateway.manner.refuses is None:
            async with asyncio.timeout(PATIENCE):
                await rig.gateway.closed.wait()


async def test_a_gateway_that_is_gone_is_said_so() -> None:
    async with gb_rig() as rig:
        rig.gateway.url = "http://127.0.0.1:9"
        assert (await failure(rig.source())).id == "gateway.none"


async def test_one_percent_of_loss_and_reordering_end_nothing() -> None:
    """QUIRKS 17: dropped to the next key frame, and said so."""
    async with gb_rig(Manner(loss=0.01, swaps=0.1)) as rig, rig.source(policy="udp") as source:
        units = await collected(source, 500)
        figures = source.figures
    pictures = [unit for unit in units if unit.kind == "video"]
    known = {data for data, _, _ in expected(film())}
    assert all(unit.data in known for unit in pictures)
    for before, after in itertools.pairwise(pictures):
        assert after.keyframe or after.pts - before.pts == 3_600
    assert figures.lost > 0
    assert figures.dropped > 0
    assert rig.gateway.keyframes >= 1


async def test_a_late_map_is_waited_for() -> None:
    """QUIRKS 16."""
    async with gb_rig(Manner(oddities=Oddities(map_after=15))) as rig, rig.source() as source:
        units = await collected(source, 30)
    assert [unit.data for unit in units if unit.kind == "video"][:15] == [data for data, _, _ in expected(film())][:15]


async def test_strangers_who_send_to_the_port_change_nothing() -> None:
    async with gb_rig() as rig, rig.source(policy="udp") as source:
        await collected(source, 10)
        port = rig.gateway.invites[0].port
        loop = asyncio.get_running_loop()
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port))
        for number in range(200):
            other.sendto(b"\x80\x60" + number.to_bytes(2, "big") + bytes(8) + b"\0\0\1\xba" + bytes(100))
        units = await collected(source, 60)
        other.close()
    known = {data for data, _, _ in expected(film())}
    assert all(unit.data in known for unit in units if unit.kind == "video")


async def test_a_recording_that_ends_is_no_failure() -> None:
    async with gb_rig(Manner(pictures=20, end="file_end")) as rig:
        start = 1_700_000_000
        async with rig.source(f"gb28181://{DEVICE}/{CHANNEL}?start={start}&end={start + 60}") as source:
            assert await collected(source, 30)
            reading = asyncio.create_task(forever(source))
            assert not (await asyncio.wait([reading], timeout=3.0))[0]
            reading.cancel()
            assert source.facts["end"] == "file"
    assert (rig.gateway.invites[0].purpose, rig.gateway.invites[0].start_s) == ("playback", start)


@pytest.mark.parametrize(("end", "reason", "told"), [(None, "", "silence"), ("ended", "gb28181.bye", "bye")])
async def test_a_recording_that_ends_without_media_status_is_no_failure_either(
    end: str | None, reason: str, told: str
) -> None:
    """QUIRKS 6: nobody asks for it again, from its beginning, for ever."""
    async with gb_rig(Manner(pictures=20, end=end, reason=reason)) as rig:
        start = 1_700_000_000
        url = f"gb28181://{DEVICE}/{CHANNEL}?start={start}&end={start + 60}"
        async with rig.source(url, read_s=0.4) as source:
            assert await collected(source, 30)
            reading = asyncio.create_task(forever(source))
            async with asyncio.timeout(60):
                while source.facts.get("end") != told:  # noqa: ASYNC110 - the facts are asked, they do not tell
                    await asyncio.sleep(0.02)
            assert not (await asyncio.wait([reading], timeout=1.0))[0]
            reading.cancel()
            assert rig.gateway.open == 1


@pytest.mark.parametrize(("end", "reason"), [(None, ""), ("ended", "gb28181.bye")])
async def test_a_recording_that_never_began_says_why(end: str | None, reason: str) -> None:
    async with gb_rig(Manner(pictures=20, keyframes=False, end=end, reason=reason)) as rig:
        url = f"gb28181://{DEVICE}/{CHANNEL}?start=1700000000&end=1700000060"
        async with rig.source(url, read_s=0.4) as source:
            with pytest.raises(SourceError) as caught:
                await forever(source)
    assert caught.value.id == (reason or "source.lost")


async def test_ports_are_given_back() -> None:
    async with gb_rig() as rig:
        rig.ports._first, rig.ports._last, rig.ports._next = 31_990, 31_991, 31_990
        for _ in range(4):
            async with rig.source(policy="udp") as source:
                await collected(source, 2)
    assert {invite.port for invite in rig.gateway.invites} == {31_990, 31_991}


def test_addresses_of_channels() -> None:
    assert parse_gb_url(URL) == GbAddress(DEVICE, CHANNEL)
    assert parse_gb_url(f"gb28181://{DEVICE}/{CHANNEL}?stream=1").stream == 1
    for bad in (
        f"gb28181://{DEVICE}", f"gb28181://{DEVICE}/a/b", f"rtsp://{DEVICE}/{CHANNEL}", URL + "&end=5", URL + "#x",
        URL + "&start=9&end=5", f"gb28181://{DEVICE}/{CHANNEL}?stream=2", f"gb28181://a@{DEVICE}/{CHANNEL}",
        "", "x" * 900,
        f"gb28181://{DEVICE}/{CHANNEL}?password=1", f"gb28181://[{DEVICE}/{CHANNEL}",
    ):  # fmt: skip
        with pytest.raises(Invalid):
            parse_gb_url(bad)
