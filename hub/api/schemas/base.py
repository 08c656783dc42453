"""What all of them are made of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from hub.domain.text import lines, one_line

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(one_line)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), AfterValidator(lines)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(lines)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(lines)]
Severity = Literal["critical", "major", "minor", "info"]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Reply(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ErrorBody(Reply):
    id: str
    message: str
    line: int | None = None
    column: int | None = None
    field: str | None = None


class Error(Reply):
    error: ErrorBody
