"""What receiving GB/T 28181 media costs: CPU time from the sockets to access units, 200 channels at once.

``python -m tests.bench.ps [--quick] [--json]``. Two hundred devices in another process send H.264, 720p25, 1 Mbit/s
each, as PS over RTP over UDP on the loopback; and the same bytes read over TCP.
"""

import asyncio
import itertools
import logging
import socket
import sys
import time
from typing import Final

import structlog
import uvloop

from hub.bus.call_wire import MediaMode
from hub.domain.clock import system_clock
from hub.media.peer.ports import Ports
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.gb28181.link import Link
from hub.media.sources.gb28181.receiver import GbReceiver
from signaling.gb28181.framing import frame
from signaling.gb28181.ps_mux import PsMuxer, RtpSender
from tests.bench.common import arguments, percentile, show
from tests.integration.gb_rig import Manner, Rig, gb_rig
from tests.integration.media_kit import encoded

CHANNELS: Final = 200
RATE: Final = 1_000_000
GOALS: Final = {"ps_cpu_ms_per_mbit": 2.5, "recovery_began_with_other_than_key_frame": 0}


def serve(mode: str, ports: list[int]) -> None:
    """The devices' process: sends until its standard input ends."""
    film = encoded(2, 50, 1_280, 720, RATE)
    kind = socket.SOCK_DGRAM if mode == "udp" else socket.SOCK_STREAM
    devices = []
    for place, port in enumerate(ports):
        sock = socket.socket(socket.AF_INET, kind)
        sock.connect(("127.0.0.1", port))
        devices.append((sock, PsMuxer(sound="pcma"), RtpSender(place + 1), place))
    began, tick = time.monotonic(), 0
    while True:
        for sock, muxer, sender, offset in devices:
            if (tick + offset) % 4:  # not all cameras at one moment: a quarter every 10 ms
                continue
            data, key = film[(tick // 4 + offset) % len(film)]
            pts = tick * 900 + offset
            packets = sender.packets(muxer.picture(data, pts, key=key) + muxer.sound(b"\xd5" * 320, pts), pts)
            if mode == "udp":
                for packet in packets:
                    sock.send(packet)
            else:
                sock.sendall(b"".join(frame(packet) for packet in packets))
        tick += 1
        time.sleep(max(0.0, began + tick * 0.01 - time.monotonic()))


async def cost(mode: MediaMode, seconds: float) -> tuple[float, float]:
    """CPU ms per Mbit of what arrived, and the share of packets that were lost."""
    octets = units = 0

    def take(unit: AccessUnit) -> None:
        nonlocal octets, units
        octets += len(unit.data)
        units += 1

    ports = Ports("127.0.0.1")
    receivers = [GbReceiver(udp=mode == "udp", clock=system_clock, emit=take) for _ in range(CHANNELS)]
    links = [Link(mode, ports, receiver, on_end=lambda why: None) for receiver in receivers]
    for link in links:
        link.answered("127.0.0.1")
        await link.listen()
    command = [sys.executable, "-m", "tests.bench.ps", "--serve", mode, *(str(link.port) for link in links)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(60):
            for link in links:
                await link.first.wait()
        await asyncio.sleep(1.0)
        octets, before = 0, time.process_time()
        await asyncio.sleep(seconds)
        spent, mbits = time.process_time() - before, octets * 8 / 1e6
    finally:
        process.kill()
        await process.wait()
        for link in links:
            link.close()
    packets = sum(receiver.figures.packets for receiver in receivers)
    lost = sum(receiver.figures.lost for receiver in receivers)
    return spent * 1_000 / mbits, 100 * lost / max(packets, 1)


async def first_unit_ms(rig: Rig, mode: MediaMode, count: int) -> list[float]:
    """From asking the gateway to the first picture, per call; the device answers at once with a key frame.

    ``rig`` may stand before any gateway and its devices.
    """
    times = []
    for _ in range(count):
        before = time.perf_counter()
        async with rig.source(policy=mode) as source:
            await source.read()
            times.append((time.perf_counter() - before) * 1_000)
    return times


async def recovery(pictures: int) -> dict[str, float]:
    """One packet in a hundred lost, one in ten overtaken by the next: what is shown, and how long a gap lasts.

    The device sends a key frame every ten pictures, 400 ms, and when it is asked for one.
    """
    shown: list[AccessUnit] = []
    async with gb_rig(Manner(loss=0.01, swaps=0.1)) as rig, rig.source(policy="udp") as source:
        while len(shown) < pictures:
            shown += [unit for unit in await source.read() if unit.kind == "video"]
        lost = source.figures.lost
    steps = [(after.pts - before.pts) / 90 for before, after in itertools.pairwise(shown)]
    gaps = [step - 40 for step in steps if step > 60]
    return {
        "recovery_packets_lost": lost,
        "recovery_pictures_shown_percent": 100 * len(steps) * 40 / sum(steps),
        "recovery_gap_ms_p50": percentile(gaps or [0.0], 0.5),
        "recovery_gap_ms_p95": percentile(gaps or [0.0], 0.95),
        "recovery_began_with_other_than_key_frame": sum(
            step > 60 and not after.keyframe for step, after in zip(steps, shown[1:], strict=True)
        ),
    }


async def measure(*, quick: bool) -> dict[str, float]:
    """Both ways."""
    seconds = 5 if quick else 20
    udp, lost = await cost("udp", seconds)
    tcp, _ = await cost("tcp_passive", seconds)
    async with gb_rig() as rig:
        first = await first_unit_ms(rig, "udp", 10 if quick else 50)
    return {
        "ps_cpu_ms_per_mbit": udp,
        "ps_cpu_ms_per_mbit_tcp": tcp,
        "ps_lost_percent": lost,
        "relay_invite_to_first_unit_ms": percentile(first, 0.5),
        **await recovery(500 if quick else 2_000),
    }


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve(sys.argv[2], [int(port) for port in sys.argv[3:]])
    else:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
        chosen = arguments("Cost of receiving GB/T 28181 media.")
        show("ps", uvloop.run(measure(quick=chosen.quick)), GOALS, as_json=chosen.json)
