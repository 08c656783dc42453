"""People and their sessions.

A token is 256 bits of chance, and only its SHA-256 is stored. Unknown user and wrong password cost and answer the same.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from hub.domain.errors import Conflict, Invalid, NotFound, TooMany, Unauthenticated
from hub.domain.events import SignedIn, SignedOut, SignInFailed, UserAdded
from hub.domain.ids import UnitId, UserId, new_id
from hub.domain.roles import RIGHTS, Right, Role
from hub.services.access import require
from hub.services.context import Actor, Context
from hub.services.live import publish_live
from hub.services.units import Online, tree
from hub.store import people
from hub.store.outbox import record
from hub.store.tables import SessionRow, UnitRow, UserRow

IDLE_MS: Final = 12 * 3_600_000
ABSOLUTE_MS: Final = 7 * 24 * 3_600_000
TOUCH_EVERY_MS: Final = 60_000  # a session in use is written once a minute, not at each request
SESSIONS_A_USER: Final = 32
MIN_PASSWORD: Final = 12


@dataclass(frozen=True, slots=True)
class MeView:
    id: UserId
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str
    rights: list[Right]


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session. The token is nowhere else."""

    token: str = field(repr=False)
    expires_at: int
    user: MeView


@dataclass(frozen=True, slots=True)
class SignedInAs:
    """A session found by its token."""

    actor: Actor
    session: str  # hash of the token: good as a name, useless as a key
    expires_at: int
    zone: str = ""  # the network that the request came from, as far as it is known


@dataclass(frozen=True, slots=True)
class UserView:
    id: UserId
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str
    created_at: int
    online: bool


async def sign_in(ctx: Context, *, username: str, password: str, address: str) -> Opened:
    """Open a session by password. Raises Unauthenticated (``session.wrong``) and TooMany (``session.too_many``)."""
    if (wait := ctx.throttle.wait_ms(username, address, ctx.clock())) > 0:
        raise TooMany("session.too_many", f"too many failures; try again in {-(-wait // 1_000)} s", retry_ms=wait)
    ctx.throttle.fail(username, address, ctx.clock())  # taken back below: guesses in parallel must not be free
    async with ctx.reading() as db:
        user = await people.user_named(db, username)
    right = await ctx.passwords.verify(user.password_hash if user is not None else None, password)
    if user is None or not right:
        # A name that is nobody's may be a password typed into the wrong field: the log must not keep it.
        await _failed(ctx, username if user is not None else "-", address)
        raise Unauthenticated("session.wrong", "user name or password is wrong")
    ctx.throttle.succeed(username, address)
    return await _open(ctx, user, method="password", address=address)


async def demo_sign_in(ctx: Context, *, username: str, address: str) -> Opened:
    """Open a session for a person of the demo town. Raises NotFound outside the demo or for anybody else.

    That the request came from this very machine is for the caller to check.
    """
    if not ctx.settings.demo:
        raise NotFound("route.unknown", "there is nothing here")
    async with ctx.reading() as db:
        user = await people.user_named(db, username)
    if user is None or not user.demo:
        raise NotFound("user.unknown", "no such person in the demo")
    return await _open(ctx, user, method="demo", address=address)


async def authenticate(ctx: Context, token: str) -> SignedInAs:
    """Who holds this token. Raises Unauthenticated (``session.none``, ``session.expired``)."""
    key, now = token_hash(token), ctx.clock()
    async with ctx.reading() as db:
        found = await people.session_user(db, key)
    if found is None:
        raise Unauthenticated("session.none", "nobody is signed in")
    session, user = found
    if now >= session.expires_at:
        raise Unauthenticated("session.expired", "the session has ended; sign in again")
    expires_at = min(now + IDLE_MS, session.ends_at)
    if now - session.seen_at >= TOUCH_EVERY_MS:
        async with ctx.sessions.begin() as db:
            if (row := await db.get(SessionRow, key)) is not None:
                row.seen_at, row.expires_at = now, expires_at
    else:
        expires_at = session.expires_at
    return SignedInAs(_actor(user, session.method), key, expires_at)


async def sign_out(ctx: Context, who: SignedInAs) -> None:
    """End one session. Sockets opened under it learn it from the live channel (``session_ended``)."""
    async with ctx.sessions.begin() as db:
        await db.execute(delete(SessionRow).where(SessionRow.token_hash == who.session))
        actor = who.actor
        record(db, SignedOut(by=actor.id), unit=actor.unit, ref=actor.id, at=ctx.clock())
    await publish_live(ctx, {"session_ended": who.session})


async def me(ctx: Context, actor: Actor) -> MeView:
    """The signed-in person, and what the role may do."""
    async with ctx.reading() as db:
        units = await tree(ctx, db)
    return _me(actor, units.name(actor.unit))


async def list_users(ctx: Context, actor: Actor, online: Online) -> tuple[list[UserView], int]:
    """All users, by user name, and their number."""
    require(actor, Right.USER_MANAGE)
    async with ctx.reading() as db:
        units = await tree(ctx, db)
        rows, total = await people.users(db)
    return [_user_view(row, units.name(row.unit), online) for row in rows], total


async def list_demo_people(ctx: Context) -> list[MeView]:
    """The people of the demo town. Raises NotFound outside the demo."""
    if not ctx.settings.demo:
        raise NotFound("route.unknown", "there is nothing here")
    async with ctx.reading() as db:
        units = await tree(ctx, db)
        rows = await people.demo_users(db)
    return [_me(_actor(row, "demo"), units.name(row.unit)) for row in rows]


async def actor_named(ctx: Context, username: str) -> Actor:
    """The person of this user name as an actor, for scripts that act through the services. Raises NotFound."""
    async with ctx.reading() as db:
        user = await people.user_named(db, username)
    if user is None:
        raise NotFound("user.unknown", "no such user")
    return _actor(user, "system")


async def add_user(
    ctx: Context,
    actor: Actor,
    *,
    username: str,
    name: str,
    role: Role,
    unit: UnitId,
    password: str,
    demo: bool = False,
    online: Online | None = None,
) -> UserView:
    """Add a person. Raises Invalid (``user.unit``, ``user.password``) and Conflict (``user.exists``)."""
    require(actor, Right.USER_MANAGE)
    if len(password) < MIN_PASSWORD:
        raise Invalid("user.password", f"a password has at least {MIN_PASSWORD} characters", field="password")
    hashed, now = await ctx.passwords.hash(password), ctx.clock()
    user = UserRow(
        id=new_id("u", now_ms=now),
        username=username,
        name=name,
        role=role.value,
        unit=unit,
        password_hash=hashed,
        demo=demo,
        created_at=now,
    )
    try:
        async with ctx.sessions.begin() as db:
            if await db.get(UnitRow, unit) is None:
                raise Invalid("user.unit", "no such unit", field="unit")
            db.add(user)
            await db.flush()
            record(db, UserAdded(by=actor.id, username=username, role=role.value), unit=unit, ref=user.id, at=now)
            units = await people.unit_tree(db)
    except IntegrityError:
        raise Conflict("user.exists", "this user name is taken") from None
    return _user_view(user, units.name(unit), online)


def token_hash(token: str) -> str:
    """Under what a token's session is stored. SHA-256 without salt is enough: the token is 256 bits of chance."""
    return hashlib.sha256(token.encode()).hexdigest()


async def _open(ctx: Context, user: UserRow, *, method: str, address: str) -> Opened:
    token, now = secrets.token_urlsafe(32), ctx.clock()
    expires_at = now + IDLE_MS
    row = SessionRow(
        token_hash=token_hash(token),
        user=user.id,
        method=method,
        address=address[:64],
        created_at=now,
        seen_at=now,
        expires_at=expires_at,
        ends_at=now + ABSOLUTE_MS,
    )
    async with ctx.sessions.begin() as db:
        await people.drop_expired(db, now)
        await _drop_oldest(db, user.id)
        db.add(row)
        event = SignedIn(by=user.id, username=user.username, method=method, address=address[:64])
        record(db, event, unit=user.unit, ref=user.id, at=now)
        units = await tree(ctx, db)
    return Opened(token, expires_at, _me(_actor(user, method), units.name(user.unit)))


async def _drop_oldest(db: AsyncSession, user: UserId) -> None:
    mine = select(SessionRow.token_hash).where(SessionRow.user == user).order_by(SessionRow.seen_at.desc())
    old = (await db.scalars(mine.offset(SESSIONS_A_USER - 1))).all()
    if old:
        await db.execute(delete(SessionRow).where(SessionRow.token_hash.in_(old)))


async def _failed(ctx: Context, username: str, address: str) -> None:
    async with ctx.sessions.begin() as db:
        event = SignInFailed(username=username[:64], address=address[:64])
        record(db, event, unit="", ref="", at=ctx.clock())


def _actor(user: UserRow, method: str) -> Actor:
    return Actor(
        id=user.id, username=user.username, name=user.name, role=Role(user.role), unit=user.unit, method=method
    )


def _me(actor: Actor, unit_name: str) -> MeView:
    role = actor.role
    if role is None:
        raise Unauthenticated("session.none", "nobody is signed in")
    return MeView(actor.id, actor.username, actor.name, role, actor.unit, unit_name, sorted(RIGHTS[role]))


def _user_view(row: UserRow, unit_name: str, online: Online | None) -> UserView:
    return UserView(
        id=row.id,
        username=row.username,
        name=row.name,
        role=Role(row.role),
        unit=row.unit,
        unit_name=unit_name,
        created_at=row.created_at,
        online=online is not None and online.is_online(row.id),
    )
