"""A relay with a GB/T 28181 camera: its stream, its call, its picture going up as PS, and a voice going to a device."""

import asyncio
import contextlib
import io
import itertools
import math
import socket
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hub.bus.call_wire import TalkOut
from hub.bus.relay_wire import PsOutState, TalkConfig
from hub.domain.clock import system_clock
from hub.domain.errors import Conflict, HubError, Invalid, NotFound
from hub.media.node.gb import GbMedia
from hub.media.node.gb_out import Talks
from hub.media.rtp.packet import RtpPacket, parse_rtp
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from hub.media.taps.rtp_out import RtpOut
from hub.settings import Settings
from signaling.gb28181.es import MediaUnit
from signaling.gb28181.framing import Deframer
from signaling.gb28181.intake import Intake
from tests.integration.gb_rig import CHANNEL, DEVICE, URL, Gateway, Manner, gb_rig
from tests.integration.test_relay_node import relay
from tests.unit.gb_media.kit import SOUND, expected, film

PATIENCE = 60.0


class Socket(asyncio.DatagramProtocol):
    """What comes to a UDP port."""

    def __init__(self) -> None:
        self.packets: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.packets.put_nowait(data)


@contextlib.asynccontextmanager
async def udp_port() -> AsyncIterator[tuple[int, Socket]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Socket, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1], protocol
    finally:
        transport.close()


async def test_a_channel_is_a_stream_with_its_call_and_says_why_when_it_fails(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, gb_rig() as gb:
        await rig.put("cam", url=URL, kind="gb28181", gateway=gb.gateway.url, keep_open=True)
        state = await rig.until("cam", lambda state: state.state == "live")
        assert (state.codec or "").startswith("h264")
        assert (state.call, state.gateway, state.facts["form"]) == ("call-1", gb.gateway.url, "ps")
        gb.gateway.manner = Manner(modes=())
        await rig.put("cam", url=URL, kind="gb28181", gateway=gb.gateway.url, keep_open=True, media="tcp_active")
        state = await rig.until("cam", lambda state: state.state == "failed")
        assert state.reason == "gb28181.answered_no_packets"
        assert state.call is None
        with pytest.raises(Invalid):
            await rig.put("bad", url="gb28181://a/b/c", kind="gb28181", gateway=gb.gateway.url)


@pytest.mark.parametrize("mode", ["udp", "tcp_active", "tcp_passive"])
async def test_a_stream_goes_up_to_a_platform_as_ps(tmp_path: Path, mode: str) -> None:
    loop = asyncio.get_running_loop()
    async with relay(tmp_path) as rig, gb_rig() as gb, udp_port() as (port, heard):
        http = rig.http
        await rig.put("cam", url=URL, kind="gb28181", gateway=gb.gateway.url)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        there = port if mode == "udp" else listener.getsockname()[1]
        body = {"host": "127.0.0.1", "port": there, "mode": mode, "ssrc": 77, "owner": "upper-1"}
        intake, deframer = Intake(), Deframer()
        units: list[MediaUnit] = []
        async with asyncio.timeout(PATIENCE), http.stream("POST", f"{rig.url}/streams/cam/ps", json=body) as answer:
            lines = answer.aiter_lines()
            state = PsOutState.model_validate_json(await anext(lines))
            reading = asyncio.create_task(drained(lines))
            connection = None
            if mode == "tcp_passive":
                connection = socket.socket()
                connection.setblocking(False)
                await loop.sock_connect(connection, (state.host, state.port))
            elif mode == "tcp_active":
                connection, _ = await loop.sock_accept(listener)
            while sum(bool(unit.nals) for unit in units) < 12 or not any(unit.data for unit in units):
                data = [await heard.packets.get()] if connection is None else deframer.feed(
                    await loop.sock_recv(connection, 65_536)
                )  # fmt: skip
                for packet in map(parse_rtp, data):
                    assert packet.ssrc == 77
                    units += intake.packet(packet.payload, packet.payload_type, packet.timestamp, packet.marker)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if connection is not None:
            connection.close()
        listener.close()
        known = {data for data, _, _ in expected(film())}
        pictures = [unit for unit in units if unit.nals]
        assert pictures[0].key
        assert all(unit.annex_b in known for unit in pictures)
        assert next(unit.data for unit in units if unit.codec == "pcma") == SOUND
        reports = await rig.reports(1)
        assert reports[-1].owner == "upper-1"


async def test_what_is_held_back_is_not_sent_before_it_is_said(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, gb_rig() as gb, udp_port() as (port, heard):
        await rig.put("cam", url=URL, kind="gb28181", gateway=gb.gateway.url, keep_open=True)
        await rig.until("cam", lambda state: state.state == "live")
        body = {"host": "127.0.0.1", "port": port, "mode": "udp", "ssrc": 77, "owner": "upper-1", "hold": True}
        async with asyncio.timeout(PATIENCE), rig.http.stream("POST", f"{rig.url}/streams/cam/ps", json=body) as answer:
            lines = answer.aiter_lines()
            state = PsOutState.model_validate_json(await anext(lines))
            reading = asyncio.create_task(drained(lines))
            await asyncio.sleep(0.6)  # nothing may come
            assert heard.packets.empty()
            assert (await rig.http.post(f"{rig.url}/ps/another")).status_code == 404
            assert (await rig.http.post(f"{rig.url}/ps/{state.session}")).status_code == 204
            assert parse_rtp(await heard.packets.get()).ssrc == 77
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def drained(lines: AsyncIterator[str]) -> None:
    async for _ in lines:
        pass


async def test_a_stream_that_is_not_there_goes_nowhere(tmp_path: Path) -> None:
    body = {"host": "127.0.0.1", "port": 9, "ssrc": 1, "owner": "x"}
    async with relay(tmp_path) as rig:
        answer = await rig.http.post(f"{rig.url}/streams/none/ps", json=body)
        assert (answer.status_code, answer.json()["error"]) == (404, "stream.unknown")
        answer = await rig.http.delete(f"{rig.url}/talks/none")
        assert (answer.status_code, answer.json()["error"]) == (404, "talk.unknown")


# talk -------------------------------------------------------------------------------------------------


def opus_tone(seconds: float = 1.0) -> list[bytes]:
    """A tone of 440 Hz, 20 ms a packet."""
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, "mono", "s16"
    codec.time_base = Fraction(1, 48_000)
    packets = []
    for place in range(int(seconds * 50)):
        at = np.arange(place * 960, (place + 1) * 960)
        wave = (np.sin(2 * math.pi * 440 * at / 48_000) * 12_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, place * 960
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


def samples(alaw: bytes) -> "np.ndarray[Any, Any]":
    with av.open(io.BytesIO(alaw), mode="r", format="alaw", options={"sample_rate": "8000"}) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


@contextlib.asynccontextmanager
async def talking(gateway: Gateway, calls: Any) -> AsyncIterator[tuple[Talks, Stream, list[tuple[str, ...]]]]:
    """A relay's talks, and a commander's stream."""
    ended: list[tuple[str, ...]] = []
    settings = Settings(gb_media_ports="")
    stream = Stream("member", clock=system_clock)

    def find(id: str) -> Stream:
        if id != "member":
            raise NotFound("stream.unknown", id)
        return stream

    async with asyncio.TaskGroup() as group:
        talks = Talks(
            GbMedia(settings, calls, clock=system_clock), find, group, lambda *said: ended.append(said)
        )  # fmt: skip
        yield talks, stream, ended
        await talks.close_owner("user-1")


def config(gateway: str, **other: Any) -> Any:

    given = {"stream": "member", "gateway": gateway, "device": DEVICE, "channel": CHANNEL, "owner": "user-1"}
    return TalkConfig.model_validate(given | other)


async def speak(stream: Stream, codec: Any = "opus") -> None:
    for place, data in enumerate(opus_tone()):
        stream.publish(AccessUnit("audio", codec, data, place * 960, True, system_clock()))
        await asyncio.sleep(0)


async def test_a_voice_arrives_as_g711_of_20_ms() -> None:
    """QUIRKS 18."""
    async with gb_rig() as gb, udp_port() as (port, heard), talking(gb.gateway, gb.calls) as (talks, stream, ended):
        gb.gateway.talk_out = TalkOut(call="t", ssrc=9, remote_host="127.0.0.1", remote_port=port, mode="udp")
        await talks.put("talk-1", config(gb.gateway.url))
        await talks.put("talk-1", config(gb.gateway.url))  # the same again is nothing
        with pytest.raises(Conflict):
            await talks.put("talk-1", config(gb.gateway.url, kind="talk"))
        await speak(stream)
        packets: list[RtpPacket] = []
        async with asyncio.timeout(PATIENCE):
            while len(packets) < 40:
                packets.append(parse_rtp(await heard.packets.get()))
        assert {len(packet.payload) for packet in packets} == {160}
        assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(9, 8)}
        steps = [after.timestamp - before.timestamp for before, after in itertools.pairwise(packets)]
        assert set(steps) == {160}
        wave = samples(b"".join(packet.payload for packet in packets))[800:]
        spectrum = np.abs(np.fft.rfft(wave))
        assert abs(np.argmax(spectrum) * 8_000 / len(wave) - 440) < 10
        assert (gb.gateway.talks[0].channel, len(talks)) == (CHANNEL, 1)
        await talks.delete("talk-1")
        assert ended == [("member", "talk-1", "user-1", "deleted")]
        async with asyncio.timeout(PATIENCE):
            await gb.gateway.closed.wait()


@pytest.mark.parametrize("framed", [True, False])
async def test_a_voice_goes_over_tcp_framed_or_not(framed: bool) -> None:
    """QUIRKS 18."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with gb_rig() as gb, talking(gb.gateway, gb.calls) as (talks, stream, _):
            gb.gateway.talk_out = TalkOut(
                call="t", ssrc=9, remote_host="127.0.0.1", remote_port=listener.getsockname()[1], mode="tcp_active",
                framed=framed,
            )  # fmt: skip
            await talks.put("talk-1", config(gb.gateway.url, mode="tcp_active"))
            connection, _ = await loop.sock_accept(listener)
            await speak(stream)
            data = b""
            async with asyncio.timeout(PATIENCE):
                while len(data) < 174 * 20:
                    data += await loop.sock_recv(connection, 65_536)
            packets = Deframer().feed(data) if framed else [data[at : at + 172] for at in range(0, 172 * 20, 172)]
            assert [parse_rtp(packet).seq for packet in packets[:20]] == list(range(20))
            connection.close()


async def test_a_talk_ends_with_its_stream() -> None:
    async with gb_rig() as gb, udp_port() as (port, _), talking(gb.gateway, gb.calls) as (talks, stream, ended):
        gb.gateway.talk_out = TalkOut(call="t", ssrc=9, remote_host="127.0.0.1", remote_port=port, mode="udp")
        await talks.put("talk-1", config(gb.gateway.url))
        stream.end()
        async with asyncio.timeout(PATIENCE):
            await gb.gateway.closed.wait()
        assert ended == [("member", "talk-1", "user-1", "stream_ended")]
        assert not len(talks)


async def test_a_talk_that_cannot_begin_says_why() -> None:
    async with gb_rig() as gb, talking(gb.gateway, gb.calls) as (talks, _, ended):
        gb.gateway.talk_out = TalkOut(call="t", ssrc=9, remote_host="169.254.169.254", remote_port=80, mode="udp")
        with pytest.raises(HubError) as caught:
            await talks.put("talk-1", config(gb.gateway.url))
        assert caught.value.id == "gb28181.address_refused"
        with pytest.raises(NotFound):
            await talks.put("talk-2", config(gb.gateway.url, stream="nobody"))
        with pytest.raises(HubError) as caught:
            await talks.put("talk-3", config("http://127.0.0.1:9"))
        assert caught.value.id == "gateway.none"
        assert (len(talks), ended) == (0, [])


async def test_a_peer_that_takes_nothing_holds_up_nobody() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with gb_rig() as gb:
            out = RtpOut("tcp_active", gb.ports)
            await out.connect("127.0.0.1", listener.getsockname()[1])
            connection, _ = await loop.sock_accept(listener)
            for _ in range(20_000):
                out.send([bytes(1_400)])
            assert out.dropped > 0
            out.close()
            connection.close()
