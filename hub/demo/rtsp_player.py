"""Sends a film as RTP in real time, over the RTSP connection or UDP, with the faults that a camera is given."""

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from hub.demo.film import CLOCK, Film
from hub.demo.rtsp_camera import CameraFile, Faults

STALLED_S: Final = 10.0  # a client that takes nothing for so long is let go
REPORT_EVERY: Final = 5 * CLOCK  # sender report, RTP ticks
NTP_EPOCH: Final = 2_208_988_800  # 1900 to 1970 (RFC 3550 §4)
RR: Final = bytes((201,))  # RFC 3550 §6.4.2
JUNK: Final = b"\0\0junk"
_RTP: Final = struct.Struct("!BBHII")  # RFC 3550 §5.1


class Outlet(Protocol):
    """Where packets go."""

    async def send(self, packets: Sequence[bytes], report: bytes | None, faults: Faults) -> None:
        """A picture's packets, behind a sender report where one is due. Raises OSError, TimeoutError."""

    def reports(self) -> int:
        """Receiver reports that came here since the last call."""

    def close(self) -> None: ...


class TcpOutlet:
    """Interleaved frames (RFC 2326 §10.12)."""

    def __init__(self, writer: asyncio.StreamWriter, low: int, high: int) -> None:
        self._writer = writer
        self._low, self._high = low, high

    async def send(self, packets: Sequence[bytes], report: bytes | None, faults: Faults) -> None:
        burst = bytearray()
        if report is not None:
            burst += struct.pack("!BBH", 0x24, self._high, len(report)) + report
        for packet in packets:
            burst += struct.pack("!BBH", 0x24, self._low, len(packet)) + packet
        if "junk" in faults.quirks:
            burst += JUNK
        self._writer.write(burst)
        async with asyncio.timeout(STALLED_S):
            await self._writer.drain()

    def reports(self) -> int:
        return 0  # they come in the connection

    def close(self) -> None:
        """The connection is the session's."""


class UdpOutlet:
    """A pair of ports to a pair of ports."""

    def __init__(self, local: str, peer: str, ports: tuple[int, int]) -> None:
        family = socket.AF_INET6 if ":" in peer else socket.AF_INET
        self._targets = [(peer, port) for port in ports]
        self._sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in ports]
        for each in self._sockets:
            each.setblocking(False)
            each.bind((local, 0))
        self.ports = (self._sockets[0].getsockname()[1], self._sockets[1].getsockname()[1])

    async def send(self, packets: Sequence[bytes], report: bytes | None, faults: Faults) -> None:
        with contextlib.suppress(OSError):  # full, or nobody listens: that is how UDP is
            if report is not None:
                self._sockets[1].sendto(report, self._targets[1])
            for packet in packets:
                self._sockets[0].sendto(packet, self._targets[0])

    def reports(self) -> int:
        count = 0
        with contextlib.suppress(OSError):
            while count < 64:
                count += self._sockets[1].recv(2_048)[1:2] == RR
        return count

    def close(self) -> None:
        for each in self._sockets:
            each.close()


async def play(camera: CameraFile, film: Film, outlet: Outlet, heard: Callable[[], float]) -> None:
    """Send frames at their time; sequence numbers and timestamps go on from loop to loop.

    Ends when the session ran out (``heard`` is when its last request came). Raises OSError, TimeoutError.
    """
    loop = asyncio.get_running_loop()
    faults = camera.faults
    # Like a live picture: whoever comes sees what the clock of the film says, from its last key frame on.
    index = film.index_at(int(time.monotonic() * CLOCK))
    began, first = loop.time(), film.frames[index].at
    ssrc, base = secrets.randbits(32), secrets.randbits(32)
    sequence, sent, octets, rounds, report_at = secrets.randbits(16), 0, 0, 0, 0
    while True:
        frame = film.frames[index]
        ticks = rounds * film.duration + frame.at - first
        if (wait := began + ticks / CLOCK - loop.time()) > 0:
            await asyncio.sleep(wait)
        if "strict_timeout" in faults.quirks and loop.time() - heard() > faults.timeout_s:
            return
        stamp = (base + rounds * film.duration + frame.shown - first) & 0xFFFFFFFF
        if not camera.stalled:
            report = None
            if ticks >= report_at:
                report_at = ticks + REPORT_EVERY
                report = _sender_report(ssrc, stamp, sent, octets)
            packets = []
            for number, payload in enumerate(frame.payloads):
                ends = number == len(frame.payloads) - 1 or ("markers" in faults.quirks and _ends_nal(payload))
                packets.append(_packet(payload, ends, sequence, stamp, ssrc, faults))
                sequence = (sequence + 1) & 0xFFFF
                octets += len(payload)
            sent += len(packets)
            camera.reports += outlet.reports()
            await outlet.send(_spoiled(packets, faults), report, faults)
        index += 1
        if index == len(film.frames):
            index, rounds = 0, rounds + 1


def _packet(payload: bytes, marker: bool, sequence: int, stamp: int, ssrc: int, faults: Faults) -> bytes:
    if "annex_b" in faults.quirks and payload[0] & 0x1F < 24:
        payload = b"\0\0\0\1" + payload
    return _RTP.pack(0x80, 0xE0 if marker else 0x60, sequence, stamp, ssrc) + payload  # M and payload type 96


def _ends_nal(payload: bytes) -> bool:
    return payload[0] & 0x1F != 28 or bool(payload[1] & 0x40)


def _spoiled(packets: list[bytes], faults: Faults) -> list[bytes]:
    """What the way to the client does to them."""
    if not (faults.loss or faults.reorder or faults.duplicate):
        return packets
    chance = faults.dice.random
    out = []
    for packet in packets:
        if chance() < faults.loss:
            continue
        out.append(packet)
        if chance() < faults.duplicate:
            out.append(packet)
        if len(out) > 1 and chance() < faults.reorder:
            out[-1], out[-2] = out[-2], out[-1]
    return out


def _sender_report(ssrc: int, stamp: int, packets: int, octets: int) -> bytes:
    """A sender report without blocks (RFC 3550 §6.4.1)."""
    now = time.time() + NTP_EPOCH
    ntp = (int(now) << 32 | int(now % 1 * 2**32)) & (2**64 - 1)
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, stamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
