"""The log as people read it: who did a thing is named, not numbered."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api_rig import Rig, api


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api(tmp_path) as rig:
        yield rig


async def test_each_event_of_a_person_carries_that_persons_name(rig: Rig) -> None:
    incident = {"title": "东门", "severity": "minor"}
    opened = await rig.call("commander", "POST", "/incidents", 201, json=incident)
    await rig.log()  # appended
    found = await rig.call("auditor", "GET", f"/events?ref={opened['id']}", 200)
    assert [(item["kind"], item["by_name"]) for item in found["items"]] == [("incident.opened", "赵指挥")]


async def test_an_event_of_the_system_has_no_name(rig: Rig) -> None:
    await rig.log()
    found = await rig.call("auditor", "GET", "/events", 200)
    nobody = [item for item in found["items"] if "by" not in item["data"]]
    assert all(item["by_name"] is None for item in nobody)
    assert all(item["by_name"] for item in found["items"] if item["data"].get("by") not in (None, "system"))
