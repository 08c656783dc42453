"""A whole relay: real Redis, internal HTTP, RTSP cameras, WebRTC viewers."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import VideoStreamTrack
from redis.asyncio import Redis

from hub.bus.registry import nodes
from hub.bus.relay_wire import (
    PICTURES_STREAM,
    REPORTS_STREAM,
    STATES_CHANNEL,
    NodeInfo,
    OfferIn,
    PictureRef,
    SessionReport,
    StreamConfig,
    StreamState,
)
from hub.bus.relays import Relays
from hub.bus.streams import Entry, GroupReader
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.domain.errors import Conflict, Invalid, NotFound, Unavailable
from hub.domain.ids import new_id
from hub.media.node import run_relay
from hub.media.peer.places import Ports
from hub.settings import Settings
from tests.integration.camera_kit import PATIENCE, h264_film
from tests.integration.redis_rig import RedisRig, running_redis
from tests.integration.test_whep import accept, client, first_track, offer_of

TOKEN = "token-of-this-installation"


def free_udp_port() -> int:
    """A port that was free by UDP and TCP a moment ago, and that no outgoing connection takes meanwhile."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            ports = Ports.open("127.0.0.1", random.randrange(12_000, 29_000), over_tcp=True)  # below the ephemeral ones
            ports.close()
            return ports.number
    raise OSError("no port is free")


@dataclass
class Rig:
    """A relay that runs, a camera server, and what the relay said over Redis."""

    redis: RedisRig
    cameras: RtspServer
    node: NodeInfo
    relays: Relays
    http: httpx.AsyncClient
    task: "asyncio.Task[None]"
    states: dict[str, StreamState] = field(default_factory=dict)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return self.node.url

    def camera(self, path: str = "gate") -> str:
        return f"rtsp://127.0.0.1:{self.cameras.port}/{path}"

    async def put(self, stream: str, **config: object) -> None:
        settings = StreamConfig.model_validate({"url": self.camera(), **config})
        await self.relays.put_stream(self.url, stream, settings)

    async def until(self, stream: str, condition: Callable[[StreamState], bool]) -> StreamState:
        """The first published state of a stream that fulfils the condition."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if (state := self.states.get(stream)) is not None and condition(state):
                    return state
                self.heard.clear()
                await self.heard.wait()

    async def listen(self) -> None:
        """Follow the states, across an outage."""
        while True:
            with contextlib.suppress(Exception):
                redis = self.redis.client("states")
                async with redis.pubsub() as channel:
                    await channel.subscribe(STATES_CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            state = StreamState.model_validate_json(message["data"])
                            self.states[state.stream] = state
                        self.heard.set()
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def entries(self, stream: str) -> AsyncIterator[AsyncIterator[Entry]]:
        """Everything on a Redis stream from its beginning, as a consumer of a group of its own."""
        redis = self.redis.client("reader")
        reader = GroupReader(redis, stream, new_id("test"), "reader")
        try:
            async with asyncio.timeout(PATIENCE):
                yield reader.entries()
        finally:
            await redis.aclose()

    async def reports(self, count: int) -> list[SessionReport]:
        """The first reports, as soon as there are so many."""
        async with self.entries(REPORTS_STREAM) as entries:
            return [SessionReport.model_validate_json((await anext(entries)).text) for _ in range(count)]


@contextlib.asynccontextmanager
async def relay(folder: Path, **options: object) -> AsyncIterator[Rig]:
    ready: asyncio.Future[NodeInfo] = asyncio.get_running_loop().create_future()
    film = h264_film(folder)
    async with (
        running_redis() as redis_rig,
        RtspServer([CameraFile("gate", film), CameraFile("yard", film)]).listening("127.0.0.1", 0) as cameras,
        Relays(TOKEN) as relays,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http,
    ):
        given = {"data": folder, "media_port": free_udp_port(), "linger_s": 0.2, **options}
        redis = redis_rig.client("relay")
        task = asyncio.create_task(
            run_relay(
                Settings.model_validate(given), node_id="relay-1", token=TOKEN, redis=redis, on_ready=ready.set_result
            )
        )
        async with asyncio.timeout(PATIENCE):
            waited: set[asyncio.Future[Any]] = {ready, task}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        rig = Rig(redis_rig, cameras, ready.result(), relays, http, task)
        listener = asyncio.create_task(rig.listen())
        async with asyncio.timeout(PATIENCE):
            await rig.heard.wait()
        try:
            yield rig
        finally:
            for each in (listener, task):
                each.cancel()
            await asyncio.wait([listener, task])
            await redis.aclose()


async def registered(redis: Redis) -> list[NodeInfo]:
    """The relays in the registry, as soon as there is one; none after 10 s."""
    for _ in range(200):
        if found := await nodes(redis, "relay"):
            return found
        await asyncio.sleep(0.05)
    return []


async def test_a_relay_is_in_the_registry_while_it_lives(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        redis = rig.redis.client()
        found = await registered(redis)
        assert [(node.id, node.url) for node in found] == [("relay-1", rig.url)]
        assert int(found[0].facts["udp_port"]) > 0
        rig.task.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait([rig.task])
        assert await nodes(redis, "relay") == []
        await redis.aclose()


async def test_a_viewer_is_answered_at_once_and_sees_the_camera(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, client() as pc:
        await rig.put("cam-1")
        assert (await rig.until("cam-1", lambda state: state.state == "idle")).viewers == 0
        track = first_track(pc, "video")
        pc.addTransceiver("video", direction="recvonly")
        answer = await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=await offer_of(pc), owner="u-1"))
        assert "H264/90000" in answer.sdp
        await accept(pc, answer.sdp)
        live = await rig.until("cam-1", lambda state: state.state == "live" and state.viewers == 1)
        assert (live.codec, live.width, live.height, live.node) == ("h264", 320, 240, "relay-1")
        async with asyncio.timeout(PATIENCE):
            for _ in range(10):
                await (await track).recv()
        await rig.relays.end_session(rig.url, answer.session)
        await rig.until("cam-1", lambda state: state.state == "idle" and state.viewers == 0)
        (ended,) = await rig.reports(1)
        assert (ended.stream, ended.session, ended.owner, ended.what) == ("cam-1", answer.session, "u-1", "ended")


async def test_two_viewers_pull_the_camera_once_and_a_withdrawn_right_ends_only_its_owner(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, client() as one, client() as two:
        await rig.put("cam-1")
        for pc, owner in ((one, "u-1"), (two, "u-2")):
            pc.addTransceiver("video", direction="recvonly")
            answer = await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=await offer_of(pc), owner=owner))
            await accept(pc, answer.sdp)
        await rig.until("cam-1", lambda state: state.state == "live" and state.viewers == 2)
        assert rig.cameras.cameras["gate"].plays == 1
        await rig.relays.end_owner(rig.url, "u-1")
        state = await rig.until("cam-1", lambda state: state.viewers == 1)
        assert state.state == "live"


async def test_a_member_publishes_and_is_seen_and_both_ends_are_reported(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, client() as source, client() as pc:
        source.addTrack(VideoStreamTrack())
        mine = await rig.relays.whip(rig.url, "mem-1", OfferIn(sdp=await offer_of(source), owner="u-1"))
        await accept(source, mine.sdp)
        (first,) = await rig.reports(1)
        assert (first.stream, first.session, first.what) == ("mem-1", mine.session, "media")
        track = first_track(pc, "video")
        pc.addTransceiver("video", direction="recvonly")
        answer = await rig.relays.whep(rig.url, "mem-1", OfferIn(sdp=await offer_of(pc), owner="u-2"))
        await accept(pc, answer.sdp)
        async with asyncio.timeout(PATIENCE):
            for _ in range(5):
                await (await track).recv()
        await rig.until("mem-1", lambda state: state.state == "live" and state.viewers == 1)
        with pytest.raises(Conflict):
            await rig.put("mem-1")
        await rig.relays.end_session(rig.url, mine.session)
        ends = {report.session for report in await rig.reports(3) if report.what == "ended"}
        assert ends == {mine.session, answer.session}  # a viewer of nobody is let go
        with pytest.raises(NotFound):
            await rig.relays.whep(rig.url, "mem-1", OfferIn(sdp="v=0", owner="u-2"))


async def test_a_publisher_who_comes_again_replaces_the_first(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, client() as first, client() as second:
        for pc in (first, second):
            pc.addTrack(VideoStreamTrack())
        one = await rig.relays.whip(rig.url, "mem-1", OfferIn(sdp=await offer_of(first), owner="u-1"))
        await accept(first, one.sdp)
        await rig.reports(1)
        two = await rig.relays.whip(rig.url, "mem-1", OfferIn(sdp=await offer_of(second), owner="u-1"))
        await accept(second, two.sdp)
        reports = await rig.reports(3)
        assert {(report.session, report.what) for report in reports} == {
            (one.session, "media"),
            (one.session, "ended"),
            (two.session, "media"),
        }
        assert [state.stream for state in await rig.relays.streams(rig.url)] == ["mem-1"]
        assert (await rig.relays.stream(rig.url, "mem-1")).stream == "mem-1"


async def test_a_rule_gets_pictures_that_decode_without_a_viewer(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        await rig.put("cam-1", pictures_every_ms=1_000)
        async with rig.entries(PICTURES_STREAM) as entries:
            ref, second = [PictureRef.model_validate_json((await anext(entries)).text) for _ in range(2)]
        assert (ref.camera, ref.node, ref.codec) == ("cam-1", "relay-1", "h264")
        answer = await rig.http.get(ref.url)
        assert answer.headers["content-type"] == "video/h264"
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        frames = decoder.decode(av.Packet(answer.content)) + decoder.decode(None)
        assert [(frame.width, frame.height) for frame in frames] == [(320, 240)]
        assert second.at - ref.at in range(700, 1_800)
        assert (await httpx.AsyncClient(trust_env=False).get(ref.url)).status_code == 401
        await rig.put("cam-1")  # no rule any more: nobody wants the camera
        await rig.until("cam-1", lambda state: state.state == "idle")
        assert (await rig.http.get(f"{rig.url}/streams/cam-1/pictures/0-0")).status_code == 404


async def test_a_camera_that_fails_says_why_without_its_password(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        url = f"rtsp://admin:geheim-123@127.0.0.1:{rig.cameras.port}/nowhere"
        await rig.put("cam-1", url=url, keep_open=True)
        state = await rig.until("cam-1", lambda state: state.state == "failed")
        assert state.reason == "source.not_found"
        assert state.retry_at is not None
        assert "geheim" not in state.model_dump_json()
        assert "geheim" not in (await rig.http.get(f"{rig.url}/streams")).text


async def test_putting_the_same_again_changes_nothing_and_another_address_opens_anew(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        for _ in range(3):
            await rig.put("cam-1", keep_open=True)
            before = await rig.until("cam-1", lambda state: state.state == "live")
        assert rig.cameras.connections == 1
        assert await rig.relays.stream(rig.url, "cam-1") == (await rig.relays.streams(rig.url))[0]
        await rig.put("cam-1", url=rig.camera("yard"), keep_open=True)
        await rig.until("cam-1", lambda state: state.state == "live" and state.since > before.since)
        assert [camera.plays for camera in rig.cameras.cameras.values()] == [1, 1]
        await rig.relays.delete_stream(rig.url, "cam-1")
        assert await rig.relays.streams(rig.url) == []
        with pytest.raises(NotFound) as unknown:
            await rig.relays.stream(rig.url, "cam-1")
        assert unknown.value.id == "stream.unknown"
        async with asyncio.timeout(PATIENCE):
            await rig.cameras.quiet.wait()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://169.254.169.254/latest", "ftp://10.0.0.1/x"])
async def test_addresses_that_are_never_pulled_are_refused(tmp_path: Path, url: str) -> None:
    async with relay(tmp_path) as rig:
        if url.startswith("file:"):  # the folder is looked at when it opens
            await rig.put("cam-1", url=url, keep_open=True)
            state = await rig.until("cam-1", lambda state: state.state == "failed")
            assert state.reason == "source.refused"
            return
        with pytest.raises(Invalid) as caught:
            await rig.put("cam-1", url=url)
        assert caught.value.id == "camera.url_refused"


async def test_bad_requests_get_a_named_error(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig:
        await rig.put("cam-1")
        cases: list[tuple[str, str, str, int, str]] = [
            ("PUT", "/streams/UPPER", "{}", 422, "request.invalid"),
            ("PUT", "/streams/cam-2", "{", 422, "request.invalid"),
            ("PUT", "/streams/cam-2", '{"url": "rtsp://a/", "extra": 1}', 422, "request.invalid"),
            ("PUT", "/streams/cam-2", "x" * 200_000, 413, "request.too_large"),
            ("DELETE", "/streams/cam-9", "", 404, "stream.unknown"),
            ("POST", "/streams/cam-9/whep", '{"sdp": "v=0", "owner": "u"}', 404, "stream.unknown"),
            ("POST", "/streams/cam-1/whep", '{"sdp": "nonsense", "owner": "u"}', 422, "sdp.invalid"),
            ("POST", "/streams/cam-1/whip", '{"sdp": "v=0", "owner": "u"}', 409, "stream.is_camera"),
            ("POST", "/streams/mem-1/whip", '{"sdp": "nonsense", "owner": "u"}', 422, "sdp.invalid"),
            ("DELETE", "/sessions/none", "", 404, "session.unknown"),
            ("DELETE", "/sessions", "", 422, "request.invalid"),
            ("GET", "/nothing", "", 404, "http.404"),
            ("PATCH", "/streams", "", 405, "http.405"),
        ]
        for method, path, body, status, id in cases:
            answer = await rig.http.request(method, rig.url + path, content=body)
            assert (path, answer.status_code, answer.json()["error"]) == (path, status, id)
        assert [state.stream for state in await rig.relays.streams(rig.url)] == ["cam-1"]


async def test_without_the_token_nothing_but_health_is_told(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, httpx.AsyncClient(trust_env=False) as stranger:
        assert (await stranger.get(f"{rig.url}/healthz")).text == "ok"
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            for path in ("/streams", "/metrics", "/streams/cam-1/pictures/x"):
                assert (await stranger.get(rig.url + path, headers=header)).status_code == 401
        figures = (await rig.http.get(f"{rig.url}/metrics")).text
        assert 'sharpeyes_relay_streams{state="live"} 0.0' in figures


async def test_media_goes_on_while_redis_is_dead_and_the_relay_is_found_again(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, client() as pc:
        await rig.put("cam-1")
        track = first_track(pc, "video")
        pc.addTransceiver("video", direction="recvonly")
        answer = await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=await offer_of(pc), owner="u-1"))
        await accept(pc, answer.sdp)
        await rig.until("cam-1", lambda state: state.state == "live")
        await rig.redis.kill()
        async with asyncio.timeout(PATIENCE):
            for _ in range(30):
                await (await track).recv()
        rig.states.clear()
        await rig.redis.start()
        await rig.until("cam-1", lambda state: state.state == "live")
        redis = rig.redis.client()
        assert await registered(redis)
        await redis.aclose()
        assert not rig.task.done()


async def test_a_taken_media_port_is_one_plain_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable) as caught:
            async with relay(tmp_path, media_port=taken.getsockname()[1]):
                pass
    assert caught.value.id == "relay.port_taken"
    assert "\n" not in caught.value.message


async def test_a_relay_ends_within_two_seconds_with_viewers_and_cameras_open(tmp_path: Path) -> None:
    async with relay(tmp_path) as rig, client() as pc:
        await rig.put("cam-1", pictures_every_ms=1_000)
        await rig.put("cam-2", url="rtsp://127.0.0.1:9/none", keep_open=True)
        await connect_viewer(rig, pc)
        await rig.until("cam-1", lambda state: state.state == "live")
        rig.task.cancel()
        done, _ = await asyncio.wait([rig.task], timeout=2)
        assert done == {rig.task}
        ended = [report.what for report in await rig.reports(1)]
        assert ended == ["ended"]


async def connect_viewer(rig: Rig, pc: RTCPeerConnection) -> None:
    pc.addTransceiver("video", direction="recvonly")
    answer = await rig.relays.whep(rig.url, "cam-1", OfferIn(sdp=await offer_of(pc), owner="u-1"))
    await accept(pc, answer.sdp)
