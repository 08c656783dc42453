"""Rules: what is looked for in a camera's picture."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hub.api.schemas.alerts import AlertKind
from hub.api.schemas.base import Name, Reply, Request, Severity
from hub.domain.ids import CameraId, RuleId

Share = Annotated[float, Field(ge=0, le=1)]  # of a picture's width or height; no NaN lies between
RuleKind = Literal["crowd", "intrusion"]


class Rule(Reply):
    id: RuleId
    camera: CameraId
    kind: AlertKind
    name: str
    severity: Severity
    enabled: bool
    params: dict[str, Any]


class Rules(Reply):
    items: list[Rule]


class CrowdParams(Request):
    persons: int = Field(default=3, ge=1, le=500)
    seconds: float = Field(default=4.0, ge=0, le=3_600)
    confidence: float = Field(default=0.4, ge=0.05, le=0.99)


class IntrusionParams(Request):
    polygon: list[tuple[Share, Share]] = Field(min_length=3, max_length=32)
    confidence: float = Field(default=0.4, ge=0.05, le=0.99)


class NewRule(Request):
    camera: CameraId
    name: Name
    severity: Severity = "major"
    enabled: bool = True
    kind: RuleKind
    params: dict[str, Any] = Field(default_factory=dict, max_length=16)  # CrowdParams or IntrusionParams


class RuleChange(Request):
    enabled: bool
