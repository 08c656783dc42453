"""Cameras that no browser decodes as they are: passed on to who can, made anew once for all others, and counted."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection

from hub.bus.relay_wire import PICTURES_STREAM, OfferIn, PictureRef
from hub.demo.rtsp_camera import CameraFile
from hub.domain.errors import Unavailable
from hub.media.rtp import h265
from hub.media.rtp.h264 import split
from hub.media.rtp.packet import parse_rtp
from hub.media.sources.depacketize import H265Depacketizer
from hub.media.sources.h265 import H265Framer
from tests.bench.light_client import LightViewer
from tests.integration.camera_kit import PATIENCE, other_film, with_sound
from tests.integration.test_relay_node import Rig, relay
from tests.integration.test_sources import answering, ok
from tests.integration.test_whep import accept, client, first_track, offer_of
from vision.decode import decode_keyframe

X265: dict[str, Any] = {"preset": "ultrafast", "x265_params": "log-level=none:bframes=0:repeat-headers=1:keyint=25"}


def h265_film(folder: Path) -> Path:
    return other_film(folder / "new.hevc", "libx265", frames=50, **X265)


@contextlib.asynccontextmanager
async def with_cameras(folder: Path, **options: object) -> AsyncIterator[Rig]:
    """A relay, and cameras: new and newer (H.265), reordered (B-frames)."""
    films = {
        "new": h265_film(folder),
        "newer": h265_film(folder),
        "reordered": other_film(folder / "b.mp4", "libx264", frames=50, b=2, x264_params="b-adapt=0:scenecut=0"),
    }
    async with relay(folder, **options) as rig:
        rig.cameras.cameras |= {path: CameraFile(path, film) for path, film in films.items()}
        yield rig


async def watch(rig: Rig, stream: str, pc: RTCPeerConnection, kind: str = "video") -> Any:
    """Join as an aiortc viewer, who knows no H.265; the track."""
    track = first_track(pc, kind)
    pc.addTransceiver(kind, direction="recvonly")
    answer = await rig.relays.whep(rig.url, stream, OfferIn(sdp=await offer_of(pc), owner="u-1"))
    await accept(pc, answer.sdp)
    return await track


async def figure(rig: Rig, name: str) -> float:
    text = (await rig.http.get(f"{rig.url}/metrics")).text
    lines = (line.split() for line in text.splitlines())
    return next(float(line[1]) for line in lines if line[:1] == [f"sharpeyes_relay_transcode_{name}"])


async def until_figure(rig: Rig, name: str, value: float) -> None:
    async with asyncio.timeout(PATIENCE):
        while await figure(rig, name) != value:  # noqa: ASYNC110 - it shows at the relay's own page alone
            await asyncio.sleep(0.05)


class OriginalViewer(LightViewer):
    """A viewer who offers H.265 in front of H.264, and keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.units: list[tuple[bytes, ...]] = []
        self.enough = asyncio.Event()
        self.answer = ""
        self._rtp = H265Depacketizer()
        self._next: int | None = None

    @staticmethod
    def offering(sdp: str) -> str:
        more = "a=rtpmap:49 H265/90000\r\na=fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST\r\n"
        return sdp.replace("SAVPF 102", "SAVPF 49 102").replace("a=rtpmap:102", more + "a=rtpmap:102")

    def _look(self, data: bytes) -> None:
        packet = parse_rtp(self._dtls._rx_srtp.unprotect(data))
        lost = 0 if self._next is None else (packet.seq - self._next) & 0xFFFF
        self._next = (packet.seq + 1) & 0xFFFF
        self.units += [tuple(unit.nals) for unit in self._rtp.push(packet, lost)]
        if len(self.units) >= 60:
            self.enough.set()


async def test_who_knows_h265_gets_the_cameras_own_bits(tmp_path: Path) -> None:
    framer, film = H265Framer(), h265_film(tmp_path)
    with av.open(str(film)) as container:
        coded = [framer.picture(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    original = [tuple(split(picture.data)) for picture in coded if picture is not None]
    async with with_cameras(tmp_path) as rig, asyncio.timeout(PATIENCE):
        await rig.put("cam-1", url=rig.camera("new"), keep_open=True)
        await rig.until("cam-1", lambda state: state.codec == "h265" and state.width == 320)
        viewer = OriginalViewer()

        async def post(sdp: str) -> str:
            answer = await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=viewer.offering(sdp), owner="u-1"))
            assert "a=rtpmap:49 H265/90000" in answer.sdp
            return answer.sdp

        await viewer.join(post)
        await viewer.enough.wait()
        await viewer.close()
        assert viewer.units[0][0][0] >> 1 == h265.VPS
        place = original.index(viewer.units[1])
        for number, unit in enumerate(viewer.units[1:]):
            assert unit == original[(place + number) % len(original)]
        assert await figure(rig, "started_total") == 0
        assert not rig.states["cam-1"].transcoded


async def test_who_does_not_sees_it_too_and_it_is_made_once_for_ten(tmp_path: Path) -> None:
    async with with_cameras(tmp_path, linger_s=0.5) as rig, asyncio.timeout(2 * PATIENCE):
        await rig.put("cam-1", url=rig.camera("new"))
        async with contextlib.AsyncExitStack() as viewers:
            for number in range(10):
                pc = await viewers.enter_async_context(client())
                track = await watch(rig, "cam-1", pc)
                frames = [await track.recv() for _ in range(10 if number in (0, 9) else 1)]
                assert {(frame.width, frame.height) for frame in frames} == {(320, 240)}
            state = await rig.until("cam-1", lambda state: state.viewers == 10)
            assert (state.codec, state.transcoded) == ("h265", True)
            assert await figure(rig, "active") == 1
            assert await figure(rig, "started_total") == 1
            assert await figure(rig, "cpu_seconds_total") > 0
        await until_figure(rig, "active", 0)  # a while after the last one left
        await rig.until("cam-1", lambda state: not state.transcoded and state.state == "idle")


async def test_pictures_in_another_order_reach_viewers_all_and_in_order(tmp_path: Path) -> None:
    async with with_cameras(tmp_path) as rig, client() as pc, asyncio.timeout(PATIENCE):
        await rig.put("cam-1", url=rig.camera("reordered"))
        track = await watch(rig, "cam-1", pc)
        frames = [await track.recv() for _ in range(60)]
        stamps = [frame.pts for frame in frames]
        assert stamps == sorted(stamps)
        due = (stamps[-1] - stamps[0]) / 3_600 + 1
        assert len(frames) / due > 0.95
        assert rig.states["cam-1"].codec == "h264"
        assert rig.states["cam-1"].transcoded


async def test_over_the_cap_a_viewer_is_told_and_counted_and_nobody_else_suffers(tmp_path: Path) -> None:
    async with with_cameras(tmp_path, transcode_most=1) as rig, asyncio.timeout(2 * PATIENCE):
        await rig.put("cam-1", url=rig.camera("new"))
        await rig.put("cam-2", url=rig.camera("newer"))
        await rig.put("cam-3", url=rig.camera("gate"))
        async with client() as first, client() as second, client() as plain:
            track = await watch(rig, "cam-1", first)
            await track.recv()
            await watch(rig, "cam-2", second)  # nobody knows yet what this camera brings
            ended = (await rig.reports(1))[0]
            assert (ended.stream, ended.what, ended.reason) == ("cam-2", "ended", "transcode.full")
            async with client() as again:
                with pytest.raises(Unavailable) as caught:
                    await watch(rig, "cam-2", again)
            assert caught.value.id == "transcode.full"
            assert await figure(rig, "refused_total") >= 2
            for viewer in (track, await watch(rig, "cam-3", plain)):
                for _ in range(20):
                    await viewer.recv()


async def test_players_and_vision_get_the_original(tmp_path: Path) -> None:
    async with with_cameras(tmp_path) as rig:
        await rig.put("cam-1", url=rig.camera("new"), pictures_every_ms=300)
        async with rig.entries(PICTURES_STREAM) as entries:
            ref = PictureRef.model_validate_json((await anext(entries)).text)
        assert ref.codec == "h265"
        picture = await rig.http.get(ref.url)
        assert picture.headers["content-type"] == "video/h265"
        assert decode_keyframe(picture.content, ref.codec).shape == (240, 320, 3)
        opened = await rig.relays.transport_stream(rig.url, "cam-1", owner="u-1")
        data = b""
        async with asyncio.timeout(PATIENCE):
            async for chunk in opened.chunks():
                data += chunk
                if len(data) > 60_000:
                    break
        await opened.close()
        path = tmp_path / "out.ts"
        path.write_bytes(data)
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == "hevc"
            assert sum(1 for _ in container.decode(video=0)) > 5
        assert await figure(rig, "started_total") == 0


def tone_film(folder: Path) -> Path:
    """Half a minute with a tone of 1 kHz beside the picture, as AAC."""
    film = other_film(folder / "film.mp4", "libx264", frames=750, preset="ultrafast")
    return with_sound(film, "aac", 32_000, hertz=1_000, seconds=30, to=folder / "tone.ts")


def loudest(samples: "np.ndarray[Any, Any]", rate: int) -> float:
    """Frequency of the strongest line."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


async def heard(track: Any) -> tuple[float, list[int]]:
    """The strongest frequency of a second of sound behind the first half, and the times of its frames."""
    frames = [await track.recv() for _ in range(75)][25:]
    sound = np.concatenate([frame.to_ndarray().reshape(-1, frame.layout.nb_channels)[:, 0] for frame in frames])
    return loudest(sound.astype(float), frames[0].sample_rate), [frame.pts for frame in frames]


async def test_aac_is_heard_as_opus_at_its_pitch(tmp_path: Path) -> None:
    film = tone_film(tmp_path)
    async with (
        answering({"/tone.ts": ok(film.read_bytes())}) as port,
        relay(tmp_path) as rig,
        client() as one,
        client() as other,
        asyncio.timeout(2 * PATIENCE),
    ):
        await rig.put("cam-1", url=f"http://127.0.0.1:{port}/tone.ts", keep_open=True)
        await rig.until("cam-1", lambda state: state.codec == "h264+aac")
        tracks = [await watch(rig, "cam-1", pc, "audio") for pc in (one, other)]
        for track in tracks:
            pitch, times = await heard(track)
            assert abs(pitch - 1_000) < 15
            assert {b - a for a, b in itertools.pairwise(times)} == {960}
        assert await figure(rig, "sounds") == 1
        assert await figure(rig, "active") == 0
        assert not rig.states["cam-1"].transcoded  # the picture passes
