"""Query parameters that lists share."""

from typing import Annotated, TypeAlias

from fastapi import Query

Cursor: TypeAlias = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=200)]
