"""Every message of ``/ws`` as every role about what is somebody else's: refused by name, and nothing has changed."""

from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest

from hub.domain.roles import RIGHTS, Right, Role
from hub.services.access import SYSTEM
from hub.services.cameras import add_camera
from signaling import wire
from signaling.transport.ws import HubSocket
from tests.integration.api_rig import PEOPLE
from tests.integration.live_rig import LiveRig, live_hub

STRANGERS = [person for person in PEOPLE if person[0] not in ("commander", "water")]
CLIENT = set(get_args(get_args(wire.ClientMessage)[0]))
REFUSALS = {
    "right.missing", "conference.unknown", "conference.not_in", "conference.not_ringing", "conference.not_host",
    "camera.unknown",
}  # fmt: skip


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


async def refused(ws: HubSocket, message: wire.ClientMessage) -> str:
    """The error that a message is answered with."""
    await ws.send(message)
    kind = message.model_dump()["type"]
    return (await ws.expect(wire.Failed, lambda failed: failed.re == kind)).error


async def seen(ws: HubSocket, message: wire.ClientMessage) -> list[wire.CameraStateChanged]:
    """What camera states come of a message, up to the answer to a ping behind it."""
    await ws.send(message)
    await ws.send(wire.Ping(n=7))
    found: list[wire.CameraStateChanged] = []
    while True:
        got = await ws.receive()
        if isinstance(got, wire.CameraStateChanged):
            found.append(got)
        if isinstance(got, wire.Pong):
            return found


def steering(conference: dict[str, Any], camera: str) -> list[wire.ClientMessage]:
    """Everything that changes a conference."""
    id = conference["id"]
    return [
        wire.CallRinging(conference=id),
        wire.CallAnswer(conference=id, accept=True),
        wire.CallAnswer(conference=id, accept=False),
        wire.ConferenceLeave(conference=id),
        wire.ConferenceEnd(conference=id),
        wire.ConferenceStage(conference=id, camera=camera),
        wire.ConferenceStage(conference=id, camera=None),
        wire.ConferenceInvite(conference=id, units=("dept-fire",)),
        wire.ConferenceDevices(conference=id, audio=False, video=False),
    ]


async def test_every_message_of_every_role_about_what_is_others(rig: LiveRig) -> None:
    camera = (await add_camera(rig.ctx, SYSTEM, name="水位", url="rtsp://10.0.0.9/1", unit="dept-water")).id
    conference = await rig.open_conference("dept-water")
    incident = await rig.call("commander", "POST", "/api/v1/incidents", 201, json={"title": "积水"})
    body = {"incident": incident["id"], "unit": "dept-water", "text": "排水"}
    order = await rig.call("commander", "POST", "/api/v1/orders", 201, json=body)
    await rig.logged("order.issued")
    before = await rig.log()
    member = next(each["id"] for each in conference["members"] if each["unit"] == "dept-water")
    tried: set[type[wire.Wire]] = {wire.Ping}
    for name, role, unit in STRANGERS:
        reaches = unit == "city" and role not in (Role.DEPARTMENT, Role.FIELD)
        async with await rig.socket(name) as ws:
            for message in steering(conference, camera):
                tried.add(type(message))
                error = await refused(ws, message)
                assert error in REFUSALS, (name, message)
            assert await refused(ws, wire.OrderReceived(order=order["id"])) in ("right.missing", "order.unknown"), name
            watch = wire.WatchCameras(cameras=(camera,))
            if Right.CAMERA_READ in RIGHTS[role]:
                assert bool(await seen(ws, watch)) == reaches, name
            else:
                assert await refused(ws, watch) == "right.missing"
            await ws.send(wire.MediaAnswer(session="ses-of-another", revision=0, sdp="v=0\r\n"))
            await ws.send(wire.MediaRestart())
            may_see = reaches and Right.CAMERA_WATCH in RIGHTS[role]
            await ws.send(wire.MediaSubscribe(session="ses-of-another", tracks=(
                wire.WantedTrack(key="member", conference=conference["id"], member=member),
                wire.WantedTrack(key="stage", conference=conference["id"]),
                *(() if may_see else (wire.WantedTrack(key="camera", camera=camera),)),
            )))  # fmt: skip
            for key in ("member", "stage") if may_see else ("member", "stage", "camera"):
                track = await ws.expect(wire.MediaTrack, lambda track, key=key: track.key == key)  # type: ignore[misc] # bound
                assert (track.state, track.error in REFUSALS) == ("refused", True), (name, track)
    others = {wire.OrderReceived, wire.WatchCameras, wire.MediaAnswer, wire.MediaRestart, wire.MediaSubscribe}
    assert tried | others == CLIENT
    assert await rig.call("commander", "GET", f"/api/v1/conferences/{conference['id']}", 200) == conference
    assert (await rig.call("commander", "GET", f"/api/v1/orders/{order['id']}", 200))["state"] == "issued"
    after = [kind for kind, _ in (await rig.log())[len(before) :]]
    assert set(after) <= {"account.signed_in"}, after
