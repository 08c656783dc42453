"""A light publisher: H.264 in layers told apart by rid, as a browser's simulcast would send it."""

import asyncio
import re
import secrets
import struct
import time
from typing import Final

from hub.media.rtp import h264
from signaling.ice import Credentials
from tests.bench.light_client import _CERTIFICATE, Post
from tests.bench.load_client import LoadViewer
from tests.integration.media_kit import FPS, encoded

RIDS: Final = ("q", "h", "f")
RID: Final = 10
SIZES: Final = ((320, 180, 150_000), (640, 360, 500_000), (1_280, 720, 1_500_000))  # width, height, bit/s


def offer(mine: Credentials) -> str:
    """A sendonly offer of three layers."""
    print_ = next(f for f in _CERTIFICATE.getFingerprints() if f.algorithm == "sha-256")
    return "\r\n".join(
        [
            "v=0", f"o=- {secrets.randbits(60)} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
            "m=video 9 UDP/TLS/RTP/SAVPF 102", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendonly", "a=rtcp-mux",
            f"a=ice-ufrag:{mine.ufrag}", f"a=ice-pwd:{mine.pwd}", f"a=fingerprint:sha-256 {print_.value}",
            "a=setup:active", "a=rtpmap:102 H264/90000", "a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli",
            "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
            f"a=extmap:{RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            *(f"a=rid:{rid} send" for rid in RIDS), f"a=simulcast:send {';'.join(RIDS)}", "",
        ]
    )  # fmt: skip


class LoadPublisher(LoadViewer):
    """``await join(post)`` publishes until ``close``; ``sent`` counts packets."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    async def join(self, post: Post) -> None:
        """Offer, connect, send in real time."""
        answer = await post(offer(Credentials(self._ufrag, self._pwd)))
        candidate = self._candidate(answer)
        assert candidate is not None
        self._peer = (candidate[1], int(candidate[2]))
        self._know(answer)
        await self._open()
        self._tasks.append(asyncio.create_task(self._checks()))
        await self._secure(answer)
        assert re.search(r"a=simulcast:recv q;h;f", answer)
        self._tasks.append(asyncio.create_task(self._publish()))

    async def _publish(self) -> None:
        films = [encoded(2, FPS, *size) for size in SIZES]
        ssrcs, seqs = [secrets.randbelow(0xFFFFFFFE) + 1 for _ in RIDS], [secrets.randbelow(0xFFFF) for _ in RIDS]
        began, i = time.monotonic(), 0
        while True:
            for layer, film in enumerate(films):
                payloads = h264.packetize(h264.split(film[i % len(film)][0]))
                block = struct.pack("!HHBBxx", 0xBEDE, 1, RID << 4, ord(RIDS[layer]))
                for n, payload in enumerate(payloads):
                    marker = 0x80 if n == len(payloads) - 1 else 0
                    head = struct.pack("!BBHII", 0x90, marker | 102, seqs[layer], i * 3_600 & 0xFFFFFFFF, ssrcs[layer])
                    self._send(self._dtls._tx_srtp.protect(head + block + payload))
                    seqs[layer] = seqs[layer] + 1 & 0xFFFF
                    self.sent += 1
            i += 1
            await asyncio.sleep(max(0.0, began + i / FPS - time.monotonic()))
