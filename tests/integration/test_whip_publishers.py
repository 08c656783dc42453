"""What encoders offer by WHIP, as they write it: OBS and FFmpeg (H.264 High, everything gathered, SSRCs named), a
body-worn camera without RTX or extensions, a phone. Each is answered so that it can be used, and its pictures are seen.
"""

import asyncio
import contextlib
import secrets
import struct

import pytest

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.rtp import h264
from hub.media.stream import Stream
from tests.bench import light_client
from tests.bench.light_client import LightViewer
from tests.integration.media_kit import FPS, encoded
from tests.integration.test_whep import PATIENCE, serving

SSRC = 1_811_122_001

OBS = """v=0
o=rtc 3259872 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=setup:actpass
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=ice-options:ice2,trickle
a=fingerprint:sha-256 PRINT
m=audio 40451 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.168.1.5
a=mid:0
a=sendonly
a=ssrc:1811122000 cname:obs
a=ssrc:1811122000 msid:obs obs-audio
a=msid:obs obs-audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
a=candidate:1 1 UDP 2122317823 192.168.1.5 40451 typ host
a=end-of-candidates
m=video 40451 UDP/TLS/RTP/SAVPF 96
c=IN IP4 192.168.1.5
a=mid:1
a=sendonly
a=ssrc:SSRC cname:obs
a=ssrc:SSRC msid:obs obs-video
a=msid:obs obs-video
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=640c1f;packetization-mode=1;level-asymmetry-allowed=1
"""

FFMPEG = """v=0
o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=fingerprint:sha-256 PRINT
a=setup:active
a=mid:0
a=sendonly
a=msid:FFmpeg audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:1811122000 cname:FFmpeg
a=ssrc:1811122000 msid:FFmpeg audio
m=video 9 UDP/TLS/RTP/SAVPF 106
c=IN IP4 0.0.0.0
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=fingerprint:sha-256 PRINT
a=setup:active
a=mid:1
a=sendonly
a=msid:FFmpeg video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f
a=ssrc:SSRC cname:FFmpeg
a=ssrc:SSRC msid:FFmpeg video
"""

BODY_WORN = """v=0
o=- 0 0 IN IP4 10.0.0.9
s=live
t=0 0
a=group:BUNDLE video
m=video 9 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
a=mid:video
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=fingerprint:SHA-256 PRINT
a=setup:actpass
a=sendonly
a=rtcp-mux
a=rtpmap:97 H264/90000
a=fmtp:97 packetization-mode=1;profile-level-id=42e01f;sprop-parameter-sets=Z0LgH9oBQBbsBEAAAAMAQAAADIPGDKg=,aM48gA==
"""

PHONE = """v=0
o=- 46117317 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=video 9 UDP/TLS/RTP/SAVPF 102 103 104 96 97
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:UFRAG
a=ice-pwd:PWD
a=ice-options:trickle renomination
a=fingerprint:sha-256 PRINT
a=setup:actpass
a=mid:0
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:13 urn:3gpp:video-orientation
a=sendonly
a=msid:stream video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:102 H264/90000
a=rtcp-fb:102 goog-remb
a=rtcp-fb:102 transport-cc
a=rtcp-fb:102 ccm fir
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H265/90000
a=fmtp:104 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=ssrc-group:FID SSRC 77
a=ssrc:SSRC cname:phone
a=ssrc:77 cname:phone
"""

OFFERS = {"obs": (OBS, 96), "ffmpeg": (FFMPEG, 106), "body-worn": (BODY_WORN, 97), "phone": (PHONE, 102)}


class Encoder(LightViewer):
    """Publishes real H.264 under an offer of others."""

    async def publish(self, server: PeerServer, stream: Stream, text: str, payload_type: int) -> str:
        print_ = next(f for f in light_client._CERTIFICATE.getFingerprints() if f.algorithm == "sha-256").value
        text = text.replace("UFRAG", self._ufrag).replace("PWD", self._pwd).replace("PRINT", print_)
        offer = text.replace("SSRC", str(SSRC)).replace("\n", "\r\n")
        answer = (await server.whip(stream, offer, owner="p")).sdp
        found = self._candidate(answer)
        assert found is not None
        self._peer = (found[1], int(found[2]))
        self._know(answer)
        await self._open()
        self._tasks.append(asyncio.create_task(self._checks()))
        await self._secure(answer)
        self._tasks.append(asyncio.create_task(self._encode(payload_type)))
        return answer

    async def _encode(self, payload_type: int) -> None:
        seq, made = secrets.randbelow(0xFFFF), encoded()
        for i in range(10_000):
            payloads = h264.packetize(h264.split(made[i % len(made)][0]))
            for n, payload in enumerate(payloads):
                second = payload_type | (0x80 if n == len(payloads) - 1 else 0)
                head = struct.pack("!BBHII", 0x80, second, seq, i * 3_600 & 0xFFFFFFFF, SSRC)
                with contextlib.suppress(OSError):
                    self._send(self._dtls._tx_srtp.protect(head + payload))
                seq = seq + 1 & 0xFFFF
            await asyncio.sleep(1 / FPS)


@pytest.mark.parametrize("name", OFFERS)
async def test_an_encoders_offer_is_answered_and_its_pictures_are_seen(name: str) -> None:
    text, payload_type = OFFERS[name]
    async with serving() as server, asyncio.timeout(PATIENCE):
        stream, encoder, viewer = Stream("mem-1", clock=system_clock), Encoder(), LightViewer()

        async def watch(sdp: str) -> str:
            return (await server.whep(stream, sdp, owner="v")).sdp

        answer = await encoder.publish(server, stream, text, payload_type)
        sections = answer.split("\r\nm=")[1:]
        assert len(sections) == text.count("\nm=")
        assert "a=setup:passive" in answer
        assert "a=ice-lite" in answer
        assert answer.count("a=recvonly") == len(sections)
        assert f"a=rtpmap:{payload_type} H264/90000" in answer
        assert next(line for line in answer.split("\r\n") if line.startswith("a=group:BUNDLE")).split()[1:] == [
            line.removeprefix("a=mid:") for line in answer.split("\r\n") if line.startswith("a=mid:")
        ]
        fmtp = next(line for line in text.split("\n") if line.startswith(f"a=fmtp:{payload_type} "))
        assert fmtp in answer  # the profile that it encodes, not another one
        await viewer.join(watch)
        await viewer.seen.wait()
        had = viewer.packets
        while viewer.packets < had + 20:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)
        assert viewer.gaps == 0
        assert server.counters["malformed"] == server.counters["internal_errors"] == 0
        await viewer.close()
        await encoder.close()
