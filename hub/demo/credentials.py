"""The demo people's passwords: random per installation, in one private file, nowhere else."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hub.domain.errors import Invalid
from hub.domain.ids import UnitId
from hub.domain.roles import Role
from hub.secrets import write_private

FILE: Final = "credentials.json"
BYTES: Final = 15  # 120 bits, 20 letters
MOST_BYTES: Final = 262_144


class Credential(BaseModel):
    """How one person of the demo signs in."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    username: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=12, max_length=256, repr=False)
    role: Role
    unit: UnitId


_LIST: Final = TypeAdapter(list[Credential])


def path_in(data: Path) -> Path:
    """Where an installation keeps them."""
    return data / FILE


def load(path: Path) -> dict[str, Credential]:
    """Credentials by user name; none where there is no file. Raises Invalid (``demo.credentials``) for another file."""
    try:
        with path.open("rb") as file:
            found = _LIST.validate_json(file.read(MOST_BYTES))
    except FileNotFoundError:
        return {}
    except ValidationError:
        raise Invalid("demo.credentials", f"{path} is damaged; move it away and start again") from None
    return {credential.username: credential for credential in found}


def save(path: Path, credentials: Sequence[Credential]) -> None:
    """Write them whole, mode 600."""
    data = [credential.model_dump(mode="json") for credential in credentials]
    write_private(path, (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode())


def complete(path: Path, people: Mapping[str, tuple[Role, UnitId]]) -> tuple[dict[str, Credential], frozenset[str]]:
    """Make sure that everybody has a password on file; return all, and who was given a new one just now."""
    known = load(path)
    new = frozenset(people) - frozenset(known)
    for username in sorted(new):
        role, unit = people[username]
        known[username] = Credential(username=username, password=secrets.token_urlsafe(BYTES), role=role, unit=unit)
    if new:
        order = [*people, *(name for name in known if name not in people)]
        save(path, [known[name] for name in order])
    return known, new
