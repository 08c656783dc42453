"""The organisation."""

from typing import Any

from fastapi import APIRouter

from hub.api.deps import ContextDep, CurrentActor, OnlineDep
from hub.api.schemas import accounts as schemas
from hub.services import units

router = APIRouter(prefix="/units", tags=["units"])


@router.get("", response_model=schemas.Units)
async def list_units(ctx: ContextDep, online: OnlineDep, _: CurrentActor) -> dict[str, Any]:
    """Every unit, with the people connected now."""
    return {"items": await units.list_units(ctx, online)}
