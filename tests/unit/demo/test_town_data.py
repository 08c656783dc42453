"""The town on paper, before any database."""

import re
from pathlib import Path

from drills.scenario import parse_scenario
from hub.api.schemas.accounts import NewUser
from hub.demo.cameras_list import CAMERAS
from hub.demo.credentials import complete, load
from hub.demo.town import DRILLS, PEOPLE, SCENARIOS, UNITS
from hub.domain.roles import Role

IDS = {unit.id for unit in UNITS}


def test_the_units_are_those_that_cameras_drills_and_people_refer_to() -> None:
    assert {person.unit for person in PEOPLE} | {camera.unit for camera in CAMERAS} <= IDS
    for name in SCENARIOS:
        assert set(parse_scenario((DRILLS / f"{name}.scenario.yaml").read_text("utf-8")).units) <= IDS


def test_every_unit_lies_under_one_named_before_it() -> None:
    seen: set[str | None] = {None}
    for unit in UNITS:
        assert unit.parent in seen
        seen.add(unit.id)


def test_every_role_is_filled_and_every_department_has_somebody_to_answer() -> None:
    assert {person.role for person in PEOPLE} == set(Role)
    staffed = {person.unit for person in PEOPLE if person.role is Role.DEPARTMENT}
    assert staffed == {unit.id for unit in UNITS if unit.kind == "department"}
    assert {person.unit for person in PEOPLE} == IDS


def test_people_are_functions_with_names_that_the_interface_itself_would_take() -> None:
    assert len({person.username for person in PEOPLE}) == len(PEOPLE)
    for person in PEOPLE:
        NewUser(username=person.username, name=person.name, role=person.role, unit=person.unit, password="x" * 12)
        assert re.search("员|长$", person.name)


def test_passwords_are_made_once_and_only_for_who_has_none(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first, new = complete(path, {"a": (Role.COMMANDER, "city")})
    assert new == {"a"}
    second, new = complete(path, {"a": (Role.COMMANDER, "city"), "b": (Role.FIELD, "village-1")})
    assert new == {"b"}
    assert second["a"] == first["a"]
    assert load(path) == second
    assert len(second["b"].password) == 20
    assert second["b"].password not in repr(second["b"])
