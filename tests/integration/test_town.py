"""The demo town on a real database: built once, kept afterwards."""

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy import func, select

from hub.demo.cameras_list import CAMERAS
from hub.demo.credentials import path_in
from hub.demo.gb_town import DEVICES
from hub.demo.town import PEOPLE, UNITS, ensure_town
from hub.domain.errors import Invalid, Unauthenticated
from hub.domain.roles import Role
from hub.services import accounts, cameras, drills, rules, units
from hub.services.access import SYSTEM
from hub.store.tables import CameraRow, OutboxRow, UserRow
from hub.store.tables_gb import DeviceRow
from tests.integration.hub_rig import TestClock, hub


async def test_the_town_has_its_units_people_cameras_rules_and_drills(tmp_path: Path) -> None:
    async with hub(tmp_path, TestClock(step=1), demo_rtsp_port=9554) as ctx:
        await ensure_town(ctx)
        kinds = [unit.kind for unit in await units.list_units(ctx, units.NobodyOnline())]
        assert {kind: kinds.count(kind) for kind in kinds} == {"city": 1, "department": 6, "town": 3, "village": 6}
        people = await accounts.list_demo_people(ctx)
        assert {person.role for person in people} == set(Role)
        assert [person.username for person in people] == [person.username for person in PEOPLE]
        page = await cameras.list_cameras(ctx, SYSTEM, cameras.NoStates())
        assert page.total == 12
        assert {camera.host for camera in page.items} == {"127.0.0.1:9554"}
        assert len(await rules.list_rules(ctx, SYSTEM)) == sum(len(camera.rules) for camera in CAMERAS)
        assert [scenario.id for scenario in await drills.list_scenarios(ctx, SYSTEM)] == ["crowd", "flood"]


async def test_its_recorders_are_listed_once_and_stay_as_somebody_changed_them(tmp_path: Path) -> None:
    given = {"gb_id": "34020000002000000001", "sip_port": 9003}
    async with hub(tmp_path, TestClock(step=1), **given) as ctx:
        await ensure_town(ctx)
        async with ctx.sessions.begin() as db:
            rows = list(await db.scalars(select(DeviceRow).order_by(DeviceRow.id)))
            assert [(row.name, row.unit) for row in rows] == [(device.name, device.unit) for device in DEVICES]
            assert len({row.password for row in rows}) == 4
            rows[0].name, rows[1].removed_at = "改名", 1
        await ensure_town(ctx)
        async with ctx.reading() as db:
            assert await db.scalar(select(DeviceRow.name).where(DeviceRow.id == rows[0].id)) == "改名"
            assert await db.scalar(select(DeviceRow.removed_at).where(DeviceRow.id == rows[1].id)) == 1


async def test_everybody_on_file_can_sign_in_and_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    async with hub(tmp_path, TestClock()) as ctx:
        await ensure_town(ctx)
        file = path_in(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        entries = json.loads(file.read_text("utf-8"))
        assert [set(entry) for entry in entries] == [{"username", "password", "role", "unit"}] * len(PEOPLE)
        assert len({entry["password"] for entry in entries}) == len(PEOPLE)
        for entry in entries[:3]:
            opened = await accounts.sign_in(
                ctx, username=entry["username"], password=entry["password"], address="127.0.0.1"
            )
            assert (opened.user.role, opened.user.unit) == (entry["role"], entry["unit"])


async def test_a_second_start_changes_nothing_but_follows_the_port(tmp_path: Path) -> None:
    async with hub(tmp_path, TestClock(), demo_rtsp_port=9001) as ctx:
        await ensure_town(ctx)
        before = path_in(tmp_path).read_bytes()
        async with ctx.reading() as db:
            events = await db.scalar(select(func.count()).select_from(OutboxRow))
        await cameras.remove_camera(ctx, SYSTEM, "cam-12")
    async with hub(tmp_path, TestClock(), demo_rtsp_port=9002) as ctx:
        await ensure_town(ctx)
        assert path_in(tmp_path).read_bytes() == before
        async with ctx.reading() as db:
            assert await db.scalar(select(func.count()).select_from(OutboxRow)) == (events or 0) + 1  # the removal
            assert await db.scalar(select(func.count()).select_from(UserRow)) == len(PEOPLE)
            urls = set(await db.scalars(select(CameraRow.url).where(CameraRow.removed_at.is_(None))))
        assert len(urls) == 11
        assert all(url.startswith("rtsp://127.0.0.1:9002/cam-") for url in urls)


async def test_a_start_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    async with hub(tmp_path, TestClock()) as ctx:
        for unit in UNITS[:4]:
            await units.add_unit(
                ctx, id=unit.id, parent=unit.parent, kind=unit.kind, name=unit.name, name_en=unit.name_en
            )
        await ensure_town(ctx)
        assert len(await units.list_units(ctx, units.NobodyOnline())) == len(UNITS)


async def test_who_moves_the_file_away_gets_new_passwords_and_the_old_are_void(tmp_path: Path) -> None:
    async with hub(tmp_path, TestClock()) as ctx:
        await ensure_town(ctx)
        old = json.loads(path_in(tmp_path).read_text("utf-8"))[0]
        path_in(tmp_path).unlink()
        await ensure_town(ctx)
        new = json.loads(path_in(tmp_path).read_text("utf-8"))[0]
        assert new["password"] != old["password"]
        await accounts.sign_in(ctx, username="commander", password=new["password"], address="127.0.0.1")
        with pytest.raises(Unauthenticated):
            await accounts.sign_in(ctx, username="commander", password=old["password"], address="127.0.0.1")


async def test_a_damaged_file_is_named_and_not_overwritten(tmp_path: Path) -> None:
    path_in(tmp_path).write_text("[{]")
    async with hub(tmp_path, TestClock()) as ctx:
        with pytest.raises(Invalid, match="damaged"):
            await ensure_town(ctx)
    assert path_in(tmp_path).read_text() == "[{]"
