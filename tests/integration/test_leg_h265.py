"""An H.265 camera behind a leg: its own bits for who knows them, transcoded once, where that is needed, for others."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest

from hub.bus.relay_wire import OfferIn
from hub.demo.rtsp_camera import CameraFile
from hub.domain.clock import system_clock
from hub.media.peer.dial import KNOWN, Reply, publishing, watching
from hub.media.peer.server import PeerServer
from hub.media.peer.subscriber import Wish
from hub.media.rtp import h265
from hub.media.rtp.h264 import split
from hub.media.rtp.unit import AccessUnit
from hub.media.sources.h265 import H265Framer
from hub.media.sources.leg import watch_leg
from hub.media.sources.relayed import Relayed
from hub.media.stream import Stream
from tests.integration.camera_kit import PATIENCE
from tests.integration.first_viewer_kit import page
from tests.integration.legs_kit import Site, flows, site
from tests.integration.live_rig import until
from tests.integration.subscriber_kit import rolling, subscribing
from tests.integration.test_codecs import OriginalViewer, h265_film
from tests.integration.test_leg_layers import MAIN, SUB, viewer_of
from tests.integration.test_substream import Camera, Film, feeding
from tests.integration.test_whep import accept, client, first_track, offer_of, serving

SIDES = pytest.mark.parametrize("pushed", [False, True], ids=["pulled", "pushed"])


async def dome(rig: Site, folder: Path) -> Path:
    """The camera ``dome`` brings H.265; it lives at the first relay."""
    film = await asyncio.to_thread(h265_film, folder)
    rig.cameras.cameras["dome"] = CameraFile("dome", film)
    await rig.put(0, url=rig.camera("dome"))
    return film


async def join(rig: Site, at: int, viewer: OriginalViewer) -> None:
    async def post(sdp: str) -> str:
        offer = OfferIn(sdp=viewer.offering(sdp), owner="u-original")
        return (await rig.relays.whep(rig.nodes[at].url, "cam-1", offer)).sdp

    await viewer.join(post)
    await viewer.enough.wait()


def pictures(film: Path) -> list[tuple[bytes, ...]]:
    framer = H265Framer()
    with av.open(str(film)) as container:
        coded = [framer.picture(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    return [tuple(split(picture.data)) for picture in coded if picture is not None]


def annex_b(film: Path) -> list[bytes]:
    return [b"".join(b"\0\0\0\1" + nal for nal in nals) for nals in pictures(film)]


@contextlib.asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Until left."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class MixedCamera(Camera):
    """H.265 in its main stream, H.264 in its sub stream, as many are set up."""

    def __init__(self, film: list[bytes]) -> None:
        super().__init__()
        self._film = film

    @contextlib.asynccontextmanager
    async def __call__(self, url: str) -> AsyncIterator[Film]:
        async with super().__call__(url) as film:
            yield film if url.endswith("sub") else MainFilm(tuple((data, False) for data in self._film))


class MainFilm(Film):
    async def read(self) -> list[AccessUnit]:
        (unit,) = await super().read()
        key = unit.data[4] >> 1 == h265.VPS
        return [replace(unit, codec="h265", keyframe=key)]


@contextlib.asynccontextmanager
async def leg(a: PeerServer, source: Stream, b: PeerServer, copy: Stream, side: str) -> AsyncIterator[None]:
    """A leg whose units reach the other relay's stream."""

    async def watch(offer: str) -> Reply:
        return Reply((await a.whep(source, offer, owner="leg-b", each_layer=True)).sdp, asks=False)

    async def read(relayed: Relayed) -> None:
        while True:
            for unit in await relayed.units.read():
                copy.publish(unit)

    async def publish(offer: str) -> Reply:
        return Reply((await b.whip(copy, offer, owner="leg-a", asks=False, each_layer=True, into=relayed)).sdp)

    if side == "pulled":
        relayed = Relayed(copy)
        async with beside(read(relayed)), watching(copy, watch, near="127.0.0.1", clock=system_clock, into=relayed):
            yield
    else:
        sent, relayed = source.rendition(KNOWN), Relayed(copy)
        sent.hold("push-b")
        async with (
            beside(read(relayed)),
            publishing(sent, publish, near="127.0.0.1", clock=system_clock, whole=source),
        ):
            yield
        sent.release("push-b")


@pytest.mark.parametrize("side", ["pulled", "pushed"])
async def test_an_h264_sub_stream_comes_beside_the_h265_main_stream_once_a_small_tile_wants_it(
    tmp_path: Path, side: str
) -> None:
    camera = MixedCamera(annex_b(await asyncio.to_thread(h265_film, tmp_path)))
    copy = Stream("cam-1", clock=system_clock)
    async with feeding(camera) as feed, serving() as a, serving() as b, asyncio.timeout(2 * PATIENCE):
        feed.stream.watch("ahead")  # its codec is known when the leg is asked for, as relays see to
        await feed.ready(PATIENCE)
        async with leg(a, feed.stream, b, copy, side):
            feed.stream.release("ahead")
            await until(lambda: copy.codec == "h265")
            original = copy.rendition(KNOWN)
            assert original.tracks["video"].codec == "h265"
            assert camera.open == [MAIN]
            async with subscribing(b, Wish(copy, width=320)):
                await until(lambda: len(viewer_of(b).seats) == 1)
                (seat,) = viewer_of(b).seats.values()
                await until(lambda: seat.sender.layer == 1 and seat.sender.packets > 20)
                assert sorted(camera.open) == [MAIN, SUB]
            await until(lambda: camera.open == [MAIN])
            before = original.tracks["video"].counters.packets
            await until(lambda: original.tracks["video"].counters.packets > before + 30)
            copy.rest(0)  # a thin line: the smaller picture alone comes
            assert original.ended
        assert not feed.stream.low_wanted
        assert a.counters["internal_errors"] == b.counters["internal_errors"] == 0


STARTED = "sharpeyes_relay_transcode_started_total"


@SIDES
async def test_the_first_viewer_behind_a_leg_who_knows_h265_gets_the_cameras_own_bits(
    tmp_path: Path, pushed: bool
) -> None:
    async with site(tmp_path) as rig, asyncio.timeout(2 * PATIENCE):
        original = pictures(await dome(rig, tmp_path))
        await rig.leg(1, 0, pushed=pushed)
        viewer = OriginalViewer()
        await join(rig, 1, viewer)
        await viewer.close()
        assert "H265/90000" in viewer.answer
        assert viewer.units[0][0][0] >> 1 == h265.VPS
        place = original.index(viewer.units[1])
        for number, unit in enumerate(viewer.units[1:]):
            assert unit == original[(place + number) % len(original)]
        state = await rig.until(1, lambda state: state.codec == "h265")
        assert (state.width, state.height, state.transcoded) == (320, 240, False)
        assert [await rig.metric(at, STARTED) for at in (0, 1)] == [0, 0]
        assert rig.cameras.cameras["dome"].plays == 1


@SIDES
@pytest.mark.parametrize(("knows", "codec"), [(True, "H265"), (False, "H264")])
async def test_a_page_behind_a_leg_is_offered_what_it_decodes(
    tmp_path: Path, pushed: bool, knows: bool, codec: str
) -> None:
    async with site(tmp_path) as rig, asyncio.timeout(2 * PATIENCE):
        await dome(rig, tmp_path)
        await rig.leg(1, 0, pushed=pushed)
        there = cast(Any, SimpleNamespace(relays=rig.relays, url=rig.nodes[1].url))  # what a page needs of a relay
        async with page(there, h265=knows) as wall:
            await wall.want("cam-1")
            while not wall.offers:  # the api asks again when the relay says that it knows more
                await asyncio.sleep(0.05)
                await wall.want("cam-1")
            assert wall.codecs() == {("cam-1", "video"): codec}
            await wall.flows("cam-1")
        assert [await rig.metric(at, STARTED) for at in (0, 1)] == [0, 0 if knows else 1]


@SIDES
async def test_who_behind_the_leg_does_not_gets_it_transcoded_there_and_once(tmp_path: Path, pushed: bool) -> None:
    async with site(tmp_path, linger_s=0.5) as rig, asyncio.timeout(3 * PATIENCE):
        await dome(rig, tmp_path)
        await rig.leg(1, 0, pushed=pushed)
        async with rig.viewer(1) as one, rig.viewer(1, owner="u-2") as two, client() as pc:
            await flows(one, two)
            original = OriginalViewer()
            await join(rig, 1, original)  # both kinds beside each other
            track = first_track(pc, "video")
            pc.addTransceiver("video", direction="recvonly")
            offer = OfferIn(sdp=await offer_of(pc), owner="u-3")
            await accept(pc, (await rig.relays.whep(rig.nodes[1].url, "cam-1", offer)).sdp)
            frames = [await (await track).recv() for _ in range(10)]
            assert {(frame.width, frame.height) for frame in frames} == {(320, 240)}  # type: ignore[union-attr]
            await rig.until(1, lambda state: state.transcoded)
            assert [await rig.metric(at, STARTED) for at in (0, 1)] == [0, 1]
            await original.close()
        assert rig.cameras.cameras["dome"].plays == 1


async def test_sound_comes_beside_h265_as_it_is_and_both_keep_their_times(tmp_path: Path) -> None:
    film = [
        b"".join(b"\0\0\0\1" + nal for nal in nals) for nals in pictures(await asyncio.to_thread(h265_film, tmp_path))
    ]
    source, copy = Stream("cam-1", clock=system_clock), Stream("cam-1", clock=system_clock)
    late_ms, units = 300, list[AccessUnit]()

    def publish(n: int) -> None:
        now, data = system_clock(), film[n % len(film)]
        key = data[4] >> 1 == h265.VPS
        source.publish(AccessUnit("video", "h265", data, n * 3_600, key, now, now - late_ms))
        for half in (0, 1):
            at = n * 320 + half * 160
            source.publish(AccessUnit("audio", "pcma", b"\x55" * 160, at, True, now, now - late_ms))

    async def play() -> None:
        for n in itertools.count(1):
            publish(n)
            await asyncio.sleep(0.04)

    async def post(offer: str) -> Reply:
        return Reply((await a.whep(source, offer, owner="leg-b", each_layer=True)).sdp, asks=False)

    publish(0)
    async with (
        serving() as a,
        asyncio.timeout(PATIENCE),
        beside(play()),
        watch_leg(copy, "http://127.0.0.1:1", post, clock=system_clock, on_changed=lambda: None) as passing,
    ):
        while len(units) < 60:
            units += await passing.read()
            for unit in units[-1:]:
                copy.publish(unit)
        assert copy.codec == "h265+pcma"
        assert copy.tracks["audio"].counters.packets > 60
        told = units[-1]
        assert told.captured_ms is not None  # by the sender reports of the other relay
        assert abs(told.at_ms - told.captured_ms - late_ms) < 100
        assert passing.figures.dropped == 0


async def test_a_camera_that_changes_to_h264_is_seen_on_over_the_leg(tmp_path: Path) -> None:
    async with site(tmp_path) as rig, asyncio.timeout(3 * PATIENCE):
        await dome(rig, tmp_path)
        await rig.leg(1, 0)
        async with rig.viewer(1) as viewer:
            await rig.until(1, lambda state: state.codec == "h265")
            await rig.put(0)  # the other camera under the same name
            await rig.until(1, lambda state: state.codec == "h264" and not state.transcoded)
            await flows(viewer)


async def test_sound_that_shows_only_later_is_heard_over_the_next_leg() -> None:
    """As of a device that says nothing of it beforehand; the relay that dialled comes again by itself."""
    copy = Stream("cam-1", clock=system_clock)
    async with serving() as a, asyncio.timeout(PATIENCE):
        source = Stream("cam-1", clock=system_clock, expects=("h264",), on_described=lambda: a.look_again("cam-1"))

        async def post(offer: str) -> Reply:
            return Reply((await a.whep(source, offer, owner="leg-b", each_layer=True)).sdp, asks=False)

        async with rolling(source):
            for kinds in (["video"], ["video", "audio"]):
                async with watching(copy, post, near="127.0.0.1", clock=system_clock) as dialed:
                    assert list(copy.tracks) == kinds
                    if "audio" in kinds:
                        break
                    source.publish(AccessUnit("audio", "pcma", b"\x55" * 160, 0, True, system_clock()))
                    await dialed.session.finished.wait()
            assert source.tracks["audio"].codec == copy.tracks["audio"].codec == "pcma"
