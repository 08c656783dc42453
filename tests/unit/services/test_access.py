"""Who reaches what: the one place that decides."""

import pytest

from hub.domain.errors import Forbidden, NotFound
from hub.domain.events import KINDS
from hub.domain.roles import RIGHTS, Right, Role
from hub.domain.units import UnitNode, UnitTree
from hub.services.access import ALL, SYSTEM, holds, may_see_event, may_see_unit, need_unit, reach, require
from hub.services.context import Actor

TREE = UnitTree.of(
    [
        UnitNode("city", None, "city", "市"),
        UnitNode("town", "city", "town", "镇"),
        UnitNode("village", "town", "village", "村"),
        UnitNode("dept", "city", "department", "局"),
    ]
)


def actor(role: Role, unit: str) -> Actor:
    return Actor(id="u-1", username="x", name="x", role=role, unit=unit)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", Right)
def test_a_right_is_held_or_refused_as_the_table_says(role: Role, right: Right) -> None:
    if right in RIGHTS[role]:
        require(actor(role, "city"), right)
    else:
        with pytest.raises(Forbidden) as raised:
            require(actor(role, "city"), right)
        assert raised.value.id == "right.missing"


def test_the_hub_itself_may_do_everything_everywhere() -> None:
    assert all(holds(SYSTEM, right) for right in Right)
    assert reach(TREE, SYSTEM) is ALL


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.DEPARTMENT, Role.FIELD}))
def test_people_of_the_city_reach_everything_and_people_of_a_town_their_town(role: Role) -> None:
    assert reach(TREE, actor(role, "city")) is ALL
    assert reach(TREE, actor(role, "town")) == frozenset({"town", "village"})


@pytest.mark.parametrize("role", [Role.DEPARTMENT, Role.FIELD])
@pytest.mark.parametrize("unit", ["city", "town", "dept"])
def test_departments_and_field_staff_reach_their_own_unit_alone(role: Role, unit: str) -> None:
    assert reach(TREE, actor(role, unit)) == frozenset({unit})


def test_people_of_an_unknown_unit_reach_nothing_that_exists() -> None:
    area = reach(TREE, actor(Role.COMMANDER, "gone"))
    assert not any(may_see_unit(area, unit) for unit in TREE.nodes)


def test_what_is_out_of_reach_does_not_exist() -> None:
    with pytest.raises(NotFound) as raised:
        need_unit(frozenset({"town"}), "dept", "camera")
    assert raised.value.id == "camera.unknown"


def test_events_are_shown_by_kind_and_unit() -> None:
    water = actor(Role.DEPARTMENT, "dept")
    area = reach(TREE, water)
    shown = {kind for kind in KINDS if may_see_event(water, area, kind=kind, unit="dept")}
    assert {kind.partition(".")[0] for kind in shown} == {"alert", "incident", "order", "conference", "rule"}
    assert not any(may_see_event(water, area, kind=kind, unit="town") for kind in KINDS)
    auditor = actor(Role.AUDITOR, "city")
    assert all(may_see_event(auditor, reach(TREE, auditor), kind=kind, unit="") for kind in KINDS)
