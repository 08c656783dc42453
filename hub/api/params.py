"""Query parameters that lists share."""

from typing import Annotated, TypeAlias

from fastapi import Query
from pydantic import AfterValidator

from hub.domain.text import one_line

Cursor: TypeAlias = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=200)]
Sought: TypeAlias = Annotated[str, Query(max_length=80), AfterValidator(one_line)]
