"""People, their sessions, and units."""

from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from hub.api.schemas.base import Name, Reply, Request
from hub.domain.ids import UnitId, UserId
from hub.domain.roles import Right, Role
from hub.domain.text import one_line

UnitKind = Literal["city", "town", "village", "department"]


class SignIn(Request):
    username: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(one_line)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Me(Reply):
    id: UserId
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str
    rights: list[Right]


class Session(Reply):
    token: str
    expires_at: int
    user: Me


class DemoPerson(Reply):
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str


class DemoPeople(Reply):
    items: list[DemoPerson]


class DemoSignIn(Request):
    username: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(one_line)]


class User(Reply):
    id: UserId
    username: str
    name: str
    role: Role
    unit: UnitId
    unit_name: str
    created_at: int
    online: bool


class Users(Reply):
    items: list[User]
    total: int


class NewUser(Request):
    username: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,63}$")]
    name: Name
    role: Role
    unit: UnitId
    password: Annotated[str, StringConstraints(min_length=12, max_length=256)]


class Unit(Reply):
    id: UnitId
    parent: UnitId | None
    kind: UnitKind
    name: str
    name_en: str
    online: int  # people of this unit who are signed in and connected now


class Units(Reply):
    items: list[Unit]
