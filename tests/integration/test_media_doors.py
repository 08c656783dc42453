"""WHEP and WHIP at the hub's own address: another path in the middle of a picture, and the width of a tile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from hub.store import streams
from signaling import wire
from tests.bench.light_client import LightViewer
from tests.integration.live_rig import until
from tests.integration.test_conference_media import PATIENCE, SDP, Rig, media_rig
from tests.integration.test_whep import client, first_track

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with media_rig() as rig:
        await rig.relay()
        yield rig


class Roaming(LightViewer):
    """A viewer by the hub's address, who may go on from another address of his own."""

    place = ""
    tag = ""

    async def watch(self, rig: Rig, path: str) -> "Roaming":
        async def post(sdp: str) -> str:
            answer: httpx.Response = await rig.hub.call("commander", "POST", path, 201, content=sdp, headers=SDP)
            self.place, self.tag = answer.headers["location"], answer.headers["etag"]
            return answer.text

        await self.join(post)
        return self

    async def flows(self) -> None:
        before = self.packets
        await until(lambda: self.packets >= before + 10, seconds=PATIENCE)

    async def move(self, rig: Rig) -> None:
        """Begin ICE anew (RFC 9725 §4.3.2), and go on from another port."""
        self._ufrag = f"{self._ufrag}x"
        body = f"a=ice-ufrag:{self._ufrag}\r\na=ice-pwd:{self._pwd}\r\n"
        anew = await rig.hub.call(
            "commander", "PATCH", self.place, 200, content=body, headers=FRAGMENT | {"If-Match": "*"}
        )
        self.tag = anew.headers["etag"]
        self._know(anew.text)
        self._answered.clear()
        self._tasks.pop(0).cancel()  # checks with the credentials of before
        asyncio.get_running_loop().remove_reader(self._sock)
        await self._open()
        self._tasks.insert(0, asyncio.create_task(self._checks()))
        await self._answered.wait()


@contextlib.asynccontextmanager
async def roaming(rig: Rig, path: str) -> AsyncIterator[Roaming]:
    viewer = Roaming()
    try:
        async with asyncio.timeout(PATIENCE):
            yield await viewer.watch(rig, path)
    finally:
        await viewer.close()


async def test_a_viewer_who_changes_his_network_goes_on_with_the_same_session(rig: Rig) -> None:
    camera = await rig.camera()
    async with roaming(rig, f"/whep/cameras/{camera}") as viewer:
        await viewer.flows()
        trickled = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n"
        await rig.hub.call(
            "commander", "PATCH", viewer.place, 204, content=trickled, headers=FRAGMENT | {"If-Match": viewer.tag}
        )
        before = viewer.tag
        for _ in range(2):
            await viewer.move(rig)
            await viewer.flows()
        late = await rig.hub.call(
            "commander", "PATCH", viewer.place, 412, content=trickled, headers=FRAGMENT | {"If-Match": before}
        )
        assert late["error"]["id"] == "media.outdated"
        (relay,) = rig.relays
        assert (await rig.streams(relay))[camera].viewers == 1
        await rig.hub.call("commander", "DELETE", viewer.place, 204)


async def test_a_publisher_trickles_and_begins_anew_at_the_hubs_address_and_is_still_seen(rig: Rig) -> None:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(2 * PATIENCE):
        host = await stack.enter_async_context(await rig.hub.socket("commander"))
        water = await stack.enter_async_context(await rig.hub.socket("water"))
        id = (await rig.hub.open_conference("dept-water"))["id"]
        await water.expect(wire.Ring)
        await water.send(wire.CallAnswer(conference=id, accept=True))
        await water.expect(wire.ConferenceState)
        source, viewer = [await stack.enter_async_context(client()) for _ in range(2)]
        source.addTrack(AudioStreamTrack())
        source.addTrack(VideoStreamTrack())
        published = await rig.post("water", f"/whip/conferences/{id}", source)
        place, tag = published.headers["location"], published.headers["etag"]
        joined = await host.expect(
            wire.ConferenceState,
            lambda m: any(x["state"] == "joined" and x["publishing"] for x in m.conference["members"]),
        )
        member = next(x["id"] for x in joined.conference["members"] if x["unit"] == "dept-water")

        async def patch(who: str, status: int, body: str, match: str) -> Any:
            return await rig.hub.call(who, "PATCH", place, status, content=body, headers=FRAGMENT | {"If-Match": match})

        fresh = "a=ice-ufrag:fresh\r\na=ice-pwd:0123456789abcdef01234567\r\n"
        assert place.startswith("/whip/sessions/")
        await patch("water", 204, "a=end-of-candidates\r\n", tag)
        assert (await patch("commander", 404, fresh, "*"))["error"]["id"] == "media.session_unknown"
        anew = await patch("water", 200, fresh, "*")
        assert anew.headers["content-type"].startswith("application/trickle-ice-sdpfrag")
        assert anew.headers["etag"].strip('"') in anew.text
        assert (await patch("water", 412, fresh.replace("fresh", "other"), tag))["error"]["id"] == "media.outdated"
        picture = first_track(viewer, "video")
        viewer.addTransceiver("video", direction="recvonly")
        await rig.post("commander", f"/whep/conferences/{id}/members/{member}", viewer)
        for _ in range(3):
            await (await picture).recv()  # by the path of before, as long as the new one is not checked


async def test_a_camera_that_is_opened_while_the_hub_looks_through_its_cameras_stays_open(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = await rig.camera()
    placements = rig.hub.apis[0].live.placements
    looked, opened = streams.sources, asyncio.Event()

    async def looks(db: Any, asked: Any) -> Any:
        found = await looked(db, asked)
        if not opened.is_set():
            opened.set()
            await placements.open_camera(camera)  # a viewer comes between the question and what is made of it
        return found

    monkeypatch.setattr(streams, "sources", looks)
    dropped: list[str] = []

    async def drops(id: str) -> None:
        dropped.append(id)

    monkeypatch.setattr(placements, "drop", drops)
    await opened.wait()
    placements._wake.set()
    async with roaming(rig, f"/whep/cameras/{camera}") as viewer:
        await viewer.flows()
    assert dropped == []


async def test_the_width_of_a_tile_opens_the_sub_stream_and_a_wide_one_does_not(rig: Rig) -> None:
    url = f"rtsp://user:s3cret@127.0.0.1:{rig.cameras.port}"
    body = {"name": "gate", "url": f"{url}/gate", "sub_url": f"{url}/bridge", "unit": "city"}
    camera = (await rig.hub.call("sysadmin", "POST", "/api/v1/cameras", 201, json=body))["id"]
    main, sub = rig.cameras.cameras["gate"], rig.cameras.cameras["bridge"]
    async with roaming(rig, f"/whep/cameras/{camera}?width=1920") as wide:
        await wide.flows()
        assert (main.plays, sub.plays) == (1, 0)
        async with roaming(rig, f"/whep/cameras/{camera}?width=200") as small:
            await small.flows()
            await until(lambda: sub.playing == 1, seconds=PATIENCE)
            assert main.plays == 1
    for width in ("0", "16385", "-1", "wide", ""):
        refused = await rig.hub.call(
            "commander", "POST", f"/whep/cameras/{camera}?width={width}", 422, content="v=0", headers=SDP
        )
        assert refused["error"]["id"] == "request.invalid", width
