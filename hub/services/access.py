"""The one place that decides who may do what, and to which objects.

Two questions are kept apart. Does the role hold the right at all (``require`` -> 403)? And does the object lie
within the person's reach (``reach``, ``may_see_unit`` -> 404, since one may not even know of it)?
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeAlias

from hub.domain.errors import Forbidden, NotFound
from hub.domain.ids import UnitId
from hub.domain.roles import Right, Role, allows
from hub.domain.units import UnitTree
from hub.services.context import Actor


class _Everything(Enum):
    ALL = "all"


ALL: Final = _Everything.ALL
"""Reach without bounds."""

Reach: TypeAlias = frozenset[UnitId] | _Everything

SYSTEM: Final = Actor(id="system", username="system", name="系统", role=None, unit="", method="system")
"""The hub itself: whoever acts when no person does. It holds every right."""

_OWN_UNIT_ONLY: Final = frozenset({Role.DEPARTMENT, Role.FIELD})

_RIGHT_OF_KIND: Final[dict[str, Right]] = {
    "alert": Right.ALERT_READ,
    "incident": Right.INCIDENT_READ,
    "order": Right.ORDER_READ,
    "conference": Right.CONFERENCE_JOIN,
    "rule": Right.CAMERA_READ,
    "drill": Right.DRILL_READ,
}


def require(actor: Actor, right: Right) -> None:
    """Raise Forbidden unless the actor's role holds the right."""
    if not holds(actor, right):
        raise Forbidden("right.missing", f"this needs the right {right}", right=str(right))


def holds(actor: Actor, right: Right) -> bool:
    """Whether the actor's role holds the right at all."""
    return actor.role is None or allows(actor.role, right)


def reach(tree: UnitTree, actor: Actor) -> Reach:
    """The units whose objects this actor may know of.

    The city's commander, organiser, evaluator and administrators reach everything. Others reach their own
    unit and what lies below it; departments and field staff their own unit alone.
    """
    if actor.role is None:
        return ALL
    if actor.role in _OWN_UNIT_ONLY:
        return frozenset({actor.unit})
    return ALL if tree.is_city(actor.unit) else tree.below(actor.unit)


def units_in(area: Reach) -> frozenset[UnitId] | None:
    """The units that a query is narrowed to; None: to nothing, all is within reach."""
    return None if isinstance(area, _Everything) else area


def may_see_unit(area: Reach, unit: UnitId) -> bool:
    """Whether objects of this unit lie within reach."""
    return isinstance(area, _Everything) or unit in area


def may_see_any(area: Reach, units: Iterable[UnitId]) -> bool:
    """Whether one of these units lies within reach."""
    return isinstance(area, _Everything) or any(unit in area for unit in units)


def need_everything(area: Reach, right: Right) -> None:
    """Raise Forbidden (``right.missing``) for whoever has the right for a part of the city only."""
    if not isinstance(area, _Everything):
        raise Forbidden("right.missing", "this concerns the whole city", right=str(right))


def need_unit(area: Reach, unit: UnitId, noun: str) -> None:
    """Raise NotFound (``<noun>.unknown``) where the object's unit is out of reach."""
    if not may_see_unit(area, unit):
        raise NotFound(f"{noun}.unknown", f"no such {noun}")


def right_for_event(kind: str) -> Right:
    """The right that lets one read events of this kind. Accounts, views and system: only readers of the log."""
    return _RIGHT_OF_KIND.get(kind.partition(".")[0], Right.LOG_READ)


def may_see_event(actor: Actor, area: Reach, *, kind: str, unit: UnitId) -> bool:
    """Whether a live event may be shown: the right for its kind, or the log's, and its unit within reach."""
    if not (holds(actor, right_for_event(kind)) or holds(actor, Right.LOG_READ)):
        return False
    return may_see_unit(area, unit)
