"""如意市, a town that does not exist: its units, people, cameras and drills. Built once, kept on later starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from hub.demo import credentials
from hub.demo.cameras_list import CAMERAS, SceneCamera
from hub.demo.credentials import Credential
from hub.demo.gb_town import DEVICES, TownDevice, device_options
from hub.domain.roles import Role
from hub.services import accounts, cameras, devices, drills, rules, units
from hub.services.access import SYSTEM
from hub.services.context import Context
from hub.store import people as people_store
from hub.store.tables import CameraRow, RuleRow
from hub.store.tables_duty import ScenarioRow
from hub.store.tables_gb import DeviceRow

log: Final = structlog.get_logger(__name__)
DRILLS: Final = Path(__file__).parent / "drill"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of the town; parents come first."""

    id: str
    parent: str | None
    kind: str
    name: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Person:
    """A function, not somebody: whoever sits at this desk."""

    username: str
    name: str
    role: Role
    unit: str


UNITS: Final = (
    Unit("city", None, "city", "如意市", "Ruyi City"),
    Unit("dept-emergency", "city", "department", "应急管理局", "Emergency Management"),
    Unit("dept-police", "city", "department", "公安局", "Police"),
    Unit("dept-water", "city", "department", "水利局", "Water Resources"),
    Unit("dept-traffic", "city", "department", "交通运输局", "Transport"),
    Unit("dept-health", "city", "department", "卫生健康委", "Health Commission"),
    Unit("dept-urban", "city", "department", "城市管理局", "Urban Management"),
    Unit("town-1", "city", "town", "云桥镇", "Yunqiao Town"),
    Unit("town-2", "city", "town", "禾丰镇", "Hefeng Town"),
    Unit("town-3", "city", "town", "石埠镇", "Shibu Town"),
    Unit("village-1", "town-1", "village", "梅溪村", "Meixi Village"),
    Unit("village-2", "town-1", "village", "竹园村", "Zhuyuan Village"),
    Unit("village-3", "town-2", "village", "桑田村", "Sangtian Village"),
    Unit("village-4", "town-2", "village", "柳湾村", "Liuwan Village"),
    Unit("village-5", "town-3", "village", "渡口村", "Dukou Village"),
    Unit("village-6", "town-3", "village", "茶山村", "Chashan Village"),
)

PEOPLE: Final = (
    Person("commander", "值班指挥长", Role.COMMANDER, "city"),
    Person("emergency", "应急局值班员", Role.DEPARTMENT, "dept-emergency"),
    Person("police", "公安局值班员", Role.DEPARTMENT, "dept-police"),
    Person("water", "水利局值班员", Role.DEPARTMENT, "dept-water"),
    Person("traffic", "交通局值班员", Role.DEPARTMENT, "dept-traffic"),
    Person("health", "卫健委值班员", Role.DEPARTMENT, "dept-health"),
    Person("urban", "城管局值班员", Role.DEPARTMENT, "dept-urban"),
    Person("organiser", "演练组织员", Role.ORGANISER, "city"),
    Person("evaluator", "演练评估员", Role.EVALUATOR, "city"),
    Person("system-admin", "系统管理员", Role.SYSTEM_ADMIN, "city"),
    Person("security-admin", "安全管理员", Role.SECURITY_ADMIN, "city"),
    Person("auditor", "审计管理员", Role.AUDITOR, "city"),
    Person("town-1", "云桥镇值班长", Role.COMMANDER, "town-1"),
    Person("town-2", "禾丰镇值班长", Role.COMMANDER, "town-2"),
    Person("town-3", "石埠镇值班长", Role.COMMANDER, "town-3"),
    Person("officer", "城管执法队员", Role.FIELD, "dept-urban"),
    Person("grid-1", "梅溪村网格员", Role.FIELD, "village-1"),
    Person("grid-2", "竹园村网格员", Role.FIELD, "village-2"),
    Person("grid-3", "桑田村网格员", Role.FIELD, "village-3"),
    Person("grid-4", "柳湾村网格员", Role.FIELD, "village-4"),
    Person("grid-5", "渡口村网格员", Role.FIELD, "village-5"),
    Person("grid-6", "茶山村网格员", Role.FIELD, "village-6"),
)

SCENARIOS: Final = ("flood", "crowd")


async def ensure_town(ctx: Context) -> None:
    """Build what of the town is not there yet; what somebody changed or removed since stays as it is.

    Only the cameras' addresses follow the RTSP port. Raises Invalid (``demo.credentials``) for a damaged file.
    """
    await _ensure_units(ctx)
    await _ensure_people(ctx)
    for camera in CAMERAS:
        await _ensure_camera(ctx, camera)
    if ctx.settings.gb_id:
        for device in DEVICES:
            await _ensure_device(ctx, device)
    for name in SCENARIOS:
        await _ensure_scenario(ctx, name)


async def _ensure_units(ctx: Context) -> None:
    async with ctx.reading() as db:
        there = set((await people_store.unit_tree(db)).nodes)
    for position, unit in enumerate(UNITS):
        if unit.id not in there:
            await units.add_unit(
                ctx,
                id=unit.id,
                parent=unit.parent,
                kind=unit.kind,
                name=unit.name,
                name_en=unit.name_en,
                position=position,
            )


async def _ensure_people(ctx: Context) -> None:
    """Passwords are on file before anybody has one, so that a start cut short leaves nobody locked out."""
    wanted = {person.username: (person.role, person.unit) for person in PEOPLE}
    found, new = credentials.complete(credentials.path_in(ctx.settings.data), wanted)
    async with ctx.reading() as db:
        there = {row.username for row in await people_store.demo_users(db)}
    for person in PEOPLE:
        password = found[person.username].password
        if person.username not in there:
            await accounts.add_user(
                ctx,
                SYSTEM,
                username=person.username,
                name=person.name,
                role=person.role,
                unit=person.unit,
                password=password,
                demo=True,
            )
    if lost := new & there:
        await _reset(ctx, {name: found[name] for name in lost})


async def _reset(ctx: Context, lost: Mapping[str, Credential]) -> None:
    """Somebody moved the file away: people who are known get the new passwords."""
    hashes = {name: await ctx.passwords.hash(credential.password) for name, credential in lost.items()}
    async with ctx.sessions.begin() as db:
        for row in await people_store.demo_users(db):
            if row.username in hashes:
                row.password_hash = hashes[row.username]
    log.info("demo.passwords_renewed", people=len(hashes))


async def _ensure_camera(ctx: Context, camera: SceneCamera) -> None:
    url = f"rtsp://127.0.0.1:{ctx.settings.rtsp_port}{camera.path}"
    async with ctx.reading() as db:
        row = await db.get(CameraRow, camera.id)
        missing = [rule for rule in camera.rules if await db.get(RuleRow, rule.id) is None]
    if row is None:
        await cameras.add_camera(
            ctx, SYSTEM, id=camera.id, name=camera.name, name_en=camera.name_en, url=url, unit=camera.unit
        )
    elif row.removed_at is not None:
        return
    elif row.url != url:
        async with ctx.sessions.begin() as db:
            (await db.get_one(CameraRow, camera.id)).url = url
    for rule in missing:
        await rules.add_rule(
            ctx,
            SYSTEM,
            id=rule.id,
            camera=camera.id,
            kind=rule.kind,
            name=rule.name,
            severity=rule.severity,
            params=rule.params,
        )


async def _ensure_device(ctx: Context, device: TownDevice) -> None:
    """Listed with its own password; its cameras come by its catalogue."""
    options = device_options(ctx.settings, device)
    async with ctx.reading() as db:
        there = await db.get(DeviceRow, options.device_id)
    if there is None:
        await devices.enlist(
            ctx, SYSTEM, id=options.device_id, name=device.name, unit=device.unit, password=options.password,
            subscriptions=["catalog", "alarm"],
        )  # fmt: skip


async def _ensure_scenario(ctx: Context, name: str) -> None:
    async with ctx.reading() as db:
        if await db.get(ScenarioRow, name) is not None:
            return
    text, rubric = (DRILLS / f"{name}.{part}.yaml" for part in ("scenario", "rubric"))
    await drills.add_scenario(ctx, SYSTEM, text=text.read_text("utf-8"), rubric=rubric.read_text("utf-8"))
