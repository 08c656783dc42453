"""GB/T 28181 devices as an administrator and a commander meet them; the gateway's HTTP is real, devices are told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.bus.command_wire import Move
from hub.bus.gateway_wire import (
    AlarmReport,
    CascadeInvite,
    CatalogItem,
    CatalogReport,
    DeviceInfoReport,
    DeviceReport,
    DeviceState,
    PositionReport,
)
from tests.integration.gateway_rig import ScriptedGateway, scripted_gateway
from tests.integration.live_rig import TOKEN, LiveRig, live_hub, until

NVR = "34020000001180000001"
CAM = "34020000001310000001"
CAM2 = "34020000001310000002"
SECRET = "s3cret-of-the-device"


@pytest.fixture
async def rig() -> AsyncIterator[LiveRig]:
    async with live_hub() as rig:
        yield rig


@pytest.fixture
async def gateway(rig: LiveRig) -> AsyncIterator[ScriptedGateway]:
    async with scripted_gateway(rig.redis, TOKEN) as gateway:
        await until(lambda: gateway.told > 0)
        yield gateway


async def call(rig: LiveRig, who: str, method: str, path: str, status: int, **given: Any) -> Any:
    return await rig.call(who, method, f"/api/v1{path}", status, **given)


async def add(rig: LiveRig, **given: Any) -> Any:
    body = {"id": NVR, "name": "东门录像机", "unit": "town-a", "password": SECRET} | given
    return await call(rig, "sysadmin", "POST", "/devices", 201, json=body)


def items(*ids: str, **given: Any) -> list[CatalogItem]:
    return [CatalogItem(id=id, name=f"通道{id[-1]}", status="on", ptz=1, **given) for id in ids]


def page(*ids: str, sn: int = 1, done: bool = True, missing: int = 0, **given: Any) -> CatalogReport:
    return CatalogReport(
        device=NVR, sn=sn, items=items(*ids), received=len(ids), expected=len(ids) + missing, done=done,
        missing=missing, at=1, **given,
    )  # fmt: skip


async def cameras(rig: LiveRig, who: str = "sysadmin") -> dict[str, Any]:
    found = (await call(rig, who, "GET", "/cameras?limit=200", 200))["items"]
    return {camera["name"]: camera for camera in found}


async def channels(rig: LiveRig) -> dict[str, str]:
    found = (await call(rig, "sysadmin", "GET", f"/devices/{NVR}/channels", 200))["items"]
    return {channel["id"]: channel["status"] for channel in found}


async def with_camera(rig: LiveRig, gateway: ScriptedGateway) -> str:
    await add(rig)
    await gateway.report(page(CAM))
    await until(lambda: has_camera(rig, "通道1"))
    return str((await cameras(rig))["通道1"]["id"])


async def has_camera(rig: LiveRig, name: str) -> bool:
    return name in await cameras(rig)


async def test_a_listed_device_reaches_the_gateway_with_its_password_which_no_answer_holds(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    told = gateway.told
    made = await add(rig, media="tcp_passive", subscriptions=["alarm"])
    assert gateway.told > told  # at once, not by the loop
    assert gateway.config is not None
    (device,) = gateway.config.devices
    assert (device.id, device.password, device.media, device.subscriptions) == (NVR, SECRET, "tcp_passive", ("alarm",))
    assert made["has_password"] is True
    assert SECRET not in str(made)
    assert SECRET not in str(await call(rig, "sysadmin", "GET", f"/devices/{NVR}", 200))
    await call(rig, "sysadmin", "PATCH", f"/devices/{NVR}", 200, json={"password": "", "name": "新名"})
    assert gateway.config.devices[0].password == ""
    await rig.logged("device.changed")


async def test_a_camera_of_a_device_is_as_its_device_says(rig: LiveRig, gateway: ScriptedGateway) -> None:
    camera = await with_camera(rig, gateway)
    answer = await call(rig, "sysadmin", "PATCH", f"/cameras/{camera}", 409, json={"name": "x"})
    assert answer["error"]["id"] == "camera.of_device"


async def test_how_a_sub_stream_is_asked_for_is_kept_with_the_device(rig: LiveRig, gateway: ScriptedGateway) -> None:
    assert (await add(rig))["sub_stream"] == "auto"
    changed = await call(rig, "sysadmin", "PATCH", f"/devices/{NVR}", 200, json={"sub_stream": "streamprofile"})
    assert changed["sub_stream"] == "streamprofile"
    await call(rig, "sysadmin", "PATCH", f"/devices/{NVR}", 422, json={"sub_stream": "third"})


async def test_a_gateway_that_starts_anew_is_told_again(rig: LiveRig, gateway: ScriptedGateway) -> None:
    await add(rig)
    gateway.config = None
    await gateway.announce()  # it knows nothing
    await until(lambda: gateway.config is not None and len(gateway.config.devices) == 1)


async def test_a_device_cannot_be_listed_twice_nor_for_a_unit_that_is_none(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    await add(rig)
    body = {"id": NVR, "name": "again", "unit": "town-a"}
    assert (await call(rig, "sysadmin", "POST", "/devices", 409, json=body))["error"]["id"] == "device.exists"
    body = {"id": CAM, "name": "x", "unit": "nowhere"}
    assert (await call(rig, "sysadmin", "POST", "/devices", 422, json=body))["error"]["id"] == "device.unit"
    body = {"id": "12ab", "name": "x", "unit": "town-a"}
    assert (await call(rig, "sysadmin", "POST", "/devices", 422, json=body))["error"]["id"] == "request.invalid"


async def test_one_that_knows_the_domains_password_is_listed_when_it_registers_and_asked_for_its_catalogue(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    state = DeviceState(device=NVR, state="online", address="10.0.0.9:5060", transport="udp", registered_at=5)
    gateway.states = [state]
    await gateway.report(DeviceReport(state=state, at=10))
    await until(lambda: gateway.catalogs == [NVR])
    found = await call(rig, "sysadmin", "GET", f"/devices/{NVR}", 200)
    assert (found["name"], found["state"], found["address"]) == (NVR, "online", "10.0.0.9:5060")
    await gateway.report(DeviceInfoReport(device=NVR, name="Dahua NVR", manufacturer="Dahua", model="X", at=11))

    async def named() -> bool:
        return str((await call(rig, "sysadmin", "GET", f"/devices/{NVR}", 200))["name"]) == "Dahua NVR"

    await until(named)
    await call(rig, "sysadmin", "PATCH", "/gb28181", 200, json={"accept_unknown": False, "password": "domain-secret"})
    assert gateway.config is not None
    assert gateway.config.domain.password == "domain-secret"
    other = DeviceState(device=CAM, state="online")
    await gateway.report(DeviceReport(state=other, at=12))
    await gateway.report(page(CAM, sn=2))  # behind it in the same queue
    await until(lambda: has_camera(rig, "通道1"))
    await call(rig, "sysadmin", "GET", f"/devices/{CAM}", 404)


async def test_channels_become_cameras_of_the_devices_unit_once_however_often_they_are_told(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    camera = await with_camera(rig, gateway)
    await gateway.report(page(CAM))  # at least once means twice
    await gateway.report(page(CAM, CAM2, CAM, sn=2))  # one comes double within
    await until(lambda: has_camera(rig, "通道2"))
    found = await cameras(rig)
    assert sorted(found) == ["通道1", "通道2"]
    assert (found["通道1"]["id"], found["通道1"]["unit"], found["通道1"]["ptz"]) == (camera, "town-a", 1)
    assert found["通道1"]["scheme"] == "gb28181"
    assert await cameras(rig, "water") == {}  # out of reach, as any camera


async def test_a_short_catalogue_takes_nothing_away_and_a_whole_one_keeps_the_camera(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    await add(rig)
    await gateway.report(page(CAM, CAM2))
    await until(lambda: has_camera(rig, "通道2"))
    await gateway.report(page(CAM, sn=2, missing=1))

    async def taken(sn_missing: int) -> bool:
        return int((await call(rig, "sysadmin", "GET", f"/devices/{NVR}", 200))["catalog_missing"]) == sn_missing

    await until(lambda: taken(1))
    assert await channels(rig) == {CAM: "on", CAM2: "on"}
    await gateway.report(page(CAM, sn=3))
    await until(lambda: taken(0))
    assert await channels(rig) == {CAM: "on"}
    assert "通道2" in await cameras(rig)  # rules and history stay


async def test_notices_change_one_channel_only(rig: LiveRig, gateway: ScriptedGateway) -> None:
    await add(rig)
    await gateway.report(page(CAM, CAM2))
    await until(lambda: has_camera(rig, "通道2"))
    await gateway.report(page(CAM, sn=9, event="OFF"))

    async def states() -> bool:
        return await channels(rig) == {CAM: "off", CAM2: "on"}

    await until(states)
    await gateway.report(page(CAM, sn=10, event="DEL"))

    async def one() -> bool:
        return await channels(rig) == {CAM2: "on"}

    await until(one)


async def test_a_camera_that_an_administrator_removed_is_not_brought_back_by_its_catalogue(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    camera = await with_camera(rig, gateway)
    rig.clock.pass_(10)
    await call(rig, "sysadmin", "DELETE", f"/cameras/{camera}", 204)
    await gateway.report(page(CAM, CAM2, sn=2))
    await until(lambda: has_camera(rig, "通道2"))
    assert sorted(await cameras(rig)) == ["通道2"]


async def test_an_alarm_of_a_device_becomes_an_alert_and_repeats_are_folded(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    camera = await with_camera(rig, gateway)
    alarm = AlarmReport(device=NVR, channel=CAM, priority=1, method=5, alarm_type=2, at=rig.clock())
    await gateway.report(alarm)
    await rig.logged("alert.raised")
    await gateway.report(alarm.model_copy(update={"at": rig.clock() + 500}))

    async def folded() -> bool:
        return int((await call(rig, "commander", "GET", "/alerts", 200))["items"][0]["repeats"]) == 1

    await until(folded)
    (alert,) = (await call(rig, "commander", "GET", "/alerts", 200))["items"]
    assert (alert["kind"], alert["camera"], alert["severity"]) == ("device_alarm", camera, "critical")
    assert (await cameras(rig))["通道1"]["watched"] is False  # no worker looks at it for that


async def test_where_a_device_is_can_be_read(rig: LiveRig, gateway: ScriptedGateway) -> None:
    await with_camera(rig, gateway)
    await gateway.report(PositionReport(device=NVR, channel=CAM, longitude=118.5, latitude=31.2, at=77))

    async def there() -> bool:
        return bool((await call(rig, "sysadmin", "GET", f"/devices/{NVR}/positions", 200))["items"])

    await until(there)
    (position,) = (await call(rig, "sysadmin", "GET", f"/devices/{NVR}/positions", 200))["items"]
    assert (position["longitude"], position["latitude"], position["at"]) == (118.5, 31.2, 77)


async def test_a_commander_turns_a_camera_and_the_log_says_so_once_a_minute(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    camera = await with_camera(rig, gateway)
    for _ in range(3):
        body = {"type": "move", "pan": 0.5, "tilt": -1}
        await call(rig, "commander", "POST", f"/cameras/{camera}/commands", 200, json=body)
    assert gateway.commands == [(NVR, Move(type="move", channel=CAM, pan=0.5, tilt=-1))] * 3
    await rig.logged("camera.controlled")
    assert [kind for kind, _ in await rig.log()].count("camera.controlled") == 1
    await call(rig, "commander", "POST", f"/cameras/{camera}/commands", 403, json={"type": "reboot"})
    await call(rig, "sysadmin", "POST", f"/cameras/{camera}/commands", 200, json={"type": "reboot"})
    body = {"type": "move", "pan": 7}
    await call(rig, "commander", "POST", f"/cameras/{camera}/commands", 422, json=body)
    await call(rig, "water", "POST", f"/cameras/{camera}/commands", 404, json={"type": "move"})


async def test_a_camera_of_another_kind_cannot_be_controlled_from_here(rig: LiveRig, gateway: ScriptedGateway) -> None:
    body = {"name": "rtsp", "url": "rtsp://127.0.0.1:9/x", "unit": "city"}
    camera = (await call(rig, "sysadmin", "POST", "/cameras", 201, json=body))["id"]
    refused = await call(rig, "commander", "POST", f"/cameras/{camera}/commands", 409, json={"type": "move"})
    assert refused["error"]["id"] == "camera.not_gb28181"


async def test_recordings_are_asked_for_by_a_span_that_makes_sense(rig: LiveRig, gateway: ScriptedGateway) -> None:
    camera = await with_camera(rig, gateway)
    found = await call(rig, "commander", "GET", f"/cameras/{camera}/records?start=100&end=200", 200)
    assert [(item["start_s"], item["end_s"]) for item in found["items"]] == [(100, 200)]
    for span in ("start=200&end=100", "start=0&end=99999999"):
        answer = await call(rig, "commander", "GET", f"/cameras/{camera}/records?{span}", 422)
        assert answer["error"]["id"] == "records.span"


async def test_a_removed_device_takes_its_cameras_out_of_service_and_may_come_back(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    await with_camera(rig, gateway)
    await call(rig, "sysadmin", "DELETE", f"/devices/{NVR}", 204)
    assert await cameras(rig) == {}
    assert gateway.config is not None
    assert gateway.config.devices == ()
    rig.clock.pass_(5)
    await add(rig)
    await gateway.report(page(CAM, sn=3))
    await until(lambda: has_camera(rig, "通道1"))


async def test_a_platform_above_us_sees_what_is_shared_and_nothing_else(rig: LiveRig, gateway: ScriptedGateway) -> None:
    camera = await with_camera(rig, gateway)
    above = "34000000002000000001"
    body = {
        "id": above, "name": "省平台", "domain": "3400000000", "host": "127.0.0.1", "local_id": "34020000002000000001",
        "password": SECRET,
    }  # fmt: skip
    made = await call(rig, "sysadmin", "POST", "/platforms", 201, json=body)
    assert (made["has_password"], SECRET in str(made)) == (True, False)
    share = {"items": [{"camera": camera}]}
    shared = await call(rig, "sysadmin", "PUT", f"/platforms/{above}/cameras", 200, json=share)
    assert [item["gb_id"] for item in shared["items"]] == ["34020000001310000001"]
    assert gateway.config is not None
    (upper,) = gateway.config.uppers
    assert [(c.camera, c.device, c.channel) for c in upper.channels] == [(camera, NVR, CAM)]
    stranger = CascadeInvite(node="gateway-test", call="call-1", upper=above, camera="cam-unknown", at=1)
    await gateway.report(stranger)
    await gateway.report(stranger.model_copy(update={"call": "call-2", "camera": camera}))
    await until(lambda: len(gateway.cascaded) == 2)
    assert [(call, media.error) for call, media in gateway.cascaded] == [
        ("call-1", "camera.unknown"),
        ("call-2", "relay.none"),  # shared, but no relay runs here
    ]
    await call(rig, "sysadmin", "DELETE", f"/cameras/{camera}", 204)
    await until(lambda: gateway.config is not None and gateway.config.uppers[0].channels == ())
    await call(rig, "sysadmin", "DELETE", f"/platforms/{above}", 204)
    assert gateway.config.uppers == ()


async def test_without_a_gateway_lists_answer_and_commands_say_what_is_missing(rig: LiveRig) -> None:
    await add(rig)
    assert (await call(rig, "sysadmin", "GET", f"/devices/{NVR}", 200))["state"] == "unknown"
    assert (await call(rig, "sysadmin", "GET", "/gb28181", 200))["running"] is False
    refused = await call(rig, "sysadmin", "POST", f"/devices/{NVR}/catalog", 503)
    assert refused["error"]["id"] == "gateway.none"


async def test_the_trace_and_the_states_come_from_the_gateway(rig: LiveRig, gateway: ScriptedGateway) -> None:
    await add(rig)
    gateway.states = [DeviceState(device=NVR, state="offline", reason="gb28181.heartbeat_lost", keepalive_at=9)]
    found = (await call(rig, "sysadmin", "GET", "/devices", 200))["items"][0]
    assert (found["state"], found["reason"], found["keepalive_at"]) == ("offline", "gb28181.heartbeat_lost", 9)
    trace = await call(rig, "sysadmin", "GET", f"/devices/{NVR}/trace", 200)
    assert [entry["summary"] for entry in trace["items"]] == ["REGISTER"]


async def test_a_playback_belongs_to_the_sign_in_that_opened_it(rig: LiveRig, gateway: ScriptedGateway) -> None:
    camera = await with_camera(rig, gateway)
    span = {"start_s": 1_700_000_000, "end_s": 1_700_000_600}
    made = await call(rig, "commander", "POST", f"/cameras/{camera}/playbacks", 201, json=span)
    assert (made["camera"], made["start_s"]) == (camera, 1_700_000_000)
    await rig.logged("camera.played_back")
    pause = {"action": "pause"}
    stranger = await call(rig, "sysadmin", "POST", f"/playbacks/{made['id']}/control", 404, json=pause)
    assert stranger["error"]["id"] == "playback.unknown"
    idle = await call(rig, "commander", "POST", f"/playbacks/{made['id']}/control", 409, json=pause)
    assert idle["error"]["id"] == "playback.not_running"
    await call(rig, "commander", "DELETE", f"/playbacks/{made['id']}", 204)
    await call(rig, "commander", "DELETE", f"/playbacks/{made['id']}", 404)
    day_and_more = span | {"end_s": 1_700_000_000 + 86_401}
    await call(rig, "commander", "POST", f"/cameras/{camera}/playbacks", 422, json=day_and_more)
    await call(rig, "water", "POST", f"/cameras/{camera}/playbacks", 404, json=span)


async def test_names_that_a_device_makes_up_reach_people_as_lines_that_can_be_read(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    await add(rig)
    hostile = page(CAM)
    item = hostile.items[0].model_copy(
        update={"name": "东门\r\n\x1b[2J\u202egpj.exe", "manufacturer": "A\x00B\n", "parents": ("x\u2066y",)}
    )
    await gateway.report(hostile.model_copy(update={"items": [item]}))
    await until(lambda: has_camera(rig, "东门 [2Jgpj.exe"))
    (channel,) = (await call(rig, "sysadmin", "GET", f"/devices/{NVR}/channels", 200))["items"]
    assert (channel["name"], channel["manufacturer"]) == ("东门 [2Jgpj.exe", "A B")
    assert channel["parents"] == ["xy"]


async def test_positions_of_names_that_are_in_no_catalogue_leave_nothing(
    rig: LiveRig, gateway: ScriptedGateway
) -> None:
    await with_camera(rig, gateway)
    for number in range(20):
        made_up = f"3402000000132{number:07d}"
        await gateway.report(PositionReport(device=NVR, channel=made_up, longitude=118.5, latitude=31.2, at=70))
    await gateway.report(PositionReport(device=NVR, channel=NVR, longitude=118.5, latitude=31.2, at=78))

    async def there() -> bool:
        return bool((await call(rig, "sysadmin", "GET", f"/devices/{NVR}/positions", 200))["items"])

    await until(there)
    (position,) = (await call(rig, "sysadmin", "GET", f"/devices/{NVR}/positions", 200))["items"]
    assert position["channel"] == NVR


async def test_a_device_that_tells_of_ever_new_channels_is_bounded(
    rig: LiveRig, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.services.catalogs.MOST_CHANNELS", 2)
    await add(rig)
    await gateway.report(page(CAM, sn=1))
    await gateway.report(page(CAM2, sn=2))
    await gateway.report(page("34020000001310000003", sn=3))
    await until(lambda: has_camera(rig, "通道2"))  # else the first page alone would look like the last
    await gateway.report(page(CAM, sn=4))

    async def last() -> bool:
        return await channels(rig) == {CAM: "on"}

    await until(last)
    assert sorted(await cameras(rig)) == ["通道1", "通道2"]
