"""Two hubs, one above the other (级联): the upper sees, turns, plays and speaks to what is shared, and is told."""

import asyncio
import contextlib
import io
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
from aiortc import RTCPeerConnection

from hub.demo.gb_device.device import GbDevice
from hub.demo.rtsp_camera import CameraFile
from hub.demo.rtsp_server import RtspServer
from hub.media.rtp.packet import parse_rtp
from signaling.gb28181 import invite
from signaling.sip.message import Response, make_request, parse
from tests.integration.camera_kit import h264_film
from tests.integration.gb_chain import SDP, SECRET, Chain, gb_chain, impatient
from tests.integration.live_rig import until
from tests.integration.test_gb_chain import Microphone, pitch
from tests.integration.test_whep import accept, offer_of

ABOVE, ABOVE_DOMAIN = "34000000002000000001", "3400000000"
PATIENCE = 60.0
SOON_S = 8.0  # two seconds, and what a busy machine adds: without a word from us it would go on for ever


@dataclass
class Cascade:
    """The upper hub sees the lower one as a device; ``mine`` maps the lower's cameras to the upper's."""

    upper: Chain
    lower: Chain
    device: GbDevice
    rtsp: str
    mine: dict[str, str]

    @property
    def local_id(self) -> str:
        return self.lower.settings.gb_id

    async def share(self, *cameras: str) -> dict[str, str]:
        """Camera -> identifier up there."""
        body = {"items": [{"camera": camera} for camera in cameras]}
        shared = await self.lower.call("PUT", f"/platforms/{ABOVE}/cameras", json=body)
        return {item["camera"]: item["gb_id"] for item in shared["items"]}

    async def synced(self, shared: dict[str, str]) -> dict[str, str]:
        """Ask for the catalogue above, until every shared camera is one there; lower's camera -> upper's."""

        async def there() -> bool:
            return set(shared.values()) <= set(await self.upper.cameras(self.local_id))

        await self.upper.call("POST", f"/devices/{self.local_id}/catalog", 202)
        await until(there, seconds=PATIENCE)
        found = await self.upper.cameras(self.local_id)
        return {camera: found[id] for camera, id in shared.items()}


async def join(upper: Chain, lower: Chain, **given: Any) -> None:
    """The lower registers with the upper."""
    await upper.call("POST", "/devices", 201, json={
        "id": lower.settings.gb_id, "name": "下级平台", "unit": "city", "password": SECRET,
        "subscriptions": ["catalog", "alarm", "position"],
    })  # fmt: skip
    await lower.call("POST", "/platforms", 201, json={
        "id": ABOVE, "name": "上级平台", "domain": ABOVE_DOMAIN, "host": "127.0.0.1", "port": upper.sip_port,
        "local_id": lower.settings.gb_id, "password": SECRET, "heartbeat_s": 5, **given,
    })  # fmt: skip

    async def online() -> bool:
        (platform,) = (await lower.call("GET", "/platforms"))["items"]
        return bool(platform["state"] == "online")

    await until(online, seconds=PATIENCE)


@pytest.fixture(params=["udp", "tcp"])
async def cascade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Cascade]:
    impatient(monkeypatch, first_s=3.0, read_s=4.0, keyframe_s=8.0)
    async with contextlib.AsyncExitStack() as stack:
        lower = await stack.enter_async_context(gb_chain(tmp_path / "lower"))
        upper = await stack.enter_async_context(gb_chain(tmp_path / "upper", gb_id=ABOVE))
        cameras = RtspServer([CameraFile("gate", h264_film(tmp_path))])
        await stack.enter_async_context(cameras.listening("127.0.0.1", 0))
        device = await lower.device(listed={"subscriptions": ["alarm", "position"]})
        body = {"name": "gate", "url": f"rtsp://127.0.0.1:{cameras.port}/gate", "unit": "city"}
        rtsp = (await lower.call("POST", "/cameras", 201, json=body))["id"]
        await join(upper, lower, transport=request.param)
        cascade = Cascade(upper, lower, device, rtsp, {})
        cascade.mine = await cascade.synced(await cascade.share(await lower.camera(device), rtsp))
        yield cascade


@contextlib.asynccontextmanager
async def talking(hub: Chain, camera: str) -> AsyncIterator[str]:
    """The commander there speaks to the camera; the session."""
    pc = RTCPeerConnection()
    pc.addTransceiver(Microphone(), direction="sendonly")
    try:
        answer = await hub.hub.call(
            "commander", "POST", f"/whip/cameras/{camera}/talk", 201, content=await offer_of(pc), headers=SDP
        )
        await accept(pc, answer.text)
        yield answer.headers["location"].rpartition("/")[2]
    finally:
        await pc.close()


async def test_the_upper_hub_sees_turns_and_is_told(cascade: Cascade) -> None:
    upper, lower, device = cascade.upper, cascade.lower, cascade.device
    camera = cascade.mine[await lower.camera(device)]

    async def order(**command: object) -> None:
        await upper.call("POST", f"/cameras/{camera}/commands", 200, json=command, who="commander")

    async with upper.watching(f"cameras/{cascade.mine[cascade.rtsp]}") as eyes:  # what is no GB camera below
        await eyes.more(5)
    async with upper.watching(f"cameras/{camera}") as eyes:
        await eyes.until(lambda eyes: 8 < eyes.level < 18)
        await order(type="move", zoom=1.0)
        await eyes.until(lambda eyes: eyes.level > 40)
        await order(type="move")
    async with asyncio.timeout(PATIENCE):
        await device.until(lambda device: not device.streams)

    await until(lambda: device.reports.active("Alarm"), seconds=PATIENCE)
    await until(lambda: len(lower.gateway.cascade.answers._notifiers) >= 3, seconds=PATIENCE)
    await device.alarm(device.options.channel_id(0), method=5, type=2)
    await upper.hub.logged("alert.raised")
    (alert,) = (await upper.call("GET", "/alerts", who="commander"))["items"]
    assert alert["camera"] == camera

    async def moved() -> bool:
        return bool((await upper.call("GET", f"/devices/{cascade.local_id}/positions"))["items"])

    await until(moved, seconds=PATIENCE)
    await cascade.share(cascade.rtsp)  # no more: told by a notice, not by another catalogue

    async def gone() -> bool:
        return len((await upper.call("GET", f"/devices/{cascade.local_id}/channels"))["items"]) == 1

    await until(gone, seconds=PATIENCE)
    async with upper.watching(f"cameras/{camera}"):
        state = await upper.until_state(camera, lambda state: state["state"] == "failed")
        assert state["reason"] == "gb28181.channel_unknown"


async def test_what_is_no_longer_shared_ends_above_at_once_whatever_it_was_used_for(cascade: Cascade) -> None:
    """A right that is withdrawn ends every kind of stream within two seconds: pictures, a recording, and a voice."""
    upper, lower, device = cascade.upper, cascade.lower, cascade.device
    camera, now = cascade.mine[await lower.camera(device)], int(time.time())
    body = {"start_s": now - 3_600, "end_s": now - 3_000}
    playback = (await upper.call("POST", f"/cameras/{camera}/playbacks", 201, who="commander", json=body))["id"]
    async with contextlib.AsyncExitStack() as stack:
        live = await stack.enter_async_context(upper.watching(f"cameras/{camera}"))
        recorded = await stack.enter_async_context(upper.watching(f"playbacks/{playback}"))
        other = await stack.enter_async_context(upper.watching(f"cameras/{cascade.mine[cascade.rtsp]}"))
        for eyes in (live, recorded, other):
            await eyes.more(5)
        async with talking(upper, camera):
            async with asyncio.timeout(PATIENCE):
                await device.until(lambda device: bool(device.talks) and len(device.streams) == 2)
            await cascade.share(cascade.rtsp)
            async with asyncio.timeout(SOON_S):
                await device.until(lambda device: not device.talks and not device.streams)
        await other.more(5)
        await lower.call("PATCH", f"/platforms/{ABOVE}", json={"enabled": False})
        calls = lower.gateway.cascade.calls
        await until(lambda: not calls.by_upper(), seconds=SOON_S)


async def test_the_upper_hub_plays_recordings_and_speaks(cascade: Cascade) -> None:
    upper, lower, device = cascade.upper, cascade.lower, cascade.device
    camera, now = cascade.mine[await lower.camera(device)], int(time.time())
    path = f"/cameras/{camera}/records?start={now - 7_200}&end={now - 60}"
    assert (await upper.call("GET", path, who="commander"))["items"]
    body = {"start_s": now - 3_600, "end_s": now - 3_000}
    playback = (await upper.call("POST", f"/cameras/{camera}/playbacks", 201, who="commander", json=body))["id"]
    async with upper.watching(f"playbacks/{playback}") as eyes:
        await eyes.more(5)
        (stream,) = device.streams.values()
        for control in ({"action": "pause"}, {"action": "play"}, {"action": "seek", "seek_s": 596}):
            await upper.call("POST", f"/playbacks/{playback}/control", 204, who="commander", json=control)
        assert stream.player is not None
        assert stream.player.position_s >= 596
        await until(lambda: device.counters["files_sent"] == 1, seconds=PATIENCE)
    await upper.call("DELETE", f"/playbacks/{playback}", 204, who="commander")
    async with asyncio.timeout(PATIENCE):
        await device.until(lambda device: not device.streams)

    body = {"start_s": now - 3_600, "end_s": now - 3_588, "download": True}
    kept = (await upper.call("POST", f"/cameras/{camera}/playbacks", 201, who="commander", json=body))["id"]
    answer = await upper.hub.call("commander", "GET", f"/api/v1/playbacks/{kept}.ts", 200, timeout=PATIENCE)
    with av.open(io.BytesIO(answer.content), mode="r") as container:  # it ends by itself: 121 went up
        assert sum(1 for _ in container.decode(video=0)) >= 250  # of 300
    assert device.counters["files_sent"] == 2

    async with talking(upper, camera) as session:
        async with asyncio.timeout(PATIENCE):
            await device.until(lambda device: bool(device.talks))
            (talk,) = device.talks.values()
            await talk.heard.until(100)
        assert abs(pitch(bytes(talk.heard.sound[-8_000:])) - 660) < 8
        await upper.hub.call("commander", "DELETE", f"/whip/sessions/{session}", 204)
        async with asyncio.timeout(PATIENCE):
            await device.until(lambda device: not device.talks)


async def test_a_picture_goes_up_only_once_the_answer_is_acknowledged(cascade: Cascade) -> None:
    """A datagram can bear any address: who merely writes the platform's own sees none of our answers."""
    lower, loop = cascade.lower, asyncio.get_running_loop()
    shared = (await lower.call("GET", f"/platforms/{ABOVE}/cameras"))["items"][0]["gb_id"]
    with udp_socket() as blind, udp_socket() as eyes:
        offer = invite.Media(owner=ABOVE, host="127.0.0.1", port=eyes.getsockname()[1], ssrc=9)
        request = make_request(
            "INVITE", f"sip:{shared}@3402000000", from_=f"<sip:{ABOVE}@{ABOVE_DOMAIN}>;tag=blind",
            to=f"sip:{shared}@3402000000", body=invite.write(offer), content_type=invite.CONTENT_TYPE,
        )  # fmt: skip
        via = f"SIP/2.0/UDP 127.0.0.1:{blind.getsockname()[1]};branch=z9hG4bK-blind"
        call, contact = ("Call-ID", "blind"), ("Contact", f"<sip:{ABOVE}@127.0.0.1:{blind.getsockname()[1]}>")
        for name, value in (("Via", via), call, ("CSeq", "1 INVITE"), ("Max-Forwards", "70"), contact):
            request.headers.add(name, value)
        await loop.sock_sendto(blind, request.encode(), ("127.0.0.1", lower.sip_port))
        answer: Response | None = None
        async with asyncio.timeout(PATIENCE):
            while answer is None or answer.status < 200:
                found = parse(await loop.sock_recv(blind, 8_192))
                answer = found if isinstance(found, Response) else answer
        assert answer.status == 200
        await asyncio.sleep(0.8)  # nothing may come
        with pytest.raises(BlockingIOError):
            eyes.recv(2_048)
        ack = make_request("ACK", f"sip:{shared}@3402000000", from_=request.headers.get("From") or "", to="x")
        ack.headers.set("To", answer.headers.get("To") or "")
        for name, value in (("Via", via + "-ack"), call, ("CSeq", "1 ACK"), ("Max-Forwards", "70")):
            ack.headers.add(name, value)
        await loop.sock_sendto(blind, ack.encode(), ("127.0.0.1", lower.sip_port))
        async with asyncio.timeout(PATIENCE):
            assert parse_rtp(await loop.sock_recv(eyes, 2_048)).ssrc == 9


@contextlib.contextmanager
def udp_socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


async def test_who_only_names_himself_the_upper_platform_is_refused(tmp_path: Path) -> None:
    async with gb_chain(tmp_path) as lower:
        body = {
            "id": ABOVE, "name": "上级平台", "domain": ABOVE_DOMAIN, "host": "127.0.0.2", "port": 5060,
            "local_id": lower.settings.gb_id, "password": SECRET,
        }  # fmt: skip
        await lower.call("POST", "/platforms", 201, json=body)
        from signaling.gb28181 import manscdp
        from signaling.gb28181.messages import CatalogQuery
        from signaling.sip.message import make_request
        from signaling.transport.sip import Flow, NodeConfig, SipNode

        await until(lambda: bool(lower.gateway.cascade._uppers[ABOVE].hosts))
        async with SipNode(lambda tx: tx.respond(200), NodeConfig(host="127.0.0.1")) as stranger:
            request = make_request(
                "MESSAGE", f"sip:{lower.settings.gb_id}@3402000000", from_=f"sip:{ABOVE}@{ABOVE_DOMAIN}",
                to=f"sip:{lower.settings.gb_id}@3402000000", body=manscdp.write(CatalogQuery(sn=1, device=ABOVE)),
                content_type=manscdp.CONTENT_TYPE,
            )  # fmt: skip
            answer = await stranger.request(request, Flow("udp", "127.0.0.1", lower.sip_port))
            assert answer.status == 403
