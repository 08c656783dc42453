"""The whole path of media through the api: a real relay, a real RTSP camera, real WebRTC clients."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from hub.bus import leases
from hub.bus.relay_wire import NodeInfo
from hub.bus.relays import Relays
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.domain.ids import new_id
from hub.media.node import run_relay
from hub.settings import Settings
from signaling import wire
from tests.integration.camera_kit import h264_film
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until
from tests.integration.test_relay_node import free_udp_port
from tests.integration.test_whep import accept, client, first_track, offer_of

SDP = {"Content-Type": "application/sdp"}
PATIENCE = 60.0


@dataclass
class RunningRelay:
    node: NodeInfo
    task: "asyncio.Task[None]"
    redis: Any

    async def crash(self) -> None:
        """End it without a word: its entry stays in the registry until it runs out."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class Rig:
    """The hub, a camera server, and relays as they are started."""

    hub: LiveRig
    cameras: RtspServer
    folder: Path
    relays: list[RunningRelay] = field(default_factory=list)

    async def relay(self, announce: tuple[str, ...] = ("127.0.0.1",)) -> RunningRelay:
        """Start a relay, and wait until the api knows it."""
        ready: asyncio.Future[NodeInfo] = asyncio.get_running_loop().create_future()
        redis = self.hub.redis.client("relay")
        settings = Settings(data=self.folder, media_port=free_port(), linger_s=0.5, announce=announce)
        task = asyncio.create_task(
            run_relay(settings, node_id=new_id("relay"), token=TOKEN, redis=redis, on_ready=ready.set_result)
        )
        either: set[asyncio.Future[Any]] = {task, ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        started = RunningRelay(ready.result(), task, redis)
        self.relays.append(started)
        alive = self.hub.apis[0].live.placements.relays_alive

        async def known() -> bool:
            return started.node.id in {node.id for node in await alive()}

        await until(known)
        return started

    async def camera(self, path: str = "gate", unit: str = "city") -> str:
        """A camera of the town that exists."""
        url = f"rtsp://user:s3cret@127.0.0.1:{self.cameras.port}/{path}"
        body = {"name": path, "url": url, "unit": unit}
        return str((await self.hub.call("sysadmin", "POST", "/api/v1/cameras", 201, json=body))["id"])

    async def state(self, camera: str, state: str) -> Any:
        """Wait until the interface shows the camera in this state."""
        shown: dict[str, Any] = {}

        async def is_so() -> bool:
            shown.update(await self.hub.call("commander", "GET", f"/api/v1/cameras/{camera}", 200))
            return bool(shown["state"] == state)

        await until(is_so, seconds=PATIENCE)
        return shown

    async def streams(self, relay: RunningRelay) -> dict[str, Any]:
        """What a relay carries, by its own word."""
        async with Relays(TOKEN) as relays:
            return {state.stream: state for state in await relays.streams(relay.node.url)}

    async def post(self, username: str, path: str, pc: RTCPeerConnection, *, status: int = 201) -> httpx.Response:
        """Send an offer; take the answer when there is one."""
        answer = await self.hub.call(username, "POST", path, status, content=await offer_of(pc), headers=SDP)
        if isinstance(answer, httpx.Response):
            await accept(pc, answer.text)
            return answer
        return answer  # type: ignore[no-any-return]  # a refusal's JSON


def free_port() -> int:
    """A port that was free by UDP and by TCP a moment ago."""
    return free_udp_port()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with media_rig() as rig:
        yield rig


@contextlib.asynccontextmanager
async def media_rig(**given: Any) -> AsyncIterator[Rig]:
    """The hub with these settings, and a camera server; relays are started as they are wanted."""
    folder = Path(tempfile.mkdtemp(prefix="se-"))
    film = h264_film(folder)
    cameras = RtspServer([CameraFile("gate", film), CameraFile("bridge", film)])
    async with live_hub(**given) as hub, cameras.listening("127.0.0.1", 0):
        rig = Rig(hub, cameras, folder)
        yield rig
        for relay in rig.relays:
            await relay.crash()
            await relay.redis.aclose()
    shutil.rmtree(folder, ignore_errors=True)


async def _patches_its_ice(rig: Rig, mine: str, other: str, place: str, tag: str) -> None:
    """RFC 9725 §4.3: trickle under the entity tag, begin anew with ``*``; and nothing under a tag of before."""

    async def patch(who: str, status: int, body: str, match: str | None) -> Any:
        headers = {"Content-Type": "application/trickle-ice-sdpfrag"} | ({"If-Match": match} if match else {})
        return await rig.hub.call(who, "PATCH", place, status, content=body, headers=headers)

    done, fresh = "a=end-of-candidates\r\n", "a=ice-ufrag:fresh\r\na=ice-pwd:0123456789abcdef01234567\r\n"
    assert tag.startswith('"')  # a strong one
    await patch(mine, 204, done, tag)
    await patch(mine, 204, done, f'"other", {tag}')
    assert (await patch(mine, 428, done, None))["error"]["id"] == "media.no_condition"
    assert (await patch(mine, 412, done, f"W/{tag}"))["error"]["id"] == "media.outdated"
    anew = await patch(mine, 200, fresh, "*")
    now = anew.headers["etag"]
    assert now.strip('"') in anew.text
    assert now != tag
    late = "a=ice-ufrag:before\r\na=ice-pwd:0123456789abcdef01234567\r\na=end-of-candidates\r\n"
    assert (await patch(mine, 412, late, tag))["error"]["id"] == "media.outdated"
    await patch(mine, 204, fresh, now)  # the same credentials once more: nothing begins anew
    await patch(mine, 422, "a=ice-ufrag:half\r\n", "*")
    assert (await patch(other, 404, fresh, "*"))["error"]["id"] == "media.session_unknown"
    assert (await patch(other, 404, fresh, None))["error"]["id"] == "media.session_unknown"
    await rig.hub.call(mine, "PATCH", place, 422, content=fresh, headers=SDP | {"If-Match": now})


async def test_a_viewer_sees_a_camera_and_ends_its_own_session_only(rig: Rig) -> None:
    relay = await rig.relay()
    camera = await rig.camera()
    async with client() as pc, asyncio.timeout(PATIENCE):
        pc.addTransceiver("video", direction="recvonly")
        track = first_track(pc, "video")
        answer = await rig.post("commander", f"/whep/cameras/{camera}", pc)
        place = answer.headers["location"]
        assert place.startswith("/whep/sessions/")
        assert answer.headers["content-type"] == "application/sdp"
        for _ in range(5):
            await (await track).recv()
        assert (await rig.state(camera, "live"))["codec"] == "h264"
        assert "s3cret" not in (await rig.hub.call("sysadmin", "GET", "/api/v1/cameras", 200)).__repr__()
        refused = await rig.hub.call("sysadmin", "DELETE", place, 404)
        assert refused["error"]["id"] == "media.session_unknown"
        await rig.hub.call("commander", "GET", place, 405)
        await _patches_its_ice(rig, "commander", "sysadmin", place, answer.headers["etag"])
        for _ in range(5):
            await (await track).recv()
        await rig.hub.call("commander", "DELETE", place, 204)
        await until(lambda: _viewers(rig, relay, camera, 0))
        await rig.hub.call("commander", "DELETE", place, 204)  # what has ended has ended
    await rig.hub.logged("camera.viewed")


async def _viewers(rig: Rig, relay: RunningRelay, stream: str, count: int) -> bool:
    found = (await rig.streams(relay)).get(stream)
    return (0 if found is None else found.viewers) == count


async def test_without_a_relay_a_viewer_is_told_so(rig: Rig) -> None:
    camera = await rig.camera()
    async with client() as pc:
        pc.addTransceiver("video", direction="recvonly")
        refused: Any = await rig.post("commander", f"/whep/cameras/{camera}", pc, status=503)
        assert refused["error"]["id"] == "relay.none"
    assert (await rig.state(camera, "failed"))["reason"] == "relay.none"


@pytest.mark.parametrize(
    ("content", "headers", "status", "error"),
    [
        ("v=0", {"Content-Type": "text/plain"}, 422, "sdp.content_type"),
        ("", SDP, 422, "sdp.invalid"),
        (b"\xff\xfe", SDP, 422, "sdp.invalid"),
        ("not an offer", SDP, 422, "sdp.invalid"),
        ("v=0\r\n" * 20_000, SDP, 413, "sdp.too_large"),
    ],
)
async def test_what_is_no_offer_gets_a_named_error(
    rig: Rig, content: str | bytes, headers: dict[str, str], status: int, error: str
) -> None:
    await rig.relay()
    camera = await rig.camera()
    path = f"/whep/cameras/{camera}"
    refused = await rig.hub.call("commander", "POST", path, status, content=content, headers=headers)
    assert refused["error"]["id"] == error
    await rig.hub.call("field", "POST", path, 403, content=content, headers=headers)
    await rig.hub.call("water", "POST", path, 404, content="v=0", headers=SDP)


async def test_signing_out_ends_the_media_of_that_browser_alone_within_two_seconds(rig: Rig) -> None:
    relay = await rig.relay()
    camera = await rig.camera()
    async with client() as first, client() as second, asyncio.timeout(PATIENCE):
        for pc in (first, second):
            pc.addTransceiver("video", direction="recvonly")
        await rig.post("commander", f"/whep/cameras/{camera}", first)
        kept = rig.hub.tokens.pop("commander")
        await rig.post("commander", f"/whep/cameras/{camera}", second)
        await until(lambda: _viewers(rig, relay, camera, 2))
        rig.hub.tokens["commander"] = kept
        begun = time.monotonic()
        await rig.hub.call("commander", "DELETE", "/api/v1/sessions/current", 204)
        rig.hub.tokens.pop("commander")
        await until(lambda: _viewers(rig, relay, camera, 1), seconds=2.0 - (time.monotonic() - begun))


async def test_a_camera_with_a_rule_is_open_without_a_viewer_and_closes_with_its_rule(rig: Rig) -> None:
    await rig.relay()
    camera = await rig.camera()
    rule = {"camera": camera, "kind": "crowd", "name": "人群", "params": {"persons": 3}}
    made = await rig.hub.call("commander", "POST", "/api/v1/rules", 201, json=rule)
    assert (await rig.state(camera, "live"))["watched"]
    await rig.hub.call("commander", "PATCH", f"/api/v1/rules/{made['id']}", 200, json={"enabled": False})
    await rig.state(camera, "idle")


async def test_a_relay_that_comes_back_is_told_everything_again(rig: Rig) -> None:
    first = await rig.relay()
    camera = await rig.camera()
    rule = {"camera": camera, "kind": "crowd", "name": "人群"}
    await rig.hub.call("commander", "POST", "/api/v1/rules", 201, json=rule)
    await rig.state(camera, "live")
    await first.crash()
    second = await rig.relay()
    await until(lambda: _carries(rig, second, camera), seconds=PATIENCE)


async def _carries(rig: Rig, relay: RunningRelay, stream: str) -> bool:
    return stream in await rig.streams(relay)


async def test_a_viewer_gets_another_relay_when_the_leased_one_does_not_answer(rig: Rig) -> None:
    dead = await rig.relay()
    camera = await rig.camera()
    placements = rig.hub.apis[0].live.placements
    assert (await placements.open_camera(camera)).id == dead.node.id
    await dead.crash()
    await dead.redis.set(f"node:{dead.node.id}", dead.node.model_dump_json(), px=60_000)  # as after a kill
    alive = await rig.relay()
    async with client() as pc, asyncio.timeout(PATIENCE):
        pc.addTransceiver("video", direction="recvonly")
        await rig.post("commander", f"/whep/cameras/{camera}", pc)
        assert await leases.holder_of(rig.hub.redis.client(), f"stream:{camera}") == alive.node.id


async def test_a_stream_lives_on_one_relay_for_all_processes(rig: Rig) -> None:
    one, two = await rig.relay(), await rig.relay()
    camera = await rig.camera()
    live = rig.hub.apis[0].live
    places = {(await live.placements.open_camera(camera)).id for _ in range(5)}
    assert len(places) == 1
    carried = [camera in await rig.streams(relay) for relay in (one, two)]
    assert sorted(carried) == [False, True]


async def test_a_removed_camera_is_forgotten_by_its_relay(rig: Rig) -> None:
    relay = await rig.relay()
    camera = await rig.camera()
    await rig.hub.apis[0].live.placements.open_camera(camera)
    assert await _carries(rig, relay, camera)
    await rig.hub.call("sysadmin", "DELETE", f"/api/v1/cameras/{camera}", 204)

    async def forgotten() -> bool:
        return not await _carries(rig, relay, camera)

    await until(forgotten)


async def test_two_units_meet_by_whip_and_whep_with_a_camera_on_the_stage(rig: Rig) -> None:
    relay = await rig.relay()
    camera = await rig.camera(unit="town-a")
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(2 * PATIENCE):
        host = await stack.enter_async_context(await rig.hub.socket("commander"))
        water = await stack.enter_async_context(await rig.hub.socket("water"))
        conference = await rig.hub.open_conference("dept-water", camera=camera)
        id = conference["id"]
        await rig.hub.call("water", "POST", f"/whip/conferences/{id}", 409, content="v=0", headers=SDP)
        await water.expect(wire.Ring)
        await water.send(wire.CallAnswer(conference=id, accept=True))
        await water.expect(wire.ConferenceState)
        source, viewer, staged = [await stack.enter_async_context(client()) for _ in range(3)]
        source.addTrack(AudioStreamTrack())
        source.addTrack(VideoStreamTrack())
        published = await rig.post("water", f"/whip/conferences/{id}", source)
        joined = await host.expect(
            wire.ConferenceState,
            lambda m: any(x["state"] == "joined" and x["publishing"] for x in m.conference["members"]),
        )
        member = next(x["id"] for x in joined.conference["members"] if x["unit"] == "dept-water")
        await rig.hub.logged("conference.joined")

        video = first_track(viewer, "video")
        for kind in ("audio", "video"):
            viewer.addTransceiver(kind, direction="recvonly")
        await rig.post("commander", f"/whep/conferences/{id}/members/{member}", viewer)
        await (await video).recv()

        picture = first_track(staged, "video")
        staged.addTransceiver("video", direction="recvonly")
        await rig.hub.call("water", "POST", f"/whep/cameras/{camera}", 404, content="v=0", headers=SDP)
        await rig.post("water", f"/whep/conferences/{id}/stage", staged)
        await (await picture).recv()
        assert (await rig.streams(relay))[camera].viewers == 1

        await rig.hub.call("water", "DELETE", published.headers["location"], 204)
        await host.expect(
            wire.ConferenceState,
            lambda m: all(not x["publishing"] and x["state"] != "left" for x in m.conference["members"]),
        )
        await host.send(wire.ConferenceEnd(conference=id))
        await host.expect(wire.ConferenceState, lambda m: m.conference["ended_at"] is not None)
        await until(lambda: _viewers(rig, relay, camera, 0), seconds=2.0)
        assert member not in await rig.streams(relay)
        refused = await rig.hub.call("water", "POST", f"/whip/conferences/{id}", 409, content="v=0", headers=SDP)
        assert refused["error"]["id"] == "conference.ended"
