"""Roles and what each may do: the one table of rights. Objects are checked against the unit as well."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """A person has exactly one."""

    COMMANDER = "commander"  # 值班指挥长
    DEPARTMENT = "department"  # 部门值班
    FIELD = "field"  # 网格员, 执法队员
    ORGANISER = "organiser"  # 演练组织
    EVALUATOR = "evaluator"  # 演练评估
    SYSTEM_ADMIN = "system_admin"  # 系统管理员
    SECURITY_ADMIN = "security_admin"  # 安全管理员
    AUDITOR = "auditor"  # 审计管理员


class Right(StrEnum):
    """One verb on one noun. ``unit`` rights reach only objects of the user's own unit and below."""

    CAMERA_READ = "camera.read"
    CAMERA_WATCH = "camera.watch"
    CAMERA_CONTROL = "camera.control"  # turn it, speak to it, play its recordings
    CAMERA_MANAGE = "camera.manage"
    RULE_MANAGE = "rule.manage"
    ALERT_READ = "alert.read"
    ALERT_HANDLE = "alert.handle"
    INCIDENT_READ = "incident.read"
    INCIDENT_HANDLE = "incident.handle"
    ORDER_READ = "order.read"
    ORDER_ISSUE = "order.issue"
    ORDER_ANSWER = "order.answer"
    CONFERENCE_OPEN = "conference.open"
    CONFERENCE_JOIN = "conference.join"
    DRILL_READ = "drill.read"
    DRILL_RUN = "drill.run"
    LOG_READ = "log.read"
    USER_MANAGE = "user.manage"
    SYSTEM_READ = "system.read"


_DUTY: Final = frozenset(
    {
        Right.CAMERA_READ, Right.CAMERA_WATCH, Right.ALERT_READ, Right.INCIDENT_READ, Right.ORDER_READ,
        Right.CONFERENCE_JOIN,
    }
)  # fmt: skip

RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.COMMANDER: _DUTY
    | {
        Right.CAMERA_CONTROL, Right.RULE_MANAGE, Right.ALERT_HANDLE, Right.INCIDENT_HANDLE, Right.ORDER_ISSUE,
        Right.CONFERENCE_OPEN, Right.DRILL_READ, Right.LOG_READ,
    },
    Role.DEPARTMENT: _DUTY | {Right.CAMERA_CONTROL, Right.ORDER_ANSWER},
    Role.FIELD: frozenset({Right.ORDER_READ, Right.ORDER_ANSWER, Right.CONFERENCE_JOIN}),
    Role.ORGANISER: frozenset(
        {
            Right.CAMERA_READ, Right.CAMERA_WATCH, Right.ALERT_READ, Right.INCIDENT_READ, Right.ORDER_READ,
            Right.DRILL_READ, Right.DRILL_RUN, Right.LOG_READ,
        }
    ),
    Role.EVALUATOR: frozenset({Right.INCIDENT_READ, Right.ORDER_READ, Right.DRILL_READ}),
    Role.SYSTEM_ADMIN: frozenset(
        {
            Right.CAMERA_READ, Right.CAMERA_WATCH, Right.CAMERA_CONTROL, Right.CAMERA_MANAGE, Right.RULE_MANAGE,
            Right.SYSTEM_READ,
        }
    ),
    Role.SECURITY_ADMIN: frozenset({Right.USER_MANAGE, Right.SYSTEM_READ}),
    Role.AUDITOR: frozenset({Right.LOG_READ, Right.SYSTEM_READ}),
}  # fmt: skip


def allows(role: Role, right: Right) -> bool:
    """Whether the role holds the right at all (objects are checked elsewhere, by unit)."""
    return right in RIGHTS[role]
