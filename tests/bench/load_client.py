"""The light viewer for loads: many a process, cheap by the packet, its losses and times known, and servers that check.

Datagrams are read by ``recvmmsg`` into buffers that all viewers of the process share.
"""

import asyncio
import re
import secrets
import socket
import struct
import time
from typing import Final

from hub.media.peer import udp
from signaling.ice import BINDING_REQUEST, Credentials, IceLite, StunError, parse_stun
from tests.bench.light_client import _CERTIFICATE, TRANSPORT, LightViewer, _value

SO_TIMESTAMPNS: Final = 35


def answer(offer: str, ufrag: str, pwd: str, address: tuple[str, int]) -> str:
    """To a server that offers (Janus): its H.264 with NACK and nothing more. A lite agent, so the server checks."""
    print_ = next(f for f in _CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")
    kind = re.search(r"a=rtpmap:(\d+) H264/90000", offer, re.IGNORECASE)
    assert kind is not None
    mid = _value(offer, "mid")
    return "\r\n".join(
        [
            "v=0", f"o=- {secrets.randbits(60)} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mid}",
            "a=ice-lite", f"m=video 9 UDP/TLS/RTP/SAVPF {kind[1]}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=recvonly",
            "a=rtcp-mux", f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}", f"a=fingerprint:sha-256 {print_.value}",
            "a=setup:active", f"a=rtpmap:{kind[1]} H264/90000", f"a=rtcp-fb:{kind[1]} nack",
            f"a=rtcp-fb:{kind[1]} nack pli", f"a=candidate:1 1 udp 2130706431 {address[0]} {address[1]} typ host",
            "a=end-of-candidates", "",
        ]
    )  # fmt: skip


class LoadViewer(LightViewer):
    """``timed``: the last packet of every frame is noted in ``frames``: its timestamp, and the ns of the real-time
    clock at which the kernel took it in. ``host`` is the address that it has itself."""

    def __init__(self, *, full: bool = False, timed: bool = False, host: str = "127.0.0.1") -> None:
        super().__init__(full=full)
        self.highest = self.first = -1  # extended sequence numbers
        self.frames: list[tuple[int, int]] = []
        self._timed = timed
        self._host = host
        self._number_at = 0
        self._lite = IceLite(Credentials(self._ufrag, self._pwd), "", 0)

    @property
    def lost(self) -> int:
        """Packets that are missing between the first and the newest."""
        return max(self.highest - self.first + 1 - self.packets, 0) if self.packets else 0

    @property
    def port(self) -> int:
        """Our own."""
        return int(self._sock.getsockname()[1])

    async def take(self, offer: str) -> str:
        """The answer to a server's offer; ``secure`` goes on once that server has it."""
        self.began = time.perf_counter()
        self._peer = (self._host, 0)
        self._know(offer)
        await self._open()
        host, port = self._sock.getsockname()[:2]
        return answer(offer, self._ufrag, self._pwd, (host, port))

    async def secure(self, offer: str) -> None:
        """Go on after ``take``."""
        await self._secure(offer)

    def _know(self, said: str) -> None:
        super()._know(said)
        self._lite.remote_ufrag = _value(said, "ice-ufrag")

    async def _open(self) -> None:
        self._sock.close()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if self._timed:
            self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock.bind((self._host, 0))
        asyncio.get_running_loop().add_reader(self._sock, self._readable)

    def _send(self, data: bytes) -> None:
        self._sock.sendto(data, self._peer)

    def _readable(self) -> None:
        if self._timed:
            self._read_timed()
            return
        inlet = _inlet(self._sock.fileno())
        for slot, size, path in inlet.receive():
            at = slot * udp.SLOT
            self._datagram(inlet.buffer[at : at + size], path)

    def _read_timed(self) -> None:
        for _ in range(64):
            try:
                data, found, _, _ = self._sock.recvmsg(2_048, 64)
            except BlockingIOError:
                return
            if data[0] >= 128 and data[1] & 0x80 and not 192 <= data[1] <= 223:
                seconds, nanoseconds = struct.unpack_from("qq", found[0][2])
                self.frames.append((int.from_bytes(data[4:8], "big"), seconds * 1_000_000_000 + nanoseconds))
            self._datagram(data, b"")

    def _datagram(self, data: bytes, path: bytes) -> None:
        if data[0] >= 128:
            self._packet(data)
        elif data[0] >= 20:
            self._pipe.feed(data)
        elif data[:2] == b"\x01\x01":
            self._answered.set()
        elif data[:2] == b"\x00\x01" and path:
            self._check(data, path)

    def _check(self, data: bytes, path: bytes) -> None:
        """Answer the server's own check; where it knows us only from an answer, that tells where it is."""
        message = parse_stun(data)
        if message.kind != BINDING_REQUEST:
            return
        address = udp.address_of(path)
        try:
            reply = self._lite.request(message, path, address, 0)
        except StunError:
            return
        self._sock.sendto(reply, address)
        if message.use_candidate or not self._peer[1]:
            self._peer = address
            self._answered.set()

    def _packet(self, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            return
        self.packets += 1
        seq = data[2] << 8 | data[3]
        if self.highest < 0:
            self.highest = self.first = seq
        else:
            self.highest = max(self.highest, self.highest + ((seq - self.highest + 0x8000) & 0xFFFF) - 0x8000)
        if self._full and data[0] & 0x10:  # header extensions are not encrypted
            at = self._number_at = self._number_at or _place_of(data)
            self._arrivals.packet(data[at] << 8 | data[at + 1], time.monotonic_ns() // 1_000)
        if self.seen.is_set():
            return
        if self._dtls._rx_srtp is None:
            self._early.append(data)
        else:
            self._look(data)


class _Inlet(udp.Inlet):
    """One set of buffers for every viewer of this process."""

    def of(self, fd: int) -> "_Inlet":
        self._fd = fd
        return self


_SHARED: list[_Inlet] = []


def _inlet(fd: int) -> _Inlet:
    if not _SHARED:
        _SHARED.append(_Inlet(-1))
    return _SHARED[0].of(fd)


def _place_of(data: bytes) -> int:
    """Where transport-cc's number is: the same in each packet of a viewer."""
    words = int.from_bytes(data[14:16], "big")
    at = 16
    while at < 16 + 4 * words:
        id, size = data[at] >> 4, (data[at] & 15) + 1
        if data[at] == 0:
            at += 1
            continue
        if id == TRANSPORT:
            return at + 1
        at += 1 + size
    raise ValueError("a packet of a full viewer has no transport-wide number")
