"""Rules: what cameras are watched for."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import ValidationError

from hub.api.deps import ContextDep, Requires
from hub.api.schemas import rules as schemas
from hub.domain.errors import Invalid
from hub.domain.ids import CameraId, RuleId
from hub.domain.roles import Right
from hub.services import rules
from hub.services.context import Actor
from hub.services.rules import RuleView

router = APIRouter(prefix="/rules", tags=["rules"])
Reader = Annotated[Actor, Depends(Requires(Right.CAMERA_READ))]
Manager = Annotated[Actor, Depends(Requires(Right.RULE_MANAGE))]


def checked_params(kind: schemas.RuleKind, params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of this kind with defaults filled in. Raises Invalid (``rule.params``) naming the field."""
    model = schemas.CrowdParams if kind == "crowd" else schemas.IntrusionParams
    try:
        return model.model_validate(params).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(("params", *(str(each) for each in first["loc"])))
        raise Invalid("rule.params", f"{field}: {first['msg']}", field=field) from None


@router.get("", response_model=schemas.Rules)
async def list_rules(ctx: ContextDep, actor: Reader, camera: CameraId | None = None) -> dict[str, Any]:
    """Rules of cameras within reach."""
    return {"items": await rules.list_rules(ctx, actor, camera=camera)}


@router.post("", status_code=201, response_model=schemas.Rule)
async def add_rule(body: schemas.NewRule, ctx: ContextDep, actor: Manager) -> RuleView:
    """Set a rule on a camera: 404 `camera.unknown`, 422 `rule.params`, 429 `rule.too_many`."""
    return await rules.add_rule(
        ctx,
        actor,
        camera=body.camera,
        kind=body.kind,
        name=body.name,
        severity=body.severity,
        enabled=body.enabled,
        params=checked_params(body.kind, body.params),
    )


@router.patch("/{rule}", response_model=schemas.Rule)
async def change_rule(rule: RuleId, body: schemas.RuleChange, ctx: ContextDep, actor: Manager) -> RuleView:
    """Switch a rule on or off: 404 `rule.unknown`."""
    return await rules.enable_rule(ctx, actor, rule, enabled=body.enabled)


@router.delete("/{rule}", status_code=204)
async def remove_rule(rule: RuleId, ctx: ContextDep, actor: Manager) -> None:
    """Take a rule away: 404 `rule.unknown`."""
    await rules.remove_rule(ctx, actor, rule)
