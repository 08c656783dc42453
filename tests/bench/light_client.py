"""A viewer that does everything but decode: ICE, DTLS, SRTP, receiver reports. For loads of many viewers."""

import asyncio
import contextlib
import re
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from pylibsrtp import Error as SrtpError

from hub.media.peer.dtls import Pipe
from hub.media.peer.tcp import Deframer, frame
from hub.media.rtp import extension, rtcp
from hub.media.rtp.h264 import begins_keyframe
from hub.media.rtp.packet import parse_rtp
from hub.media.rtp.twcc import ArrivalLog
from signaling.ice import binding_request

CHECK_S: Final = 2.5
PATIENCE_S: Final = 60.0  # with a relay on a machine that has other things to do, too
_CERTIFICATE: Final = RTCCertificate.generateCertificate()
Post = Callable[[str], Awaitable[str]]


MID, TRANSPORT, SEND_TIME = 4, 3, 2  # header extensions of a full offer
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


class LightViewer:
    """One viewer. ``packets`` counts what came, ``first_frame_s`` is from the offer to a whole key frame.

    ``over`` is the transport of the candidate that it takes, ``address`` that candidate's address (else the first).
    """

    def __init__(self, *, full: bool = False, over: str = "udp", address: str = "") -> None:
        self.packets = 0
        self.gaps = 0  # in the sequence numbers; with ``full`` retransmissions count too
        self._number: int | None = None
        self.answer = ""
        self._over = over
        self._wants = address
        self._deframer = Deframer()
        self._full = full
        self._arrivals = ArrivalLog()
        self.first_frame_s: float | None = None
        self.seen = asyncio.Event()
        self.hung_up = asyncio.Event()  # TCP only
        self._sock = socket.socket()
        self._ufrag, self._pwd = secrets.token_hex(4), secrets.token_hex(12)
        self._buffer = bytearray(2_048)
        self._peer: Any = ("127.0.0.1", 0)
        self._key = (b"", "")
        self.began = 0.0
        self._keyed = False
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._ssrc = 0
        self._early: list[bytes] = []  # came behind the last DTLS flight, before that was worked off
        self._pipe = Pipe(self._send)
        self._dtls = RTCDtlsTransport(self._pipe, [_CERTIFICATE])  # type: ignore[arg-type]  # a duck
        self._dtls._set_role("client")

    async def join(self, post: Post) -> None:
        """Offer, connect, and keep receiving until ``close``. Raises RuntimeError when nothing comes of it."""
        self.began = time.perf_counter()
        answer = self.answer = await post(offer(self._ufrag, self._pwd, full=self._full))
        candidate = self._candidate(answer)
        ssrc = re.search(r"a=ssrc:(\d+) ", answer)
        assert candidate is not None
        self._peer, self._ssrc = (candidate[1], int(candidate[2])), int(ssrc[1]) if ssrc else 0
        self._know(answer)
        await self._open()
        self._tasks.append(asyncio.create_task(self._checks()))
        await self._secure(answer)

    def _know(self, said: str) -> None:
        self._key = (_value(said, "ice-pwd").encode(), f"{_value(said, 'ice-ufrag')}:{self._ufrag}")

    async def _secure(self, said: str) -> None:
        """DTLS once a check was answered, then reports."""
        algorithm, _, value = _value(said, "fingerprint").partition(" ")
        parameters = RTCDtlsParameters([RTCDtlsFingerprint(algorithm.lower(), value)], role="server")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._answered.wait()
                await self._dtls.start(parameters)
        except TimeoutError as error:
            raise RuntimeError(f"no keys after {PATIENCE_S:.0f} s; {self.progress}") from error
        if self._dtls.state != "connected":
            raise RuntimeError(f"DTLS failed; {self.progress}")
        early, self._early = self._early, []
        for data in early:
            self._look(data)
        self._tasks.append(asyncio.create_task(self._reports()))
        if self._full:
            self._tasks.append(asyncio.create_task(self._feedback()))

    @property
    def progress(self) -> str:
        """How far it came, for who wonders why it came no further."""
        came = f"DTLS {self._dtls.state}, {self._pipe.came} datagrams of it came and {self._pipe.went} went"
        checked = "answered" if self._answered.is_set() else "not answered"
        return f"{time.perf_counter() - self.began:.1f} s since the offer: checks {checked}, {came}"

    async def close(self) -> None:
        """Leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        asyncio.get_running_loop().remove_reader(self._sock)
        await self._dtls.stop()
        self._sock.close()

    def _candidate(self, answer: str) -> re.Match[str] | None:
        address = re.escape(self._wants) if self._wants else r"\S+"
        return re.search(rf"a=candidate:\S+ 1 {self._over} \d+ ({address}) (\d+) typ host", answer)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._peer[0] else socket.AF_INET
        kind = socket.SOCK_STREAM if self._over == "tcp" else socket.SOCK_DGRAM
        self._sock.close()
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        await loop.sock_connect(sock, self._peer)
        self._sock = sock
        if self._answered.is_set():  # a line on which a report comes first is hung up
            self._send(binding_request(self._key[1], self._key[0]))
        loop.add_reader(sock, self._readable)

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody is there any more, or not yet
            if self._over == "tcp":
                self._sock.sendall(frame(data))
            else:
                self._sock.send(data)

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
        if self._over == "tcp":
            data = self._sock.recv(1 << 16)
            if not data:  # they hung up
                asyncio.get_running_loop().remove_reader(self._sock)
                self.hung_up.set()
            for packet in self._deframer.feed(data):
                self._buffer[: len(packet)] = packet
                self._sort(len(packet))
            return
        for _ in range(256):
            try:
                size = self._sock.recv_into(self._buffer)
            except BlockingIOError:
                return
            except ConnectionError:  # an earlier packet found nobody
                continue
            self._sort(size)

    def _sort(self, size: int) -> None:
        first = self._buffer[0]
        if first >= 128:
            self._media(size)
        elif first >= 20:
            self._pipe.feed(bytes(self._buffer[:size]))
        elif struct.unpack_from("!H", self._buffer)[0] == 0x0101:
            self._answered.set()

    def _media(self, size: int) -> None:
        if 192 <= self._buffer[1] <= 223:
            return
        self.packets += 1
        number = int.from_bytes(self._buffer[2:4], "big")
        self.gaps += self._number is not None and number != self._number + 1 & 0xFFFF
        self._number = number
        if self._full and self._buffer[0] & 0x10:  # header extensions are not encrypted
            words = int.from_bytes(self._buffer[14:16], "big")
            found = extension.elements(extension.ONE_BYTE, bytes(self._buffer[16 : 16 + 4 * words]))
            if (running := extension.number(found, TRANSPORT)) is not None:
                self._arrivals.packet(running, time.monotonic_ns() // 1_000)
        if self.seen.is_set():
            return
        if self._dtls._rx_srtp is None:
            self._early.append(bytes(self._buffer[:size]))
        else:
            self._look(bytes(self._buffer[:size]))

    def _look(self, data: bytes) -> None:
        try:
            packet = parse_rtp(self._dtls._rx_srtp.unprotect(data))
        except SrtpError:
            return
        self._keyed = self._keyed or begins_keyframe(packet.payload)
        if self._keyed and packet.marker:
            self.first_frame_s = time.perf_counter() - self.began
            self.seen.set()


def _value(sdp: str, name: str) -> str:
    found = re.search(rf"^a={name}:(.*?)\r?$", sdp, re.MULTILINE)
    if found is None:
        raise ValueError(f"the answer has no {name}")
    return found[1]
