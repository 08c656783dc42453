"""Whom a receiving port believes: the device, and nobody who merely finds the port and guesses a number."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from hub.domain.errors import Invalid
from hub.domain.source_url import refuse_device_address
from hub.media.peer.ports import Ports
from hub.media.sources.errors import SourceError
from hub.media.sources.gb28181.link import MAX_CONNECTIONS, Link
from hub.media.sources.gb28181.receiver import GbReceiver
from hub.media.taps.rtp_out import RtpOut
from signaling.gb28181.framing import frame
from tests.integration.test_gateway import until

DEVICE, THIEF = "127.0.0.1", "127.0.0.66"
SSRC = 100_000_001


class Heard(GbReceiver):
    """Notes whose packets came through."""

    def __init__(self, *, udp: bool = True) -> None:
        super().__init__(udp=udp, clock=lambda: 0, emit=lambda unit: None)
        self.heard: list[bytes] = []

    def packet(self, data: bytes) -> None:
        self.heard.append(data[12:])
        super().packet(data)


def rtp(seq: int, payload: bytes, ssrc: int = SSRC) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, seq, seq * 3_600, ssrc) + payload


@pytest.fixture
def ports() -> Ports:
    return Ports("0.0.0.0", 0, 0)


@pytest.fixture
def thief() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((THIEF, 0))
        yield made


@pytest.fixture
def camera() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((DEVICE, 0))
        yield made


async def test_the_device_takes_its_port_back_from_who_guessed_its_ssrc_first(
    ports: Ports, thief: socket.socket, camera: socket.socket
) -> None:
    receiver = Heard()
    link = Link("udp", ports, receiver, on_end=lambda why: None)
    receiver.announce(frozenset({SSRC}))
    link.answered("192.168.1.64", DEVICE)  # its own network's address in the answer, the NAT's in its signalling
    to = (DEVICE, link.port)
    thief.sendto(rtp(1, b"thief"), to)
    await until(lambda: receiver.heard)
    camera.sendto(rtp(500, b"camera"), to)
    await until(lambda: b"camera" in receiver.heard)
    count = len(receiver.heard)
    for seq in range(20):
        thief.sendto(rtp(501 + seq, b"thief"), to)
    camera.sendto(rtp(501, b"last"), to)
    await until(lambda: b"last" in receiver.heard)
    assert b"thief" not in receiver.heard[count:]
    assert link.strangers == 20
    link.close()


async def test_a_device_that_sends_before_it_answers_stays_the_one(
    ports: Ports, thief: socket.socket, camera: socket.socket
) -> None:
    receiver = Heard()
    link = Link("udp", ports, receiver, on_end=lambda why: None)
    for seq in range(20):
        camera.sendto(rtp(seq, b"camera"), (DEVICE, link.port))
    await until(lambda: receiver.heard)
    receiver.announce(frozenset({SSRC}))
    link.answered(DEVICE, DEVICE)
    thief.sendto(rtp(30, b"thief"), (DEVICE, link.port))
    camera.sendto(rtp(31, b"last"), (DEVICE, link.port))
    await until(lambda: b"last" in receiver.heard)
    assert b"thief" not in receiver.heard
    link.close()


async def connection(port: int, host: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection(DEVICE, port, local_addr=(host, 0))
    return writer


async def test_connections_that_only_wait_do_not_keep_the_device_out(ports: Ports) -> None:
    receiver = Heard(udp=False)
    link = Link("tcp_passive", ports, receiver, on_end=lambda why: None)
    await link.listen()
    link.answered(DEVICE, DEVICE)
    waiting = [await connection(link.port, THIEF) for _ in range(MAX_CONNECTIONS)]
    writer = await connection(link.port, DEVICE)
    writer.write(b"".join(frame(rtp(seq, b"camera")) for seq in range(4)))
    await until(lambda: b"camera" in receiver.heard)
    for each in [*waiting, writer]:
        each.transport.abort()
    link.close()


async def test_a_stranger_who_connects_first_is_cut_off_by_the_device(ports: Ports) -> None:
    receiver = Heard(udp=False)
    link = Link("tcp_passive", ports, receiver, on_end=lambda why: None)
    await link.listen()
    link.answered(DEVICE, DEVICE)
    early = await connection(link.port, THIEF)
    early.write(b"".join(frame(rtp(seq, b"thief")) for seq in range(4)))
    await until(lambda: b"thief" in receiver.heard)
    writer = await connection(link.port, DEVICE)
    writer.write(b"".join(frame(rtp(seq, b"camera")) for seq in range(4)))
    await until(lambda: b"camera" in receiver.heard)
    again = await connection(link.port, THIEF)
    await until(lambda: link.strangers)
    for each in (early, writer, again):
        each.transport.abort()
    link.close()


@pytest.mark.parametrize("early", [True, False])
async def test_what_we_send_goes_to_nobody_who_merely_found_the_port(ports: Ports, early: bool) -> None:
    """A commander's voice, or a camera's picture on its way up: whoever tries all ports would get it first."""
    out = RtpOut("tcp_passive", ports)
    await out.listen()
    waiting = asyncio.ensure_future(out.connect(DEVICE, 9, DEVICE)) if not early else None
    await asyncio.sleep(0)
    thieves = [await asyncio.open_connection(DEVICE, out.port, local_addr=(THIEF, 0)) for _ in range(3)]
    if early:
        waiting = asyncio.ensure_future(out.connect(DEVICE, 9, DEVICE))
    for reader, _ in thieves:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                assert await reader.read(1) == b""  # cut off
    assert waiting is not None
    assert not waiting.done()
    device, writer = await asyncio.open_connection(DEVICE, out.port, local_addr=(DEVICE, 0))
    async with asyncio.timeout(60):
        await waiting
        assert out.send([rtp(1, b"voice")])
        assert (await device.readexactly(2 + 12 + 5)).endswith(b"voice")
    assert out.strangers == 3
    for each in (writer, *(one for _, one in thieves)):
        each.transport.abort()
    out.close()


async def test_a_device_that_dials_before_we_know_where_it_is_keeps_its_connection(ports: Ports) -> None:
    out = RtpOut(None, ports)
    await out.listen()
    device, writer = await asyncio.open_connection(DEVICE, out.port, local_addr=(DEVICE, 0))
    out.settle("tcp_passive")
    async with asyncio.timeout(60):
        await out.connect("192.0.2.9", 9, DEVICE)  # behind NAT it names an address of its own
        out.send([rtp(1, b"voice")])
        assert (await device.readexactly(2 + 12 + 5)).endswith(b"voice")
    writer.transport.abort()
    out.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "239.1.1.1", "x"])
async def test_we_neither_dial_nor_send_where_a_device_elsewhere_has_no_business(ports: Ports, host: str) -> None:
    """Its description names our own machine, a metadata service, or a group: none of these is a camera."""
    link = Link("tcp_active", ports, Heard(udp=False), on_end=lambda why: None)
    link.answered(host, "10.1.2.3")
    with pytest.raises(SourceError, match=r"127|::1|169|239|address"):
        await link.dial(host, 6_379)
    for mode in ("udp", "tcp_active"):
        out = RtpOut(mode, ports)
        with pytest.raises(Invalid):
            await out.connect(host, 6_379, "10.1.2.3")
        out.close()


def test_who_is_on_our_own_machine_may_name_it() -> None:
    assert refuse_device_address("127.0.0.1", "127.0.0.1") is None
    assert refuse_device_address("127.0.0.1") is None  # not known where it is
    assert refuse_device_address("10.0.0.9", "10.0.0.1") is None
