"""Everything that can be asked of a camera or its device, once through the whole hub to a device that obeys."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.demo.gb_device.camera import Channel, Head
from hub.demo.gb_device.device import GbDevice
from signaling.gb28181 import ptz
from tests.integration.gb_chain import Chain, gb_chain, impatient
from tests.integration.live_rig import until


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)


async def order(chain: Chain, camera: str, who: str = "commander", status: int = 200, **command: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await chain.call("POST", f"/cameras/{camera}/commands", status, json=command, who=who)
    return answer


def first(device: GbDevice) -> Channel:
    return device.answers.channels[device.options.channel_id(0)]


def told(head: Head, command: ptz.PtzCommand) -> bool:
    return head.last == command


async def test_a_commanders_hand_reaches_every_part_of_a_camera(tmp_path: Path) -> None:
    """GB/T 28181-2016 A.3; precise PTZ: -2022 A.2.3.1.11."""
    async with gb_chain(tmp_path) as chain:
        device = await chain.device(edition="2022")
        camera, channel = await chain.camera(device), first(device)
        head = channel.head
        for command, taken in (
            ({"type": "move", "pan": -0.5, "tilt": 1}, ptz.Move(-128, 255, 0)),
            ({"type": "move"}, ptz.Move()),
            ({"type": "lens", "focus": 1}, ptz.Lens(255, 0)),
            ({"type": "lens", "iris": -1}, ptz.Lens(0, -255)),
            ({"type": "lens"}, ptz.Lens()),
            ({"type": "preset", "action": "set", "number": 9}, ptz.Preset("set", 9)),
            ({"type": "preset", "action": "go", "number": 9}, ptz.Preset("go", 9)),
            ({"type": "cruise", "action": "add", "number": 2, "preset": 9}, ptz.Cruise("add", 2, 9)),
            ({"type": "cruise", "action": "stay", "number": 2, "value": 300}, ptz.Cruise("stay", 2, 0, 300)),
            ({"type": "cruise", "action": "speed", "number": 2, "value": 20}, ptz.Cruise("speed", 2, 0, 20)),
            ({"type": "cruise", "action": "start", "number": 2}, ptz.Cruise("start", 2)),
            ({"type": "cruise", "action": "stop", "number": 2}, ptz.Move()),
            ({"type": "scan", "action": "left", "number": 1}, ptz.Scan("left", 1)),
            ({"type": "scan", "action": "start", "number": 1}, ptz.Scan("start", 1)),
            ({"type": "scan", "action": "stop", "number": 1}, ptz.Move()),
            ({"type": "switch", "number": 1, "on": True}, ptz.Switch(1, True)),  # the wiper
            ({"type": "switch", "number": 4, "on": True}, ptz.Switch(4, True)),
            ({"type": "preset", "action": "delete", "number": 9}, ptz.Preset("delete", 9)),
        ):
            assert (await order(chain, camera, **command))["result"] == "sent"
            await until(partial(told, head, taken))
        assert head.switches == {1: True, 4: True}
        assert head.cruises == {2: [9]}
        assert [item["number"] for item in (await order(chain, camera, type="presets"))["presets"]] == [1]
        await order(chain, camera, type="home", enabled=True, reset_s=90, preset=1)
        await until(lambda: (head.home.enabled, head.home.reset_s, head.home.preset) == (True, 90, 1))
        await order(chain, camera, type="precise", pan=270, tilt=45, zoom=4)
        await until(lambda: (head.at(0).pan, head.at(0).tilt, head.at(0).zoom) == (270, 45, 4))
        await order(chain, camera, type="keyframe")
        await until(lambda: channel.keyframes_asked > 0)


async def test_an_administrator_sets_and_asks_the_device_itself(tmp_path: Path) -> None:
    """GB/T 28181-2016 9.3, 9.5: guard, recording, alarm, TeleBoot; DeviceInfo, DeviceStatus, ConfigDownload."""
    async with gb_chain(tmp_path) as chain:
        device = await chain.device()
        camera, channel = await chain.camera(device), first(device)
        for kind in ("guard", "stop_record", "reset_alarm", "reboot", "info", "status", "config"):
            await order(chain, camera, "commander", 403, type=kind)
        channel.alarmed = True
        for kind in ("guard", "stop_record", "reset_alarm"):
            assert (await order(chain, camera, "sysadmin", type=kind))["result"] == "ok"
        assert (channel.guarded, channel.recording, channel.alarmed) == (True, False, False)
        for kind in ("unguard", "record"):
            assert (await order(chain, camera, "sysadmin", type=kind))["result"] == "ok"
        assert (channel.guarded, channel.recording) == (False, True)
        info = (await order(chain, camera, "sysadmin", type="info"))["values"]
        assert (info["model"], info["firmware"]) == ("SIM-NVR", "1.0")
        status = (await order(chain, camera, "sysadmin", type="status"))["values"]
        assert (status["online"], status["encode"]) == ("True", "True")
        config = await order(chain, camera, "sysadmin", type="config")
        assert config["result"] == "ok"
        assert (config["values"]["heartbeat_s"], config["values"]["heartbeat_misses"]) == ("1", "3")
        await order(chain, camera, "sysadmin", 422, type="config", what="Anything")
        registered = device.counters["registered"]
        await order(chain, camera, "sysadmin", type="reboot")
        await until(lambda: device.counters["registered"] > registered)
