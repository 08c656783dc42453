"""Stock aiortc as a forwarder, a process of its own: one RTCPeerConnection a viewer, fed with encoded frames."""

import asyncio
import fractions
import json
import sys
import time
from typing import Any

import av
import uvloop
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

from tests.bench.relay_process import film
from tests.integration.media_kit import FPS


class Film(MediaStreamTrack):
    """The film's access units as packets, in real time."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._made, self._at, self._began = film(), 0, time.monotonic()

    async def recv(self) -> Any:
        """The next one."""
        data, key = self._made[self._at % len(self._made)]
        await asyncio.sleep(max(0.0, self._began + self._at / FPS - time.monotonic()))
        packet = av.Packet(data)
        packet.pts = packet.dts = self._at * 90_000 // FPS
        packet.time_base = fractions.Fraction(1, 90_000)
        packet.is_keyframe = key
        self._at += 1
        return packet


async def main() -> None:
    """Serve until standard input ends."""
    film()
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    relay, source, peers = MediaRelay(), Film(), []
    while line := await reader.readline():
        request = json.loads(line)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.append(peer)
        peer.addTrack(relay.subscribe(source))
        await peer.setRemoteDescription(RTCSessionDescription(sdp=request["sdp"], type="offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        sys.stdout.write(json.dumps({"sdp": peer.localDescription.sdp}) + "\n")
        sys.stdout.flush()
    await asyncio.gather(*(peer.close() for peer in peers))


if __name__ == "__main__":
    uvloop.run(main())
