"""Cameras that can be kept from answering, and viewers who know H.265 and would hear."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from hub.bus.relay_wire import (
    OfferIn,
    SubscribeIn,
    SubscriberAnswer,
    SubscriberOffer,
    SubscriberOut,
    TracksIn,
    TrackWish,
)
from hub.demo.rtsp_camera import CameraFile
from hub.media.rtp.packet import parse_rtp
from tests.bench.light_client import LightViewer
from tests.integration.camera_kit import PATIENCE, h264_film, other_film
from tests.integration.subscriber_kit import LightSubscriber, sections
from tests.integration.test_relay_node import Rig, relay

X265: dict[str, Any] = {"preset": "ultrafast", "x265_params": "log-level=none:bframes=0:repeat-headers=1:keyint=25"}
H264, H265, OPUS, PCMA = 102, 49, 111, 8


@contextlib.asynccontextmanager
async def with_new_camera(folder: Path, **options: object) -> AsyncIterator[Rig]:
    """A relay, and beside the usual cameras one with H.265, ``new``."""
    film = await asyncio.to_thread(other_film, folder / "new.hevc", "libx265", 50, **X265)
    async with relay(folder, **options) as rig:
        rig.cameras.cameras["new"] = CameraFile("new", film)
        yield rig


def turn(rig: Rig, path: str, folder: Path) -> None:
    """Somebody sets the camera ``new`` to H.264, or ``gate`` to H.265; who plays it is cut off."""
    other = {"new": h264_film(folder), "gate": folder / "new.hevc"}[path]
    rig.cameras.cameras[path] = CameraFile(path, other)


class Door:
    """Whoever comes to ``port`` gets through to the camera's port once it is open."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self.open = asyncio.Event()
        self.knocked = asyncio.Event()
        self._to = to
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator["Door"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.knocked.set()
        try:
            await self.open.wait()
            there, here = await asyncio.open_connection("127.0.0.1", self._to)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, here))
                group.create_task(_pass(there, writer))
        except (OSError, ExceptionGroup):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


class Viewer(LightViewer):
    """A viewer by WHEP who offers H.265 in front of H.264 (``h265``), and to hear. Counts by payload type."""

    def __init__(self, *, h265: bool = True, hears: bool = True) -> None:
        super().__init__()
        self.by_type: dict[int, int] = {}
        self.ended = asyncio.Event()
        self._h265, self._hears = h265, hears
        self._came = asyncio.Event()

    def _offering(self, sdp: str) -> str:
        if self._h265:
            more = f"a=rtpmap:{H265} H265/90000\r\na=fmtp:{H265} level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST\r\n"
            sdp = sdp.replace(f"SAVPF {H264}", f"SAVPF {H265} {H264}").replace(
                f"a=rtpmap:{H264}", more + "a=rtpmap:102"
            )
        if self._hears:
            rows = [
                f"m=audio 9 UDP/TLS/RTP/SAVPF {OPUS} {PCMA}", "c=IN IP4 0.0.0.0", "a=mid:1", "a=recvonly", "a=rtcp-mux",
                f"a=rtpmap:{OPUS} opus/48000/2", f"a=rtpmap:{PCMA} PCMA/8000",
                *re.findall(r"a=(?:ice-ufrag|ice-pwd|fingerprint|setup):[^\r]+", sdp), "",
            ]  # fmt: skip
            sdp = sdp.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1") + "\r\n".join(rows)
        return sdp

    async def come(self, rig: Rig, stream: str) -> "Viewer":
        """Join; who has been answered may still have no picture."""

        async def post(sdp: str) -> str:
            offer = OfferIn(sdp=self._offering(sdp), owner="u-1")
            return (await rig.relays.whep(rig.url, stream, offer)).sdp

        async with asyncio.timeout(PATIENCE):
            await self.join(post)
        return self

    @property
    def promised(self) -> set[int]:
        """Payload types of the answer's sections that are not refused."""
        return {int(pt) for pt in re.findall(r"^m=\w+ [1-9]\d* \S+ (\d+)", self.answer, re.MULTILINE)}

    async def until(self, *kinds: int) -> None:
        """Packets of all these payload types have come, from now on."""
        before = dict(self.by_type)
        async with asyncio.timeout(PATIENCE):
            while any(self.by_type.get(kind, 0) < before.get(kind, 0) + 3 for kind in kinds):
                self._came.clear()
                await self._came.wait()

    def _look(self, data: bytes) -> None:
        if self._dtls._rx_srtp is None:
            return
        kind = parse_rtp(self._dtls._rx_srtp.unprotect(data)).payload_type
        self.by_type[kind] = self.by_type.get(kind, 0) + 1
        self._came.set()


@contextlib.asynccontextmanager
async def watching(rig: Rig, stream: str, **how: bool) -> AsyncIterator[Viewer]:
    viewer = Viewer(**how)
    try:
        yield await viewer.come(rig, stream)
    finally:
        await viewer.close()


class Page:
    """A subscriber over the relay's HTTP, as the api drives one for a page. ``h265``: the page decodes it."""

    def __init__(self, rig: Rig, *, h265: bool = True, audio: bool = False) -> None:
        self.viewer = LightSubscriber()
        self.offers: list[SubscriberOffer] = []
        self.states: dict[str, str] = {}
        self.session = ""
        self._rig, self._h265, self._audio = rig, h265, audio
        self._heard = 0

    async def want(self, *streams: str) -> None:
        """Tell the whole list, and answer what is offered for it."""
        relays, url = self._rig.relays, self._rig.url
        if not self.session:
            self.session = (await relays.subscribe(url, SubscribeIn(owner="u-1"))).session
        wishes = [TrackWish(stream=stream, audio=self._audio) for stream in streams]
        await self._heed(await relays.wish(url, self.session, TracksIn(tracks=wishes, h265=self._h265)))

    async def _heed(self, out: SubscriberOut) -> None:
        self.states |= out.states
        while (offer := out.offer) is not None:
            self.offers.append(offer)
            answer = SubscriberAnswer(revision=offer.revision, sdp=self.viewer.answer_to(offer.sdp))
            out = await self._rig.relays.answer(self._rig.url, self.session, answer)
            self.states |= out.states
            if not self.viewer._connected:
                self.viewer._connected = True
                async with asyncio.timeout(PATIENCE):
                    await self.viewer.connect(offer.sdp)

    async def told(self) -> None:
        """Until the relay says that something changed since it last said so."""
        async with self._rig.entries("reports") as entries:
            seen = 0
            async for entry in entries:
                seen += '"changed"' in entry.text and self.session in entry.text
                if seen > self._heard:
                    self._heard = seen
                    return

    def codecs(self) -> dict[tuple[str, str], str]:
        """What the newest offer has, by stream and kind."""
        offer = self.offers[-1]
        names = {section.mid: section.codec[1].partition("/")[0] for section in sections(offer.sdp) if section.active}
        return {(track.stream, track.kind): names[track.mid] for track in offer.tracks}

    async def flows(self, *streams: str) -> None:
        """Packets of all these pictures come under the numbers of the newest offer."""
        mids = {track.mid for track in self.offers[-1].tracks if track.stream in streams and track.kind == "video"}
        ssrcs = [section.ssrcs[0] for section in sections(self.offers[-1].sdp) if section.mid in mids]
        before = self._packets(ssrcs)
        async with asyncio.timeout(PATIENCE):
            while any(now < then + 3 for now, then in zip(self._packets(ssrcs), before, strict=True)):
                self.viewer.came.clear()
                await self.viewer.came.wait()

    def _packets(self, ssrcs: Iterable[int]) -> list[int]:
        heard = [self.viewer.heard.get(ssrc) for ssrc in ssrcs]
        return [0 if one is None else one.packets for one in heard]

    async def close(self) -> None:
        if self.viewer._connected:
            await self.viewer.close()


@contextlib.asynccontextmanager
async def page(rig: Rig, **how: bool) -> AsyncIterator[Page]:
    opened = Page(rig, **how)
    try:
        yield opened
    finally:
        await opened.close()
