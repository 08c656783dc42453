"""The first start of a real installation: one city unit and the people who can then add all others."""

from typing import Final

from hub.demo import credentials
from hub.domain.roles import Role
from hub.services import accounts, units
from hub.services.access import SYSTEM
from hub.services.context import Context
from hub.store import people

CITY: Final = "city"
FIRST: Final = (
    ("system", "系统管理员", Role.SYSTEM_ADMIN),
    ("security", "安全管理员", Role.SECURITY_ADMIN),
    ("audit", "审计管理员", Role.AUDITOR),
    ("duty", "值班指挥长", Role.COMMANDER),
)


async def ensure_first_people(ctx: Context) -> bool:
    """Make the first four accounts where nobody has one yet; return whether it did.

    Their random passwords are on file before the accounts exist, so that a start cut short locks nobody out.
    """
    async with ctx.reading() as db:
        _, total = await people.users(db)
        there = (await people.unit_tree(db)).nodes
    if total:
        return False
    if not there:
        await units.add_unit(ctx, id=CITY, parent=None, kind="city", name=ctx.settings.name, name_en="Command centre")
    wanted = {username: (role, CITY) for username, _, role in FIRST}
    found, _ = credentials.complete(credentials.path_in(ctx.settings.data), wanted)
    for username, name, role in FIRST:
        password = found[username].password
        await accounts.add_user(ctx, SYSTEM, username=username, name=name, role=role, unit=CITY, password=password)
    return True
