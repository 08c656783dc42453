"""A person's camera for the demo's story: a real WebRTC client that publishes by WHIP, as a browser would.

This is a client and runs against the hub from outside: the hub's own media never passes aiortc's senders.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Final
from urllib.parse import urljoin

import av
import httpx
import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from hub.domain.ids import ConferenceId

WIDTH: Final = 320
HEIGHT: Final = 180
FPS: Final = 10


class Picture(MediaStreamTrack):
    """A calm moving colour field, drawn cheaply: nobody looks at it, but it must be real video."""

    kind = "video"

    def __init__(self, hue: int) -> None:
        super().__init__()
        self._hue = hue
        self._count = 0
        self._began: float | None = None

    async def recv(self) -> av.VideoFrame:
        """The next frame, at its time."""
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        await asyncio.sleep(max(0.0, self._began + self._count / FPS - now))
        picture = np.full((HEIGHT, WIDTH, 3), (self._hue, 60, 70), dtype=np.uint8)
        left = (self._count * 6) % (WIDTH - 40)
        picture[70:110, left : left + 40] = (200, 200, 210)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._count * 90_000 // FPS, Fraction(1, 90_000)
        self._count += 1
        return frame


@contextlib.asynccontextmanager
async def publishing(
    client: httpx.AsyncClient, token: str, conference: ConferenceId, *, hue: int = 60
) -> AsyncIterator[None]:
    """Publish into a conference while inside. Raises httpx.HTTPError where the hub refuses or is away."""
    peer = RTCPeerConnection()
    headers = {"Authorization": f"Bearer {token}"}
    location: str | None = None
    try:
        peer.addTrack(Picture(hue))
        await peer.setLocalDescription(await peer.createOffer())
        answer = await client.post(
            f"/whip/conferences/{conference}",
            content=peer.localDescription.sdp,
            headers=headers | {"Content-Type": "application/sdp"},
        )
        answer.raise_for_status()
        location = urljoin(str(answer.request.url), answer.headers.get("Location", ""))
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        yield
    finally:
        if location is not None:
            with contextlib.suppress(httpx.HTTPError):
                await client.delete(location, headers=headers)
        await peer.close()
