"""A subscriber that does everything but decode: answers offers, ICE, DTLS, SRTP; and streams that can be told apart."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from pylibsrtp import Error as SrtpError

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.peer.subscriber import Offered, Wish
from hub.media.rtp.packet import parse_rtp
from hub.media.rtp.unit import AccessUnit
from hub.media.stream import Stream
from tests.bench import light_client
from tests.bench.light_client import LightViewer

PATIENCE = 60.0


def picture(mark: str, i: int, *, key: bool = True) -> AccessUnit:
    """An H.264 key frame whose every slice says which stream it is of."""
    sets = b"\0\0\1\x67\x42\xe0\x1f\0\0\1\x68\xce" if key else b""
    data = sets + (b"\0\0\1\x65" if key else b"\0\0\1\x41") + f"<{mark}>".encode() * 8
    return AccessUnit("video", "h264", data, i * 3_600, key, system_clock())


def camera(id: str, *, layers: int = 1) -> Stream:
    return Stream(id, clock=system_clock, expects=("h264",), layers=layers)


@contextlib.asynccontextmanager
async def rolling(*streams: Stream, every_s: float = 0.02) -> AsyncIterator[None]:
    """Every stream sends a marked key frame each so often."""

    async def roll() -> None:
        i = 0
        while True:
            for stream in streams:
                if not stream.ended:
                    stream.publish(picture(stream.id, i))
            i += 1
            await asyncio.sleep(every_s)

    task = asyncio.create_task(roll())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass
class Section:
    """What an offer says of one section."""

    mid: str
    kind: str
    active: bool
    ssrcs: tuple[int, ...]
    codec: tuple[str, str]  # payload type, rtpmap


def sections(sdp: str) -> list[Section]:
    found = []
    for part in sdp.split("\r\nm=")[1:]:
        pt = part.split()[3]
        rtpmap = re.search(rf"a=rtpmap:{pt} (\S+)", part)
        mid = re.search(r"a=mid:(\S+)", part)
        assert rtpmap is not None
        assert mid is not None
        ssrcs = tuple(int(each) for each in re.findall(r"a=ssrc:(\d+) ", part))
        found.append(Section(mid[1], part.split()[0], "a=sendonly" in part, ssrcs, (pt, rtpmap[1])))
    return found


@dataclass
class Heard:
    """What came of one SSRC: the marks of its slices."""

    marks: Counter[str] = field(default_factory=Counter)
    packets: int = 0


class LightSubscriber(LightViewer):
    """Answers what the server offers; ``heard`` tells by SSRC what came."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[int, Heard] = {}
        self.revisions: list[int] = []
        self.offers: list[Offered] = []
        self.came = asyncio.Event()
        self._connected = False

    def answer_to(self, sdp: str, *, refuse: frozenset[str] = frozenset(), **other: str) -> str:
        """An answer that takes everything but the mids in ``refuse``."""
        print_ = next(f for f in light_client._CERTIFICATE.getFingerprints() if f.algorithm == "sha-256").value
        rows = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        rows.append("a=group:BUNDLE " + " ".join(section.mid for section in sections(sdp)))
        for section in sections(sdp):
            pt, rtpmap = section.codec
            port = 0 if section.mid in refuse else 9
            rows += [
                f"m={section.kind} {port} UDP/TLS/RTP/SAVPF {pt}" + (" 103" if pt == "102" else ""),
                "c=IN IP4 0.0.0.0", f"a=mid:{section.mid}", "a=rtcp-mux",
                f"a=ice-ufrag:{other.get('ufrag', self._ufrag)}", f"a=ice-pwd:{self._pwd}",
                f"a=fingerprint:sha-256 {other.get('fingerprint', print_)}", "a=setup:active",
                "a=recvonly" if section.active else "a=inactive", f"a=rtpmap:{pt} {rtpmap}",
            ]  # fmt: skip
            if pt == "102":
                rows += [
                    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
                    "a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli", "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102",
                ]  # fmt: skip
        return "\r\n".join([*rows, ""])

    async def take(self, server: PeerServer, session: str, offered: Offered | None) -> None:
        """Answer this offer and those that follow from it."""
        while offered is not None:
            self.offers.append(offered)
            sdp = offered.sdp
            offered = server.answer(session, offered.revision, self.answer_to(sdp))
            if not self._connected:
                self._connected = True
                await self.connect(sdp)

    async def connect(self, offer: str) -> None:
        self.aim(offer)
        await self._open()
        self._tasks.append(asyncio.create_task(self._checks()))
        await self._answered.wait()
        algorithm, _, value = light_client._value(offer, "fingerprint").partition(" ")
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(algorithm, value)], role="server"))
        if self._dtls.state != "connected":
            raise RuntimeError("DTLS failed")

    def aim(self, offer: str) -> None:
        """Check the address and credentials of this offer from now on."""
        found = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", offer)
        assert found is not None
        self._peer = (found[1], int(found[2]))
        ufrag, pwd = light_client._value(offer, "ice-ufrag"), light_client._value(offer, "ice-pwd")
        self._key = (pwd.encode(), f"{ufrag}:{self._ufrag}")

    def tracks(self) -> dict[str, int]:
        """Stream to the SSRC that the newest offer gives its picture."""
        ssrcs = {section.mid: section.ssrcs[0] for section in sections(self.offers[-1].sdp) if section.active}
        return {stream: ssrcs[mid] for mid, stream, kind in self.offers[-1].tracks if kind == "video"}

    async def until_seen(self, *streams: str, more: int = 1) -> None:
        """Until so many more slices of each of these came under the SSRC that the newest offer names."""
        want = {stream: self.count(stream) + more for stream in streams}
        async with asyncio.timeout(PATIENCE):
            while any(self.count(stream) < least for stream, least in want.items()):
                self.came.clear()
                await self.came.wait()

    def count(self, stream: str) -> int:
        heard = self.heard.get(self.tracks().get(stream, 0))
        return 0 if heard is None else heard.marks[stream]

    def strangers(self) -> list[tuple[int, dict[str, int]]]:
        """SSRCs under which more than one stream ever came."""
        return [(ssrc, dict(heard.marks)) for ssrc, heard in self.heard.items() if len(heard.marks) > 1]

    def _media(self, size: int) -> None:
        if 192 <= self._buffer[1] <= 223:
            return
        self.packets += 1
        if self._dtls._rx_srtp is None:
            return
        try:
            packet = parse_rtp(self._dtls._rx_srtp.unprotect(bytes(self._buffer[:size])))
        except SrtpError:
            return
        heard = self.heard.setdefault(packet.ssrc, Heard())
        heard.packets += 1
        if found := re.search(rb"<([a-z0-9-]+)>", packet.payload):
            heard.marks[found[1].decode()] += 1
        self.came.set()


@contextlib.asynccontextmanager
async def subscribing(
    server: PeerServer, *wishes: Wish, **options: object
) -> AsyncIterator[tuple[str, LightSubscriber]]:
    """A subscriber that has connected; its session."""
    client = LightSubscriber()
    session = server.subscribe(owner="s-1", **options)  # type: ignore[arg-type]  # the caller's options
    try:
        async with asyncio.timeout(PATIENCE):
            await client.take(server, session, server.wish(session, wishes))
        yield session, client
    finally:
        if client._connected:
            await client.close()
