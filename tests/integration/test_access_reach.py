"""Objects are reached by unit: what lies elsewhere does not exist for the person asking."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.bus.gateway_client import Gateways
from hub.domain.errors import Forbidden, NotFound
from hub.domain.roles import Role
from hub.services import dispatch, gb_domain, platforms
from hub.services.accounts import actor_named
from hub.services.context import Actor
from hub.services.gateways import GatewayBook
from tests.integration.api_rig import Rig, api


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api(tmp_path) as rig:
        yield rig


async def camera(rig: Rig, unit: str) -> str:
    body = {"name": f"机位 {unit}", "url": "rtsp://10.0.0.5/main", "unit": unit}
    return str((await rig.call("sysadmin", "POST", "/cameras", 201, json=body))["id"])


async def incident(rig: Rig, username: str, **given: str) -> str:
    body = {"title": "积水"} | given
    return str((await rig.call(username, "POST", "/incidents", 201, json=body))["id"])


async def order(rig: Rig, incident: str, unit: str) -> str:
    body = {"incident": incident, "unit": unit, "text": "抽水"}
    return str((await rig.call("commander", "POST", "/orders", 201, json=body))["id"])


async def test_a_town_sees_its_own_and_its_villages_cameras_only(rig: Rig) -> None:
    ids = {unit: await camera(rig, unit) for unit in ("city", "town-a", "village-a1", "town-b", "dept-water")}
    for username, units in (
        ("commander", set(ids)),
        ("organiser", set(ids)),
        ("town-commander", {"town-a", "village-a1"}),
        ("water", {"dept-water"}),
    ):
        page = await rig.call(username, "GET", "/cameras", 200)
        assert {item["unit"] for item in page["items"]} == units
        assert page["total"] == len(units)
        for unit, id in ids.items():
            await rig.call(username, "GET", f"/cameras/{id}", 200 if unit in units else 404)
    below = await rig.call("commander", "GET", "/cameras", 200, params={"unit": "town-a"})
    assert {item["unit"] for item in below["items"]} == {"town-a", "village-a1"}
    outside = await rig.call("town-commander", "GET", "/cameras", 200, params={"unit": "town-b"})
    assert outside["items"] == []


async def test_a_rule_on_a_camera_elsewhere_is_a_rule_on_no_camera(rig: Rig) -> None:
    body = {"camera": await camera(rig, "town-b"), "kind": "crowd", "name": "x"}
    await rig.call("town-commander", "POST", "/rules", 404, json=body)
    rule = await rig.call("commander", "POST", "/rules", 201, json=body)
    await rig.call("town-commander", "PATCH", f"/rules/{rule['id']}", 404, json={"enabled": False})
    await rig.call("town-commander", "DELETE", f"/rules/{rule['id']}", 404)
    assert (await rig.call("town-commander", "GET", "/rules", 200))["items"] == []


async def test_an_order_is_answered_by_its_own_unit_alone(rig: Rig) -> None:
    id = await order(rig, await incident(rig, "commander"), "dept-water")
    await rig.call("fire", "GET", f"/orders/{id}", 404)
    await rig.call("fire", "POST", f"/orders/{id}/sign", 404)
    await rig.call("fire", "POST", f"/orders/{id}/feedback", 404, data={"text": "x"})
    with pytest.raises(NotFound):
        await dispatch.mark_delivered(rig.ctx, await actor_named(rig.ctx, "fire"), id)
    await rig.call("water", "POST", f"/orders/{id}/sign", 200)
    assert [(await rig.call(who, "GET", "/orders", 200))["total"] for who in ("commander", "water", "fire")] == [
        1,
        1,
        0,
    ]


async def test_a_department_knows_of_an_incident_once_it_has_an_order_in_it(rig: Rig) -> None:
    id = await incident(rig, "commander")
    await rig.call("water", "GET", f"/incidents/{id}", 404)
    await order(rig, id, "dept-water")
    await order(rig, id, "dept-fire")
    seen = await rig.call("water", "GET", f"/incidents/{id}", 200)
    assert [item["unit"] for item in seen["orders"]] == ["dept-water"]
    await rig.log()
    seen = await rig.call("water", "GET", f"/incidents/{id}", 200)
    assert {item["unit"] for item in seen["timeline"] if item["kind"].startswith("order.")} == {"dept-water"}
    assert len((await rig.call("commander", "GET", f"/incidents/{id}", 200))["orders"]) == 2


async def test_a_towns_incident_is_unknown_to_the_next_town_but_not_to_the_city(rig: Rig) -> None:
    id = await incident(rig, "town-commander")
    await rig.call("commander", "GET", f"/incidents/{id}", 200)
    elsewhere = await incident(rig, "commander", camera=await camera(rig, "town-b"))
    await rig.call("town-commander", "GET", f"/incidents/{elsewhere}", 404)
    await rig.call("town-commander", "POST", f"/incidents/{elsewhere}/notes", 404, json={"text": "x"})
    await rig.call(
        "town-commander", "POST", "/incidents", 404, json={"title": "x", "camera": await camera(rig, "town-b")}
    )
    assert (await rig.call("town-commander", "GET", "/incidents", 200))["total"] == 1


async def test_the_log_shows_a_town_its_own_events_without_skipping_any(rig: Rig) -> None:
    for unit in ("town-a", "town-b", "village-a1", "city"):
        await camera(rig, unit)
    await rig.log()
    mine = await rig.call("town-commander", "GET", "/events", 200, params={"kind": "camera.added"})
    assert [item["unit"] for item in mine["items"]] == ["town-a", "village-a1"]
    everything = await rig.call("auditor", "GET", "/events", 200)
    assert mine["next"] >= everything["items"][-1]["seq"]


async def test_events_are_read_in_pages_without_holes(rig: Rig) -> None:
    for _ in range(9):
        await camera(rig, "city")
    await rig.log()
    seen: list[int] = []
    after = 0
    for _ in range(20):
        page = await rig.call("auditor", "GET", "/events", 200, params={"after": after, "limit": 4})
        if not page["items"]:
            break
        seen += [item["seq"] for item in page["items"]]
        after = page["next"]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) >= 9


async def test_who_looks_after_one_district_opens_no_way_out_of_the_city(rig: Rig) -> None:
    """A platform sees what is shared with it, the domain's password lets any device in: neither is a town's."""
    book = GatewayBook(rig.ctx, Gateways("token"))
    town = Actor(id="t", username="t", name="镇管理员", role=Role.SYSTEM_ADMIN, unit="town-a", method="password")
    elsewhere = await camera(rig, "town-b")
    given: dict[str, Any] = {
        "id": "32010000002000000001", "name": "市局", "domain": "3201000000", "host": "10.9.9.9", "port": 5060,
        "local_id": "34020000002000000001",
    }  # fmt: skip
    with pytest.raises(Forbidden):
        await platforms.add_platform(rig.ctx, town, book, given)
    city = dataclasses.replace(town, unit="city")
    id = (await platforms.add_platform(rig.ctx, city, book, given)).id
    with pytest.raises(Forbidden):
        await platforms.share(rig.ctx, town, book, id, [(elsewhere, None)])
    with pytest.raises(Forbidden):
        await platforms.change_platform(rig.ctx, town, book, id, {"host": "10.6.6.6"})
    with pytest.raises(Forbidden):
        await platforms.remove_platform(rig.ctx, town, book, id)
    with pytest.raises(Forbidden):
        await platforms.list_shared(rig.ctx, town, id)
    with pytest.raises(Forbidden):
        await platforms.list_platforms(rig.ctx, town, book)
    with pytest.raises(Forbidden):
        await gb_domain.change_domain(rig.ctx, town, book, password="mine", accept_unknown=True)
