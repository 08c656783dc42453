"""A viewer that does everything but decode: ICE, DTLS, SRTP, receiver reports. For loads of many viewers."""

import asyncio
import re
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from pylibsrtp import Error as SrtpError

from hub.media.peer import udp
from hub.media.peer.dtls import Pipe
from hub.media.rtp import rtcp
from hub.media.rtp.h264 import begins_keyframe
from hub.media.rtp.packet import parse_rtp
from hub.media.rtp.twcc import ArrivalLog
from signaling.ice import BINDING_REQUEST, Credentials, IceLite, StunError, binding_request, parse_stun

CHECK_S: Final = 2.5
_CERTIFICATE: Final = RTCCertificate.generateCertificate()
Post = Callable[[str], Awaitable[str]]


MID, TRANSPORT, SEND_TIME = 4, 3, 2  # header extensions of a full offer
SO_TIMESTAMPNS: Final = 35
_EVERYTHING: Final = [
    "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102", "a=rtcp-fb:102 transport-cc", "a=rtcp-fb:102 goog-remb",
    f"a=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid",
    f"a=extmap:{SEND_TIME} http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    f"a=extmap:{TRANSPORT} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
]  # fmt: skip


def offer(ufrag: str, pwd: str, *, full: bool = False) -> str:
    """A recvonly H.264 offer as a browser would write it; ``full``: with RTX, mid and transport-cc."""
    print_ = next(f for f in _CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")
    return "\r\n".join(
        [
            "v=0", f"o=- {secrets.randbits(60)} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
            "m=video 9 UDP/TLS/RTP/SAVPF 102" + (" 103" if full else ""),
            "c=IN IP4 0.0.0.0", "a=mid:0", "a=recvonly", "a=rtcp-mux",
            f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}", f"a=fingerprint:sha-256 {print_.value}", "a=setup:active",
            "a=rtpmap:102 H264/90000", "a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli",
            "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            *(_EVERYTHING if full else []), "",
        ]
    )  # fmt: skip


def answer(offer: str, ufrag: str, pwd: str) -> str:
    """To a server that offers (Janus): take its H.264 with NACK, nothing more; a lite agent, so it checks."""
    print_ = next(f for f in _CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")
    kind = re.search(r"a=rtpmap:(\d+) H264/90000", offer)
    assert kind is not None
    mid = _value(offer, "mid")
    return "\r\n".join(
        [
            "v=0", f"o=- {secrets.randbits(60)} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mid}",
            "a=ice-lite", f"m=video 9 UDP/TLS/RTP/SAVPF {kind[1]}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=recvonly",
            "a=rtcp-mux", f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}", f"a=fingerprint:sha-256 {print_.value}",
            "a=setup:active", f"a=rtpmap:{kind[1]} H264/90000", f"a=rtcp-fb:{kind[1]} nack",
            f"a=rtcp-fb:{kind[1]} nack pli", "",
        ]
    )  # fmt: skip


class LightViewer:
    """One viewer. ``packets`` counts what came, ``first_frame_s`` is from the offer to a whole key frame.

    ``timed``: every frame's last packet is noted in ``frames`` as timestamp and time (ns of the real-time clock, as
    the kernel took the datagram in).
    """

    def __init__(self, *, full: bool = False, timed: bool = False, host: str = "127.0.0.1") -> None:
        self.packets = 0
        self.bytes = 0
        self.highest: int | None = None  # extended sequence number
        self._first = 0
        self.frames: list[tuple[int, int]] = []
        self._full = full
        self._timed = timed
        self._number_at = 0
        self._arrivals = ArrivalLog()
        self.first_frame_s: float | None = None
        self.seen = asyncio.Event()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if timed:
            self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock.bind((host, 0))
        self._ufrag, self._pwd = secrets.token_hex(4), secrets.token_hex(12)
        self._lite = IceLite(Credentials(self._ufrag, self._pwd), "", 0)
        self._peer: Any = (host, 0)
        self._key = (b"", "")
        self._began = 0.0
        self._keyed = False
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ssrc = 0
        self._early: list[bytes] = []  # came behind the last DTLS flight, before that was worked off
        self._pipe = Pipe(self._send)
        self._dtls = RTCDtlsTransport(self._pipe, [_CERTIFICATE])  # type: ignore[arg-type]  # a duck
        self._dtls._set_role("client")

    @property
    def lost(self) -> int:
        """Packets that are missing between the first and the newest."""
        return 0 if self.highest is None else max(self.highest - self._first + 1 - self.packets, 0)

    async def join(self, post: Post) -> None:
        """Offer, connect, and keep receiving until ``close``."""
        self._began = time.perf_counter()
        said = await post(offer(self._ufrag, self._pwd, full=self._full))
        candidate = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", said, re.IGNORECASE)
        ssrc = re.search(r"a=ssrc:(\d+) ", said)
        assert candidate is not None
        self._peer, self._ssrc = (candidate[1], int(candidate[2])), int(ssrc[1]) if ssrc else 0
        self._know(said)
        self._tasks.append(asyncio.create_task(self._checks()))
        await self._connect(said)

    async def answer(self, said: str) -> str:
        """The answer to a server's offer; ``await connect(offer)`` goes on once that server has it."""
        self._began = time.perf_counter()
        self._know(said)
        return answer(said, self._ufrag, self._pwd)

    async def connect(self, said: str) -> None:
        """Go on after ``answer``."""
        await self._connect(said)

    def _know(self, said: str) -> None:
        ufrag = _value(said, "ice-ufrag")
        self._lite.remote_ufrag = ufrag
        self._key = (_value(said, "ice-pwd").encode(), f"{ufrag}:{self._ufrag}")
        asyncio.get_running_loop().add_reader(self._sock, self._readable)

    async def _connect(self, said: str) -> None:
        await self._answered.wait()
        algorithm, _, value = _value(said, "fingerprint").partition(" ")
        parameters = RTCDtlsParameters([RTCDtlsFingerprint(algorithm.lower(), value)], role="server")
        await self._dtls.start(parameters)
        if self._dtls.state != "connected":
            raise RuntimeError("DTLS failed")
        early, self._early = self._early, []
        for data in early:
            self._look(data)
        self._tasks.append(asyncio.create_task(self._reports()))
        if self._full:
            self._tasks.append(asyncio.create_task(self._feedback()))

    async def close(self) -> None:
        """Leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(self._sock)
        await self._dtls.stop()
        self._sock.close()

    def _send(self, data: bytes) -> None:
        self._sock.sendto(data, self._peer)

    async def _checks(self) -> None:
        pause = 0.02
        while True:
            self._send(binding_request(self._key[1], self._key[0]))
            await asyncio.sleep(pause)
            pause = CHECK_S if self._answered.is_set() else pause * 2

    async def _reports(self) -> None:
        while True:
            await asyncio.sleep(1)
            block = rtcp.Block(self._ssrc, 0, 0, 0, 0, 0, 0)
            await self._dtls._send_rtp(rtcp.receiver_report(1, (block,)) + rtcp.cname(1, "bench"))

    async def _feedback(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            if body := self._arrivals.feedback():
                head = rtcp.receiver_report(1, ())
                await self._dtls._send_rtp(head + rtcp.transport(1, self._ssrc, body))

    def _readable(self) -> None:
        if self._timed:
            self._read_timed()
            return
        inlet = _inlet(self._sock.fileno())
        for slot, size, _ in inlet.receive():
            at = slot * udp.SLOT
            self._datagram(inlet.buffer[at : at + size])

    def _read_timed(self) -> None:
        for _ in range(64):
            try:
                data, found, _, sender = self._sock.recvmsg(2_048, 64)
            except BlockingIOError:
                return
            if data[0] >= 128 and data[1] & 0x80 and not 192 <= data[1] <= 223:
                seconds, nanoseconds = struct.unpack_from("qq", found[0][2])
                self.frames.append((int.from_bytes(data[4:8], "big"), seconds * 1_000_000_000 + nanoseconds))
            self._datagram(data, sender)

    def _datagram(self, data: bytes, sender: Any = None) -> None:
        first = data[0]
        if first >= 128:
            self._media(data)
        elif first >= 20:
            self._pipe.feed(data)
        elif data[:2] == b"\x01\x01":
            self._answered.set()
        elif data[:2] == b"\x00\x01":
            self._check(data)

    def _check(self, data: bytes) -> None:
        """Answer the server's own check; where it knows us only from an answer, that tells where it is."""
        message = parse_stun(data)
        if message.kind != BINDING_REQUEST:
            return
        path = _inlet(self._sock.fileno()).last
        address = udp.address_of(path)
        try:
            reply = self._lite.request(message, path, address, 0)
        except StunError:
            return
        if not self._peer[1]:
            self._peer = address
        self._sock.sendto(reply, address)
        if message.use_candidate:
            self._peer = address
            self._answered.set()

    def _media(self, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            return
        self.packets += 1
        self.bytes += len(data)
        self._count(data[2] << 8 | data[3])
        if self._full and data[0] & 0x10:  # header extensions are not encrypted
            if not self._number_at:
                self._number_at = _place_of(data)
            number = data[self._number_at] << 8 | data[self._number_at + 1]
            self._arrivals.packet(number, time.monotonic_ns() // 1_000)
        if self.seen.is_set():
            return
        if self._dtls._rx_srtp is None:
            self._early.append(data)
        else:
            self._look(data)

    def _count(self, seq: int) -> None:
        if self.highest is None:
            self.highest = self._first = seq
        else:
            ahead = (seq - self.highest + 0x8000 & 0xFFFF) - 0x8000
            if ahead > 0:
                self.highest += ahead

    def _look(self, data: bytes) -> None:
        try:
            packet = parse_rtp(self._dtls._rx_srtp.unprotect(data))
        except SrtpError:
            return
        self._keyed = self._keyed or begins_keyframe(packet.payload)
        if self._keyed and packet.marker:
            self.first_frame_s = time.perf_counter() - self._began
            self.seen.set()


class _Inlet(udp.Inlet):
    """One set of buffers for every viewer of this process; ``last`` is where the newest datagram came from."""

    last = b""

    def of(self, fd: int) -> "_Inlet":
        self._fd = fd
        return self

    def receive(self) -> Iterator[tuple[int, int, bytes]]:
        for slot, size, path in super().receive():
            self.last = path
            yield slot, size, path


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


def _value(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(.*?)\r?$", sdp, re.MULTILINE)
    if found is None:
        raise ValueError(f"the answer has no {name}")
    return found[1]
