"""A camera that somebody turns stops by itself when that somebody cannot say so any more: a browser that is gone."""

import asyncio
from typing import Any

import pytest

from hub.gateway import hands
from signaling.gb28181 import messages as m
from tests.integration.test_gateway import CAM, NVR, Device, GatewayRig, online, rig, until

__all__ = ["rig"]  # the fixture
LEFT, STILL, NEAR, LENS_STILL = "A50F0102FF0000B6", "A50F0100000000B5", "A50F0142", "A50F0140"


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "HELD_S", 0.4)
    monkeypatch.setattr(hands, "LOOK_S", 0.05)
    monkeypatch.setattr(hands, "AGAIN_S", 0.1)


async def give(rig: GatewayRig, status: int = 200, **command: Any) -> None:
    await rig.call("POST", f"/devices/{NVR}/commands", status, json={"command": {"channel": CAM, **command}})


def said(nvr: Device) -> list[str]:
    return [each.ptz for each in nvr.asked if isinstance(each, m.DeviceControl)]


async def test_a_camera_whose_hand_is_gone_stands_still_by_itself(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        await give(rig, type="move", pan=-1)
        await until(lambda: said(nvr)[1:])
        assert said(nvr) == [LEFT, STILL]
        await give(rig, type="lens", focus=1)
        await until(lambda: len(said(nvr)) == 4)
        assert said(nvr)[3].startswith(LENS_STILL)


async def test_a_hand_that_says_again_what_it_wants_is_not_interrupted(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "HELD_S", 2.0)  # longer than a busy machine stands still
    async with online(rig) as nvr:
        for _ in range(12):
            await give(rig, type="move", pan=-1)
            await asyncio.sleep(0.25)
        assert set(said(nvr)) == {LEFT}
        await give(rig, type="move")
        await asyncio.sleep(2.6)  # nothing may follow
        assert said(nvr)[-2:] == [LEFT, STILL]


async def test_a_stop_that_is_not_taken_is_said_again(rig: GatewayRig) -> None:
    async with online(rig) as nvr:
        await give(rig, type="move", pan=-1)
        take, refused = nvr.node._handler, 0

        def deaf(tx: Any) -> Any:
            nonlocal refused
            if refused < 2:
                refused += 1
                tx.respond(500)
                return None
            return take(tx)

        nvr.node._handler = deaf
        await until(lambda: said(nvr)[1:])
        assert (said(nvr), refused) == ([LEFT, STILL], 2)


async def test_a_camera_on_its_way_to_a_preset_is_not_stopped(rig: GatewayRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "HELD_S", 1.5)
    async with online(rig) as nvr:
        await give(rig, type="move", pan=-1)
        await give(rig, type="preset", action="go", number=1)
        await asyncio.sleep(2.2)  # nothing may follow
        assert len(said(nvr)) == 2
