"""GB/T 28181 end to end: SIP, PS and WebRTC between a simulated device, the whole hub, and a viewer who decodes."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack

from hub.demo.gb_device.device import GbDevice
from hub.demo.gb_device.fleet import running
from hub.demo.gb_device.options import Quirk
from hub.demo.gb_device.talk import TalkMode
from signaling import wire
from signaling.transport.ws import HubSocket
from tests.integration.gb_chain import SDP, Chain, gb_chain, impatient, views
from tests.integration.live_rig import until
from tests.integration.test_codecs import heard
from tests.integration.test_whep import accept, first_track, offer_of


@pytest.fixture
async def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    impatient(monkeypatch)
    async with gb_chain(tmp_path) as chain:
        yield chain


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("media", ["udp", "tcp_passive", "tcp_active"])
async def test_a_viewer_decodes_a_camera_of_a_device_in_every_transport(
    chain: Chain, transport: str, media: str
) -> None:
    device = await chain.device(transport=transport, listed={"media": media})
    camera = await chain.camera(device)
    async with chain.watching(f"cameras/{camera}") as eyes:
        await eyes.more(10)
        state = await chain.until_state(camera, lambda state: state["codec"] == "h264+pcma")
        assert state["state"] == "live"
        async with chain.watching(f"cameras/{camera}", "video", "audio") as other:  # its sound is known by now
            await other.until(lambda eyes: eyes.frames >= 5 and eyes.heard >= 5)
        assert len(device.streams) == 1
    async with asyncio.timeout(60):  # the last viewer gone, the linger past: BYE
        await device.until(lambda device: not device.streams)
    await chain.until_state(camera, lambda state: state["state"] == "idle")
    assert (await chain.call("GET", f"/devices/{device.id}"))["calls"] == 0


async def test_aac_of_a_device_is_heard_as_opus_at_its_pitch(chain: Chain) -> None:
    device = await chain.device(sound="aac")
    camera = await chain.camera(device)
    pc = RTCPeerConnection()
    coming = first_track(pc, "audio")
    pc.addTransceiver("audio", direction="recvonly")
    try:
        async with chain.watching(f"cameras/{camera}") as eyes:
            await eyes.more(3)
            await chain.until_state(camera, lambda state: state["codec"] == "h264+aac")
            answer = await chain.hub.call(
                "commander", "POST", f"/whep/cameras/{camera}", 201, content=await offer_of(pc), headers=SDP
            )
            assert "opus/48000" in answer.text
            await accept(pc, answer.text)
            async with asyncio.timeout(60):
                tone, times = await heard(await coming)
            assert abs(tone - 440) < 15
            assert {b - a for a, b in itertools.pairwise(times)} == {960}
            assert (await chain.state(camera))["transcoded"] is False  # the picture passes
    finally:
        await pc.close()


async def test_udp_that_stays_silent_is_changed_for_tcp_by_itself(chain: Chain) -> None:
    device = await chain.device(quirks=frozenset({"silent-udp"}))
    async with chain.watching(f"cameras/{await chain.camera(device)}") as eyes:
        await eyes.more(5)
        assert device.counters["calls"] == 2


async def test_ptz_shows_in_the_picture(chain: Chain) -> None:
    device = await chain.device()
    camera = await chain.camera(device)

    async def order(**command: object) -> None:
        await chain.call("POST", f"/cameras/{camera}/commands", 200, json=command, who="commander")

    async with chain.watching(f"cameras/{camera}") as eyes:
        await eyes.until(lambda eyes: 8 < eyes.level < 18)  # the whole scene
        await order(type="move", zoom=1.0)
        await eyes.until(lambda eyes: eyes.level > 40)
        await order(type="move")
        before = eyes.level
        await order(type="move", pan=1.0)
        await eyes.until(lambda eyes: abs(eyes.level - before) > 12)
        await order(type="move")
        await order(type="preset", action="set", number=5)
        await order(type="preset", action="go", number=1)  # where the head stood first
        await eyes.until(lambda eyes: 8 < eyes.level < 18)
    await until(lambda: device.answers.channels[device.options.channel_id(0)].head.moving is False)


async def test_a_refused_invite_a_wrong_password_and_an_unknown_device_are_told(chain: Chain) -> None:
    options = chain.options(password="another")
    await chain.listed(options)
    async with running(options, views()):
        await until(lambda: failed(chain, options.device_id))
        found = await chain.call("GET", f"/devices/{options.device_id}")
        assert (found["state"], found["failure"]) == ("unknown", "gb28181.password_wrong")


async def failed(chain: Chain, device: str) -> bool:
    return (await chain.call("GET", f"/devices/{device}"))["failed_at"] is not None


async def test_alarms_and_positions_arrive_at_the_queue_and_the_map(chain: Chain) -> None:
    device = await chain.device(listed={"subscriptions": ["alarm", "position", "catalog"]})
    await until(lambda: device.reports.active("Alarm") and device.reports.active("MobilePosition"))
    assert await device.alarm(device.options.channel_id(0), method=5, type=2)
    await chain.hub.logged("alert.raised")
    (alert,) = (await chain.call("GET", "/alerts", who="commander"))["items"]
    assert (alert["kind"], alert["camera"]) == ("device_alarm", await chain.camera(device))

    async def there() -> bool:
        return bool((await chain.call("GET", f"/devices/{device.id}/positions"))["items"])

    await until(there)
    channel = device.answers.channels[device.options.channel_id(0)]
    channel.online = False
    assert await device.reports.changed(channel, "OFF")

    async def off() -> bool:
        return bool((await chain.call("GET", f"/devices/{device.id}/channels"))["items"][0]["status"] == "off")

    await until(off)


async def played(chain: Chain, device: GbDevice, *, seconds: int, ago: int = 3_600, **given: Any) -> str:
    """A playback that is not watched yet."""
    camera, begin = await chain.camera(device), int(time.time()) - ago
    body = {"start_s": begin, "end_s": begin + seconds} | given
    made = await chain.call("POST", f"/cameras/{camera}/playbacks", 201, who="commander", json=body)
    return str(made["id"])


async def test_a_recording_that_ends_without_a_word_ends_quietly_and_the_call_with_it(chain: Chain) -> None:
    """Some devices send no MediaStatus: the last picture stays, and nobody calls again for what is over."""
    device = await chain.device(quirks=frozenset({Quirk.NO_MEDIA_STATUS}))
    playback = await played(chain, device, seconds=3)
    async with chain.watching(f"playbacks/{playback}") as eyes:
        await eyes.until(lambda eyes: eyes.frames >= 60)
        await until(lambda: device.counters["files_ended"] == 1)
        await asyncio.sleep(4)  # longer than a relay waits for packets, and before it would ask again
        assert (device.counters["files_sent"], device.counters["calls"]) == (0, 1)
    async with asyncio.timeout(60):
        await device.until(lambda device: not device.streams)
    assert device.counters["calls"] == 1


@pytest.mark.parametrize("quirk", ["records-need-type", "foreign-media-status"])
async def test_a_recording_is_found_played_paused_sought_sped_up_and_ends(chain: Chain, quirk: str) -> None:
    device = await chain.device(quirks=frozenset({Quirk(quirk)}))
    camera, now = await chain.camera(device), int(time.time())
    found = await chain.call("GET", f"/cameras/{camera}/records?start={now - 7_200}&end={now - 60}", who="commander")
    assert found["complete"]
    assert found["items"]
    playback = await played(chain, device, seconds=600)

    async def steer(**control: Any) -> None:
        await chain.call("POST", f"/playbacks/{playback}/control", 204, who="commander", json=control)

    async with chain.watching(f"playbacks/{playback}") as eyes:
        await eyes.more(5)
        (stream,) = device.streams.values()
        assert stream.player is not None
        await steer(action="pause")
        assert stream.player.paused
        before = device.counters["calls"]
        await asyncio.sleep(3)  # longer than a relay waits for packets: a pause is no silence
        await steer(action="play")
        await eyes.more(5)
        assert device.counters["calls"] == before
        await steer(action="speed", speed=4)
        await eyes.more(5)
        await steer(action="seek", seek_s=598)
        await until(lambda: device.counters["files_sent"] == 1, seconds=20)
    await chain.call("DELETE", f"/playbacks/{playback}", 204, who="commander")
    async with asyncio.timeout(60):
        await device.until(lambda device: not device.streams)


async def test_a_recording_is_downloaded_as_a_file_that_decodes(chain: Chain, tmp_path: Path) -> None:
    device = await chain.device()
    playback = await played(chain, device, seconds=12, download=True)
    # the file ends with the recording: a relay that says nothing for 20 s is given up
    answer = await chain.hub.call("commander", "GET", f"/api/v1/playbacks/{playback}.ts", 200, timeout=15)
    file = tmp_path / "kept.ts"
    file.write_bytes(answer.content)
    with av.open(str(file)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames >= 250  # of 300
    async with asyncio.timeout(60):
        await device.until(lambda device: not device.streams)


class Microphone(AudioStreamTrack):
    """A tone of 660 Hz, as a browser would publish it."""

    async def recv(self) -> Any:
        frame: Any = await super().recv()
        at = np.arange(frame.samples) + frame.pts
        wave = (np.sin(2 * np.pi * 660 * at / frame.sample_rate) * 9_000).astype(np.int16)
        made = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        made.sample_rate, made.pts, made.time_base = frame.sample_rate, frame.pts, frame.time_base
        return made


def pitch(alaw: bytes) -> float:
    """The strongest frequency of G.711A, in Hz."""
    decoder: Any = av.CodecContext.create("pcm_alaw", "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in decoder.decode(av.Packet(alaw))])
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 8_000 / len(samples))


async def test_who_watches_a_camera_is_told_who_speaks_to_it_and_when_it_is_over(chain: Chain) -> None:
    device = await chain.device()
    camera = await chain.camera(device)
    path, name = f"/whip/cameras/{camera}/talk", "赵指挥"
    pc = RTCPeerConnection()
    pc.addTransceiver(Microphone(), direction="sendonly")

    async def told(ws: HubSocket, talking: str | None) -> None:
        async with asyncio.timeout(60):
            while True:
                message = await ws.receive()
                if isinstance(message, wire.CameraStateChanged) and message.talking == talking:
                    return

    try:
        async with await chain.hub.socket("town-commander") as early:
            await early.send(wire.WatchCameras(cameras=(camera,)))
            await told(early, None)
            answer = await chain.hub.call("commander", "POST", path, 201, content=await offer_of(pc), headers=SDP)
            await accept(pc, answer.text)
            await told(early, name)
            async with await chain.hub.socket("town-commander") as late:
                await late.send(wire.WatchCameras(cameras=(camera,)))
                await told(late, name)
                session = answer.headers["location"].rpartition("/")[2]
                await chain.hub.call("commander", "DELETE", f"/whip/sessions/{session}", 204)
                await told(early, None)
                await told(late, None)
    finally:
        await pc.close()


@pytest.mark.parametrize("mode", ["udp", "tcp_active", "tcp_passive"])
async def test_a_commander_speaks_to_a_camera_and_it_hears_the_tone(chain: Chain, mode: TalkMode) -> None:
    device = await chain.device()
    device.talk_mode = mode
    camera = await chain.camera(device)
    pc = RTCPeerConnection()
    pc.addTransceiver(Microphone(), direction="sendonly")
    try:
        path = f"/whip/cameras/{camera}/talk"
        answer = await chain.hub.call("commander", "POST", path, 201, content=await offer_of(pc), headers=SDP)
        await accept(pc, answer.text)
        async with asyncio.timeout(60):
            await device.until(lambda device: bool(device.talks))
            (talk,) = device.talks.values()
            await talk.heard.until(100)
        assert abs(pitch(bytes(talk.heard.sound[-8_000:])) - 660) < 8
        if mode == "udp":
            other = await chain.hub.call("town-commander", "POST", path, 409, content=await offer_of(pc), headers=SDP)
            assert other["error"]["id"] == "talk.busy"
        session = answer.headers["location"].rpartition("/")[2]
        await chain.hub.call("commander", "DELETE", f"/whip/sessions/{session}", 204)
        async with asyncio.timeout(60):
            await device.until(lambda device: not device.talks)
    finally:
        await pc.close()


# what fails and comes back ----------------------------------------------------------------------------


async def test_a_gateway_that_is_killed_and_started_again_keeps_registrations_and_pictures_go_on(chain: Chain) -> None:
    device = await chain.device(listed={"media": "udp"}, heartbeat_s=60.0)
    camera = await chain.camera(device)
    async with chain.watching(f"cameras/{camera}") as eyes:
        await eyes.more(5)
        registered = device.counters["registered"]
        await chain.stop("gateway")
        await chain.start("gateway")
        await eyes.more(10)
        await chain.until_state(camera, lambda state: state["state"] == "live" and state["viewers"] == 1)
        assert device.counters["registered"] == registered  # nobody had to register anew

        async def told() -> bool:
            found = await chain.call("GET", f"/devices/{device.id}")
            return bool(found["state"] == "online" and found["calls"] == 1)

        await until(told)
    async with asyncio.timeout(60):
        await device.until(lambda device: not device.streams)


async def test_a_relay_that_dies_leaves_no_call_and_its_successor_makes_a_new_one(chain: Chain) -> None:
    device = await chain.device()
    camera = await chain.camera(device)
    async with chain.watching(f"cameras/{camera}") as eyes:
        await eyes.more(5)
        await chain.stop("relay")
        async with asyncio.timeout(60):
            await device.until(lambda device: not device.streams)
    await chain.start("relay")

    async def again() -> bool:
        return bool(await chain.hub.apis[0].live.placements.relays_alive())

    await until(again)
    async with chain.watching(f"cameras/{camera}") as eyes:
        await eyes.more(5)
        assert len(device.streams) == 1


async def test_a_device_that_reboots_is_called_again(chain: Chain) -> None:
    device = await chain.device(listed={"media": "udp"})
    camera = await chain.camera(device)
    async with chain.watching(f"cameras/{camera}") as eyes:
        await eyes.more(5)
        calls = device.counters["calls"]
        device.reboot()
        async with asyncio.timeout(30):
            await device.until(lambda device: device.counters["calls"] > calls)
        await eyes.more(10, seconds=30)


async def test_a_device_behind_nat_is_reached_where_its_last_keepalive_came_from(chain: Chain) -> None:
    device = await chain.device(quirks=frozenset({Quirk.NAT_MOVES}), heartbeat_s=0.5)
    at_first = (await chain.call("GET", f"/devices/{device.id}"))["address"]
    await until(lambda: device.counters["keepalives"] >= 2)
    moved = (await chain.call("GET", f"/devices/{device.id}"))["address"]
    assert moved != at_first
    async with chain.watching(f"cameras/{await chain.camera(device)}") as eyes:
        await eyes.more(5)
