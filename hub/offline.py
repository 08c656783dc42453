"""What the command line does on an installation's database, with or without a running hub.

Use cases are the same as the interface's; events go through the same outbox, and this process appends them
itself. A running hub notices by what it reads from the database.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import DatabaseError

from hub.api.schemas.accounts import NewUser
from hub.api.schemas.cameras import NewCamera
from hub.domain.errors import Invalid, NotFound
from hub.secrets import prepare_data_folder
from hub.services import accounts, cameras, drills, events, scores, units
from hub.services.access import SYSTEM
from hub.services.context import Context, make_context
from hub.services.units import NobodyOnline
from hub.settings import Settings
from hub.store.migrate import is_damage, migrate, unusable

T = TypeVar("T")


async def with_context(settings: Settings, work: Callable[[Context], Awaitable[T]]) -> T:
    """Run ``work`` on the database, append what it recorded, close everything.

    Raises Unavailable (``database.away``) for one that is damaged, and what ``work`` raises.
    """
    prepare_data_folder(settings)
    await migrate(settings)
    ctx = make_context(settings)
    try:
        result = await work(ctx)
        await events.append_waiting(ctx)
        return result
    except DatabaseError as error:
        if not is_damage(error):
            raise
        raise unusable(error) from None
    finally:
        await ctx.close()


async def add_camera(ctx: Context, *, name: str, url: str, unit: str, sub_url: str | None = None) -> str:
    """Add a camera; return its id. Raises Invalid."""
    try:
        new = NewCamera(name=name, url=url, sub_url=sub_url, unit=unit)
    except ValidationError as error:
        raise _first(error) from None
    added = await cameras.add_camera(ctx, SYSTEM, name=new.name, url=new.url, sub_url=new.sub_url, unit=new.unit)
    return added.id


async def list_cameras(ctx: Context) -> list[str]:
    """One line a camera."""
    lines: list[str] = []
    cursor: str | None = None
    while True:
        page = await cameras.list_cameras(ctx, SYSTEM, cameras.NoStates(), after=cursor, limit=200)
        lines += [f"{item.id}  {item.unit}  {item.scheme}  {item.name}" for item in page.items]
        if (cursor := page.next) is None:
            return lines


async def add_user(ctx: Context, new: Mapping[str, Any]) -> str:
    """Add a person; return the id. Raises Invalid, Conflict."""
    try:
        user = NewUser.model_validate(dict(new))
    except ValidationError as error:
        raise _first(error) from None
    view = await accounts.add_user(
        ctx, SYSTEM, username=user.username, name=user.name, role=user.role, unit=user.unit, password=user.password
    )
    return view.id


async def list_users(ctx: Context) -> list[str]:
    """One line a person."""
    found, _ = await accounts.list_users(ctx, SYSTEM, NobodyOnline())
    return [f"{item.username}  {item.role.value}  {item.unit}  {item.name}" for item in found]


async def list_units(ctx: Context) -> list[str]:
    """One line a unit."""
    return [f"{item.id}  {item.kind}  {item.name}" for item in await units.list_units(ctx, NobodyOnline())]


async def verify_log(ctx: Context) -> tuple[bool, str]:
    """Whether the chain is whole, and the sentence that says so."""
    verdict = await events.verify(ctx)
    if verdict.ok:
        erased = f", {verdict.erased} payloads erased" if verdict.erased else ""
        return True, f"The log is whole: {verdict.rows} events, head {verdict.head}{erased}."
    return False, f"The log is broken at {verdict.broken_at}: {verdict.reason}"


async def list_runs(ctx: Context) -> list[str]:
    """One line a run, newest first."""
    found = await drills.list_runs(ctx, SYSTEM)
    return [f"{run.id}  {run.state}  {run.points or '–'}/{run.of or '–'}  {run.title}" for run in found]


async def score_run(ctx: Context, run: str, language: str) -> tuple[bytes, str]:
    """The sheet's exact bytes and its table. ``last``: the newest run that has ended. Raises NotFound, Conflict."""
    if run == "last":
        ended = [found.id for found in await drills.list_runs(ctx, SYSTEM) if found.state == "ended"]
        if not ended:
            raise NotFound("drill.none", "no drill has ended yet")
        run = ended[0]
    sheet = await scores.score_run(ctx, run)
    return sheet.to_bytes(), scores.render(sheet, language)


def _first(error: ValidationError) -> Invalid:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Invalid("request.invalid", f"{where}: {first['msg']}", field=where)
